// THE LIFE OF A REQUEST, read this first. A request is recorded once, at its end, and needs a permit for the upstream.
//
//   gate -> route, its headers -> reject: 404
//                              -> forward: method ---------------------------------------------> permit
//                              -> verify: query, method, secret, form, length -> body -> verdict -> permit (-> once)
//   permit -> slot -> connect -> send -> read -> answer
//
// A request that fails before the permit is refused with our own answer; in report mode some are forwarded
// (`reportable` in core/decision.ts). `once` answers a duplicate with 200. One that fails later gets our answer if the
// response has not begun; else the response is cut. Only a failed connect is retried. Bytes that never become a head:
// downstream/connection.ts.

import { DUPLICATE, type Reason, UPSTREAM_FAULTS } from './core/decision.ts';
import { type GateRefusal, refusedByGate, refusedForHeaders, refusedForQuery } from './core/gate.ts';
import { asksForWebSocket } from './core/handshake.ts';
import { declaredLength, hasBody } from './core/head.ts';
import type { Secret } from './core/keyring.ts';
import { judge, type Permit, permitForward, permitReported, permitUpgrade } from './core/permit.ts';
import type { Policy } from './core/policy.ts';
import { bodyTag, type DeliveryLease } from './core/record.ts';
import type { Route } from './core/routes.ts';
import { signatureForm } from './core/signature.ts';
import type { ByteBudget } from './downstream/budget.ts';
import { type BufferedBody, readWhole } from './downstream/buffered-body.ts';
import { clientOf, withForwarded } from './downstream/client-address.ts';
import type { Exchange } from './downstream/exchange.ts';
import { createDiagnosis } from './hints/diagnose.ts';
import type { Deliveries } from './once/deliveries.ts';
import { type ForwardOptions, UpstreamExchange } from './upstream/exchange.ts';
import type { ForwardFailure, Upstream } from './upstream/upstream.ts';
import { WebSocketExchange } from './upstream/websocket.ts';

export interface PipelineParts {
  /** The current policy; called once for each request. */
  readonly policy: () => Policy;
  readonly upstream: Upstream;
  readonly budget: ByteBudget;
  /** Called only on routes with `once`. */
  readonly deliveries: () => Deliveries;
}

/** A request, its route, and the policy that applies to it until its end. */
interface RoutedRequest {
  readonly exchange: Exchange;
  readonly policy: Policy;
  readonly route: Route;
  /** When the head arrived, in epoch milliseconds. It decides the route's mode and which secrets are live. */
  readonly at: number;
  /** Null if no body is read. */
  body: BufferedBody | null;
}

