// THE LIFE OF A REQUEST, read this first: gate -> route -> signature's form -> body -> verdict (-> once) -> forward | refuse.
// It is recorded once, at its end. Every way to the upstream leads through a permit.

import { DUPLICATE, REASONS, type Reason, UPSTREAM_FAULTS } from './core/decision.ts';
import { type GateRefusal, refusedByGate, refusedForHeaders, refusedForQuery } from './core/gate.ts';
import { declaredLength, type Head, hasBody } from './core/head.ts';
import { asksForWebSocket } from './core/headers.ts';
import { judge, type Permit, permitForward, permitReported, permitUpgrade } from './core/permit.ts';
import type { Policy, Secret } from './core/policy.ts';
import { bodyTag, type DeliveryLease } from './core/record.ts';
import { type Route, reports } from './core/routes.ts';
import { signatureForm } from './core/signature.ts';
import { pathOf } from './core/targets.ts';
import { type ByteBudget, SMALL_BODY } from './downstream/budget.ts';
import { type BodyResult, BufferedBody } from './downstream/buffered-body.ts';
import { clientOf, withForwarded } from './downstream/client-address.ts';
import type { Exchange } from './downstream/exchange.ts';
import { createDiagnosis } from './hints/diagnose.ts';
import type { Deliveries } from './once/deliveries.ts';
import { type ForwardOptions, UpstreamExchange } from './upstream/exchange.ts';
import type { ForwardFailure, Upstream } from './upstream/upstream.ts';
import { WebSocketExchange } from './upstream/websocket.ts';

export interface PipelineParts {
  /** The policy at this moment; a request asks once. */
  readonly policy: () => Policy;
  readonly upstream: Upstream;
  readonly budget: ByteBudget;
  /** Asked on routes with `once` alone. */
  readonly deliveries: () => Deliveries;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** An interim response went through on a route. */
  readonly onInformation: (route: string) => void;
}

/** What the steps after the route share. */
interface Claim {
  readonly exchange: Exchange;
  readonly policy: Policy;
  readonly route: Route;
  /** Epoch milliseconds at the head's arrival: modes and validities are judged by this moment. */
  readonly at: number;
  /** The body that is read or was read; null where none is. */
  body: BufferedBody | null;
}

