// THE LIFE OF A REQUEST, read this first: gate -> route -> signature's form -> body -> verdict (-> once) -> forward | refuse.
// It is recorded once, at its end (http/reception.ts). Every way to the upstream leads through a permit.

import type { Reason } from './core/decision.ts';
import { asksForWebSocket } from './core/handshake.ts';
import { declaredLength, type Head, hasBody } from './core/head.ts';
import { endToEnd } from './core/headers.ts';
import type { Hold } from './core/hold.ts';
import type { Secret } from './core/keyring.ts';
import { judge, type Permit, permitForward, permitReported, permitUpgrade } from './core/permit.ts';
import { type Refusal, refusedAtGate, refusedForHeaders, refusedForQuery } from './core/refusal.ts';
import { type Route, reports } from './core/routes.ts';
import { signatureForm } from './core/signature-form.ts';
import { pathOf } from './core/targets.ts';
import { createDiagnosis } from './diagnosis.ts';
import { BodyReader, type BodyResult } from './http/body.ts';
import type { ByteBudget } from './http/budget.ts';
import { clientOf, withForwarded } from './http/client-address.ts';
import type { Exchange } from './http/exchange.ts';
import { Forward } from './http/forward.ts';
import type { Lingering } from './http/linger.ts';
import { MAX_HEADERS } from './http/listener.ts';
import { answer, DUPLICATE, refusal } from './http/respond.ts';
import { Upgrade } from './http/upgrade.ts';
import type { Upstream } from './http/upstream.ts';
import type { Deliveries } from './once/deliveries.ts';
import type { Policy } from './policy.ts';

export interface Services {
  /** The policy at this moment; a request asks once. */
  readonly policy: () => Policy;
  readonly upstream: Upstream;
  readonly budget: ByteBudget;
  readonly lingering: Lingering;
  /** Asked on routes with `once` alone. */
  readonly deliveries: () => Deliveries;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** An interim response went through on a route. */
  readonly onInformation: (route: string) => void;
}

export interface Pipeline {
  readonly begin: (exchange: Exchange) => void;
  /** Whether node may take a request off HTTP for a tunnel: asked before `begin`, by the same rules, in the same tick. */
  readonly mayUpgrade: (head: Head) => boolean;
}

/** What the steps after the route share. */
interface Claim {
  readonly exchange: Exchange;
  readonly policy: Policy;
  readonly route: Route;
  /** Epoch milliseconds at the head's arrival: modes and validities are judged by this moment. */
  readonly at: number;
}

export function createPipeline(services: Services): Pipeline {
  const { upstream, budget, lingering, now } = services;
  const diagnose = createDiagnosis(now);

  function begin(exchange: Exchange): void {
    const policy = services.policy();
    const { head } = exchange;
    const at = now();
    exchange.client = clientOf(exchange.connection.address, head.forwardedFor, policy.trusts);
    if (exchange.request.rawHeaders.length > 2 * MAX_HEADERS) {
      exchange.rule = 'head-size';
      return refuse(exchange, 'header_too_large');
    }
    const route = routeOf(head, policy, at);
    if ('rule' in route) return refuseByRule(exchange, route);
    exchange.route = route.path;
    const claim: Claim = { exchange, policy, route, at };
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
    const permit = (exchange.early === null ? null : permitUpgrade(route)) ?? permitForward(route);
    if (permit !== null) forward(claim, permit);
  }

  function mayUpgrade(head: Head): boolean {
    if (!asksForWebSocket(head)) return false;
    const route = routeOf(head, services.policy(), now());
    return !('rule' in route) && allows(route, head.method) && permitUpgrade(route) !== null;
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
      if ('failure' in result) refuse(exchange, result.failure);
      else decide(claim, { live, digest: form.digest, body: result.body });
    });
  }

  function readBody({ exchange, policy, route }: Claim, declared: number | null, done: (r: BodyResult) => void): void {
    if (!hasBody(exchange.head)) {
      exchange.request.resume();
      return done({ body: EMPTY });
    }
    const { startedAt } = exchange;
    const deadline = startedAt + policy.config.limits.bodyTimeout;
    const options = { maxBody: route.maxBody, declared, startedAt, deadline, now: monotonic };
    const reader = new BodyReader(exchange.request, budget, options, (result) => {
      exchange.onClose(null);
      exchange.bodyBytes = reader.received;
      done(result);
    });
    exchange.body = reader;
    exchange.onClose(() => reader.fail('client_closed'));
    if (exchange.awaitsContinue) {
      exchange.awaitsContinue = false;
      exchange.response.writeContinue();
    }
    reader.start();
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
    if (exchange.decision === 'rejected') exchange.body?.discard();
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
    exchange.onClose(() => client.abort());
    const { retryConnectFor, responseTimeout, idleTimeout } = policy.config.upstream;
    const patience = retryConnectFor + (route.responseTimeout ?? responseTimeout) + (route.idleTimeout ?? idleTimeout);
    const delivery = { path: exchange.path, body, window, patience, client: client.signal };
    const turn = await services.deliveries().turn(delivery);
    exchange.onClose(null);
    if (turn.kind === 'deliver' && !client.signal.aborted) return forward(claim, permit, turn.hold);
    if (turn.kind === 'deliver') turn.hold.failed();
    else if (turn.kind === 'refuse') refuse(exchange, 'overloaded');
    else if (turn.kind === 'duplicate') {
      exchange.decision = 'duplicate';
      answer(exchange, DUPLICATE, lingering);
    }
    exchange.body?.discard();
  }

  function forward({ exchange, route, policy }: Claim, permit: Permit, hold: Hold | null = null): void {
    note(exchange, permit);
    const { upstream: settings } = policy.config;
    const lines = endToEnd(exchange.request.rawHeaders);
    const Way = permit.tunnel ? Upgrade : Forward;
    new Way(permit, exchange, upstream, {
      headers: settings.forwardedHeaders === 'none' ? lines : withForwarded(lines, exchange),
      responseTimeout: route.responseTimeout ?? settings.responseTimeout,
      idleTimeout: route.idleTimeout ?? settings.idleTimeout,
      lingering,
      hold,
      onInformation: services.onInformation,
    }).start();
  }

  function refuse(exchange: Exchange, reason: Reason, allow: readonly string[] | null = null): void {
    exchange.decision = 'rejected';
    exchange.reason = reason;
    if (reason !== 'client_closed') answer(exchange, refusal(reason, allow), lingering);
  }

  function refuseByRule(exchange: Exchange, { rule, header, hint }: Refusal): void {
    exchange.rule = rule;
    exchange.header = header;
    exchange.hint = hint;
    refuse(exchange, 'bad_request');
  }

  return { begin, mayUpgrade };
}

const EMPTY = Buffer.alloc(0);
const monotonic = () => performance.now();

function note(exchange: Exchange, { decision, reason, secret }: Permit): void {
  exchange.decision = decision;
  exchange.reason = reason;
  exchange.secret = secret;
}

/** The route that a head is for, or why the gate refuses it. */
function routeOf(head: Head, policy: Policy, at: number): Route | Refusal {
  const refused = refusedAtGate(head);
  if (refused !== null) return refused;
  const route = policy.routes.claim(pathOf(head.target), at);
  return refusedForHeaders(head, route) ?? route;
}

function allows(route: Route, method: string): boolean {
  return route.methods === null || route.methods.includes(method);
}