/** Returns the function that handles a request once its head is complete. */
export function createPipeline(parts: PipelineParts): (exchange: Exchange) => void {
  const { upstream, budget } = parts;
  const diagnose = createDiagnosis();
  let tunnels = 0;

  function begin(exchange: Exchange): void {
    const { head } = exchange;
    const policy = parts.policy();
    const at = Date.now();
    exchange.client = clientOf(exchange.connection.address, head.forwardedFor, policy.trusts);
    const atGate = refusedByGate(head);
    if (atGate !== null) return refuseByRule(exchange, atGate);
    const route = policy.routes.routeFor(exchange.path, at);
    const forHeaders = refusedForHeaders(head, route);
    if (forHeaders !== null) return refuseByRule(exchange, forHeaders);
    exchange.route = route.path;
    const request: RoutedRequest = { exchange, policy, route, at, body: null };
    switch (route.action) {
      case 'reject':
        return exchange.refuse('route_rejected');
      case 'forward':
        return forwardUnread(request);
      case 'verify':
        return verify(request);
      default:
        route.action satisfies never;
    }
  }

  function forwardUnread(request: RoutedRequest): void {
    const { exchange, route } = request;
    if (!allows(route, exchange.method)) return exchange.refuse('method_not_allowed', route.methods);
    const permit = (asksForWebSocket(exchange.head) ? permitUpgrade(route) : null) ?? permitForward(route);
    if (permit !== null) forward(request, permit);
  }

  /** Refuses before reading the body if possible. */
  function verify(request: RoutedRequest): void {
    const { exchange, policy, route, at } = request;
    const query = refusedForQuery(exchange.head, route);
    if (query !== null) return refuseByRule(exchange, query);
    const live = policy.keyring.live(route.secrets, at);
    const form = signatureForm(exchange.head);
    let early: Reason | null;
    if (!allows(route, exchange.method)) early = 'method_not_allowed';
    else if (live.length > 0) early = form.reason;
    // Routes that share no secret, and a target that could be read as either: the client's fault, not the operator's.
    else if (route.secrets?.length === 0) early = form.reason ?? 'signature_mismatch';
    else early = 'no_live_secret';
    if (early !== null) {
      refuseOrReport(request, early, null);
      if (early === 'no_live_secret') exchange.hint = policy.keyring.whyNoneLive(route.secrets, at);
      else if (exchange.head.signatures === 1 && early === form.reason)
        exchange.hint = diagnose.form(exchange.head.signature);
      return;
    }
    const declared = declaredLength(exchange.head);
    if (declared !== null && declared > route.maxBody) return exchange.refuse('body_too_large');
    const { digest } = form;
    if (!hasBody(exchange.head)) return decide(request, { live, digest, body: EMPTY });
    const { startedAt } = exchange;
    const deadline = startedAt + policy.settings.bodyTimeout;
    request.body = readWhole(exchange, { budget, maxBody: route.maxBody, declared, startedAt, deadline }, (result) => {
      if ('failure' in result) exchange.refuse(result.failure);
      else decide(request, { live, digest, body: result.body });
    });
  }

  function decide(request: RoutedRequest, read: { live: readonly Secret[]; digest: string; body: Buffer }): void {
    const { exchange, policy, route, at } = request;
    const { body } = read;
    const started = performance.now();
    const verdict = judge({ route, keyring: policy.keyring, ...read });
    exchange.verifyMs = performance.now() - started;
    if ('permit' in verdict) {
      if (route.once === null) forward(request, verdict.permit);
      else void deliverOnce(request, verdict.permit, { body, window: route.once });
      return;
    }
    refuseOrReport(request, verdict.refused, body);
    // After the answer, because its duration depends on the secrets and must not be observable.
    exchange.hint = diagnose.mismatch({ route, policy, body, given: exchange.head.signature, at });
    if (exchange.decision === 'rejected') request.body?.discard();
  }

  function refuseOrReport(request: RoutedRequest, reason: Reason, body: Buffer | null): void {
    const { route, exchange } = request;
    const permit = permitReported(route, request.at, { reason, body });
    if (permit !== null) forward(request, permit);
    else exchange.refuse(reason, route.methods);
  }

  /** Takes only verified requests: otherwise anyone could mark an event as delivered. */
  async function deliverOnce(request: RoutedRequest, permit: Permit, event: { body: Buffer; window: number }) {
    const { exchange, route, policy } = request;
    const client = new AbortController();
    note(exchange, permit);
    exchange.onLeft(() => client.abort());
    const { responseTimeout, idleTimeout } = policy.settings;
    const { retryConnectFor } = upstream.options;
    const patience = retryConnectFor + (route.responseTimeout ?? responseTimeout) + (route.idleTimeout ?? idleTimeout);
    const delivery = { ...event, path: exchange.path, patience, client: client.signal };
    const admission = await parts.deliveries().admit(delivery);
    exchange.onLeft(null);
    if (typeof admission === 'object' && !client.signal.aborted) return forward(request, permit, admission);
    if (typeof admission === 'object') admission.failed();
    else if (admission === 'refuse') {
      exchange.bodySha256 = bodyTag(event.body);
      exchange.refuse('overloaded');
    } else if (admission === 'duplicate') {
      exchange.decide('duplicate', 'none');
      exchange.reply.refuse(DUPLICATE);
    }
    request.body?.discard();
  }

  function forward(request: RoutedRequest, permit: Permit, lease: DeliveryLease | null = null): void {
    const { exchange, route, policy } = request;
    const { settings } = policy;
    if (permit.tunnel && tunnels >= settings.connections / 2) return exchange.refuse('overloaded');
    note(exchange, permit);
    const options: ForwardOptions = {
      lines: settings.forwardedHeaders === 'none' ? exchange.lines : withForwarded(exchange, route.allowHeaders),
      responseTimeout: route.responseTimeout ?? settings.responseTimeout,
      idleTimeout: route.idleTimeout ?? settings.idleTimeout,
      lease,
      budget,
      onFailure: (failure) => failed(exchange, permit, failure),
      onEnd: (sent) => {
        if (permit.tunnel) tunnels--;
        // Unless all was sent, a socket may still be writing from the body's memory.
        if (sent) request.body?.discard();
        else request.body?.forget();
      },
    };
    if (permit.tunnel) tunnels++;
    if (permit.tunnel) new WebSocketExchange(permit, exchange, upstream, options).start();
    else new UpstreamExchange(permit, exchange, upstream, options).start();
  }

  /** The failure edge: an answer before the response has begun, a cut later. */
  function failed(exchange: Exchange, permit: Permit, failure: ForwardFailure): void {
    // The sender may never retry. The hash lets the operator find the event.
    if (permit.secret !== null && permit.body !== null) exchange.bodySha256 = bodyTag(permit.body);
    if (failure.side === 'upstream') {
      exchange.upstreamFailure = failure.cause;
      exchange.upstreamError = failure.code;
    }
    if (exchange.reply.committed) exchange.reply.cut();
    else if (failure.side === 'client') exchange.refuse(failure.reason);
    else exchange.reply.refuse(UPSTREAM_FAULTS[failure.fault]);
  }

  function refuseByRule(exchange: Exchange, { rule, header, hint }: GateRefusal): void {
    exchange.rule = rule;
    exchange.header = header;
    exchange.hint = hint;
    exchange.refuse('bad_request');
  }

  return begin;
}

const EMPTY = Buffer.alloc(0);

function note(exchange: Exchange, { decision, reason, secret }: Permit): void {
  exchange.decide(decision, reason);
  exchange.secret = secret;
}

function allows(route: Route, method: string): boolean {
  return route.methods === null || route.methods.includes(method);
}