/** Gives what takes each request when its head is here. */
export function createPipeline(parts: PipelineParts): (exchange: Exchange) => void {
  const { upstream, budget, now } = parts;
  const diagnose = createDiagnosis(now);
  let tunnels = 0;

  function begin(exchange: Exchange): void {
    const policy = parts.policy();
    const at = now();
    exchange.client = clientOf(exchange.connection.address, exchange.head.forwardedFor, policy.trusts);
    const route = routeOf(exchange.head, policy, at);
    if ('rule' in route) return refuseByRule(exchange, route);
    exchange.route = route.path;
    const claim: Claim = { exchange, policy, route, at, body: null };
    switch (route.action) {
      case 'reject':
        return refuse(exchange, 'route_rejected');
      case 'forward':
        return forwardUnread(claim);
      case 'verify':
        return verify(claim);
      default:
        route.action satisfies never;
    }
  }

  function forwardUnread(claim: Claim): void {
    const { exchange, route } = claim;
    if (!allows(route, exchange.method)) return refuse(exchange, 'method_not_allowed', route.methods);
    const permit = (asksForWebSocket(exchange.head) ? permitUpgrade(route) : null) ?? permitForward(route);
    if (permit !== null) forward(claim, permit);
  }

  /** What can be refused without the body is, before a byte of it is read. */
  function verify(claim: Claim): void {
    const { exchange, policy, route, at } = claim;
    const query = refusedForQuery(exchange.head, route);
    if (query !== null) return refuseByRule(exchange, query);
    const live = policy.keyring.live(route.secrets, at);
    const form = signatureForm(exchange.head);
    const early = allows(route, exchange.method)
      ? live.length === 0
        ? 'no_live_secret'
        : form.reason
      : 'method_not_allowed';
    if (early !== null) {
      refuseOrReport(claim, early, null);
      if (early === 'no_live_secret') exchange.hint = policy.keyring.whyNoneLive(route.secrets, at);
      else if (exchange.head.signatures === 1 && early === form.reason)
        exchange.hint = diagnose.form(exchange.head.signature);
      return;
    }
    const declared = declaredLength(exchange.head);
    if (declared !== null && declared > route.maxBody) return refuse(exchange, 'body_too_large');
    readBody(claim, declared, (result) => {
      if ('failure' in result) return refuse(exchange, result.failure);
      const read = { live, digest: form.digest, body: result.body };
      if (result.body.length <= SMALL_BODY) return decide(claim, read);
      inTurn(() => {
        if (exchange.left) claim.body?.discard();
        else decide(claim, read);
      });
    });
  }

  function readBody(claim: Claim, declared: number | null, done: (result: BodyResult) => void): void {
    const { exchange, policy, route } = claim;
    if (!hasBody(exchange.head)) return done({ body: EMPTY });
    const { startedAt } = exchange;
    const deadline = startedAt + policy.settings.bodyTimeout;
    const options = { maxBody: route.maxBody, declared, startedAt, deadline };
    const body = new BufferedBody(budget, options, (result) => {
      exchange.onLeft(null);
      exchange.receiver = null;
      exchange.bodyBytes = body.received;
      done(result);
    });
    claim.body = body;
    exchange.receiver = body;
    exchange.onLeft(() => body.fail('client_closed'));
    exchange.reply.continue();
  }

  function decide(claim: Claim, read: { live: readonly Secret[]; digest: string; body: Buffer }): void {
    const { exchange, policy, route } = claim;
    const started = performance.now();
    const verdict = judge({ route, keyring: policy.keyring, ...read });
    exchange.verifyMs = performance.now() - started;
    if ('permit' in verdict) {
      if (route.once === null) forward(claim, verdict.permit);
      else void deliverOnce(claim, { permit: verdict.permit, body: read.body, window: route.once });
      return;
    }
    refuseOrReport(claim, verdict.refused, read.body);
    // After the answer: how long it takes depends on the secrets, and is nobody's business outside.
    exchange.hint = diagnose.mismatch({ route, policy, body: read.body, given: exchange.head.signature, at: claim.at });
    if (exchange.decision === 'rejected') claim.body?.discard();
  }

  function refuseOrReport(claim: Claim, reason: Reason, body: Buffer | null): void {
    const { route, exchange } = claim;
    const permit = permitReported(route, reports(route, claim.at), { reason, body });
    if (permit !== null) forward(claim, permit);
    else refuse(exchange, reason, route.methods);
  }

  /** Only what was verified comes here: else anybody could have an event taken for delivered. */
  async function deliverOnce(claim: Claim, event: { permit: Permit; body: Buffer; window: number }): Promise<void> {
    const { exchange, route, policy } = claim;
    const { permit, body, window } = event;
    const client = new AbortController();
    note(exchange, permit);
    exchange.onLeft(() => client.abort());
    const { retryConnectFor, responseTimeout, idleTimeout } = policy.settings;
    const patience = retryConnectFor + (route.responseTimeout ?? responseTimeout) + (route.idleTimeout ?? idleTimeout);
    const delivery = { path: exchange.path, body, window, patience, client: client.signal };
    const turn = await parts.deliveries().turn(delivery);
    exchange.onLeft(null);
    if (turn.kind === 'deliver' && !client.signal.aborted) return forward(claim, permit, turn.lease);
    if (turn.kind === 'deliver') turn.lease.failed();
    else if (turn.kind === 'refuse') {
      exchange.bodySha256 = bodyTag(body);
      refuse(exchange, 'overloaded');
    } else if (turn.kind === 'duplicate') {
      exchange.decision = 'duplicate';
      exchange.reply.refuse(DUPLICATE);
    }
    claim.body?.discard();
  }

  function forward(claim: Claim, permit: Permit, lease: DeliveryLease | null = null): void {
    const { exchange, route, policy } = claim;
    const { settings } = policy;
    if (permit.tunnel && tunnels >= settings.connections / 2) return refuse(exchange, 'overloaded');
    note(exchange, permit);
    const options: ForwardOptions = {
      lines: settings.forwardedHeaders === 'none' ? exchange.lines : withForwarded(exchange.lines, exchange),
      responseTimeout: route.responseTimeout ?? settings.responseTimeout,
      idleTimeout: route.idleTimeout ?? settings.idleTimeout,
      lease,
      budget,
      onInformation: () => parts.onInformation(route.path),
      onFailure: (failure) => failed(exchange, permit, failure),
      onEnd: (sent) => {
        if (permit.tunnel) tunnels--;
        // A body that a socket may still be writing must not be freed.
        if (sent) claim.body?.discard();
        else claim.body?.forget();
      },
    };
    if (permit.tunnel) tunnels++;
    const Way = permit.tunnel ? WebSocketExchange : UpstreamExchange;
    new Way(permit, exchange, upstream, options).start();
  }

  /** The failure edge: an answer before the response began, a cut after. Connects alone were tried again before. */
  function failed(exchange: Exchange, permit: Permit, failure: ForwardFailure): void {
    // A delivery that may be gone for good: its sender may never try again, and the operator can look for it.
    if (permit.secret !== null && permit.body !== null) exchange.bodySha256 = bodyTag(permit.body);
    if (failure.side === 'upstream') {
      exchange.upstreamFailure = failure.cause;
      exchange.upstreamError = failure.code;
    }
    if (exchange.reply.begun) exchange.reply.cut();
    else if (failure.side === 'client') refuse(exchange, failure.reason);
    else exchange.reply.refuse(UPSTREAM_FAULTS[failure.fault]);
  }

  function refuse(exchange: Exchange, reason: Reason, allow: readonly string[] | null = null): void {
    exchange.decision = 'rejected';
    exchange.reason = reason;
    if (reason !== 'client_closed')
      exchange.reply.refuse(REASONS[reason], reason === 'method_not_allowed' ? allow : null);
  }

  function refuseByRule(exchange: Exchange, { rule, header, hint }: GateRefusal): void {
    exchange.rule = rule;
    exchange.header = header;
    exchange.hint = hint;
    refuse(exchange, 'bad_request');
  }

  return begin;
}

const EMPTY = Buffer.alloc(0);

const waiting: (() => void)[] = [];

/**
 * Runs it in a later turn of the event loop, behind what waits already. node accepts one connection a turn: with the HMACs of
 * 200 bodies of 1 MiB in one turn a newcomer waited 6 s to be accepted.
 */
function inTurn(work: () => void): void {
  waiting.push(work);
  if (waiting.length === 1) setImmediate(nextTurn);
}

function nextTurn(): void {
  const work = waiting.shift();
  if (waiting.length > 0) setImmediate(nextTurn);
  work?.();
}

function note(exchange: Exchange, { decision, reason, secret }: Permit): void {
  exchange.decision = decision;
  exchange.reason = reason;
  exchange.secret = secret;
}

/** The route that a head is for, or why the gate refuses it. */
function routeOf(head: Head, policy: Policy, at: number): Route | GateRefusal {
  const refused = refusedByGate(head);
  if (refused !== null) return refused;
  const route = policy.routes.routeFor(pathOf(head.target), at);
  return refusedForHeaders(head, route) ?? route;
}

function allows(route: Route, method: string): boolean {
  return route.methods === null || route.methods.includes(method);
}
