// THE LIFE OF A REQUEST, read this first. A request is recorded once, at its end, and needs a permit for the upstream.
//
//   admit -> refuse
//         -> read the body -> admit the body -> refuse
//         `-> permit (-> once) -> slot -> connect -> send -> read -> answer
//                                   `-> failed, or not taken (-> stored -> 202) -> answer
//
// core/admission.ts decides, in one order; this file carries it out. A request that fails before the permit is refused
// with our own answer; where a route only reports, some are forwarded. `once` answers a duplicate with 200. One that
// fails later gets our answer if the response has not begun; else the response is cut. Only a failed connect is retried.
// Bytes that never become a head: downstream/connection.ts. The file is long because a life is read in one piece.

import type { Buffer } from 'node:buffer';
import { NO_BYTES } from './base/bytes.ts';
import type { DeliveryLease } from './base/delivery-lease.ts';
import type { ByteBudget } from './bodies/budget.ts';
import type { BodyEnd, BufferedBody } from './bodies/buffered-body.ts';
import {
  type Admission,
  type Arrival,
  admit,
  admitBody,
  type Permitted,
  type Refused,
  type ToRead,
} from './core/admission.ts';
import { DEFERRED, DUPLICATE, GATEWAY_ANSWERS } from './core/decision.ts';
import { OVERLOAD_HINTS } from './core/overload-hints.ts';
import type { Permit } from './core/permit.ts';
import type { Policy } from './core/policy.ts';
import { hasBody } from './core/request-head.ts';
import { bodyTag } from './core/request-record.ts';
import type { Route } from './core/routes.ts';
import { clientAddressOf } from './downstream/client-address.ts';
import type { Exchange } from './downstream/client-exchange.ts';
import { readWhole } from './downstream/read-whole-body.ts';
import { withForwarded } from './downstream/x-forwarded.ts';
import { createDiagnosis } from './hints/diagnose.ts';
import type { Deliveries } from './once/deliveries.ts';
import { FailureEdge, type Room } from './redelivery/failure-edge.ts';
import { type ForwardFailure, STOPPED } from './upstream/forward-failure.ts';
import type { ForwardOptions } from './upstream/requester.ts';
import type { Upstream } from './upstream/upstream.ts';
import { UpstreamExchange } from './upstream/upstream-exchange.ts';
import { mayOpenTunnel, WebSocketExchange } from './upstream/websocket-tunnel.ts';

interface PipelineParts {
  /** The current policy; called once for each request. */
  readonly policy: () => Policy;
  readonly upstream: Upstream;
  readonly budget: ByteBudget;
  /** Called only on routes with `once`. */
  readonly deliveries: () => Deliveries;
  /** Asked only on routes with `redeliver`. */
  readonly room: Room;
}

/** A request and what applies to it until its end. */
interface Pending extends Arrival {
  readonly exchange: Exchange;
  /** Null if no body is read. */
  body: BufferedBody | null;
}

export class Pipeline {
  readonly #parts: PipelineParts;
  readonly #diagnose = createDiagnosis();
  #tunnels = 0;
  /** Deliveries that could still be stored, also those whose clients have departed. */
  #storable = 0;
  #onSettled: (() => void)[] = [];
  /** Aborted at the end of `grace`. */
  readonly #waits = new AbortController();

  constructor(parts: PipelineParts) {
    this.#parts = parts;
  }

  /** Handles a request once its head is complete. */
  begin(exchange: Exchange): void {
    const { head, path } = exchange;
    const policy = this.#parts.policy();
    exchange.client = clientAddressOf(exchange.clientConnection.address, head.forwardedFor, policy.trusts);
    const pending: Pending = { exchange, head, path, policy, at: Date.now(), body: null };
    this.#carryOut(pending, admit(pending));
  }

  /** Resolves when the fate of each delivery on a route with `redeliver` is known. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#storable === 0) resolve();
      else this.#onSettled.push(resolve);
    });
  }

  /** A delivery that can be stored waits for its twin no longer: the twin may be at another process, and take long. */
  endWaits(): void {
    this.#waits.abort();
  }

  #carryOut(pending: Pending, admission: Admission): void {
    switch (admission.kind) {
      case 'refuse':
        this.#refuse(pending, admission);
        pending.exchange.hint ??= this.#diagnose.form(pending.head, admission.reason);
        return;
      case 'report':
        pending.exchange.hint = admission.hint ?? this.#diagnose.form(pending.head, admission.permit.reason);
        return this.#forward(pending, admission);
      case 'forward':
        return this.#forward(pending, admission);
      case 'read':
        return this.#read(pending, admission);
      default:
        admission satisfies never;
    }
  }

  #refuse({ exchange }: Pending, { label, rule, header, hint, reason, allow }: Refused): void {
    exchange.route = label;
    exchange.rule = rule;
    exchange.header = header;
    exchange.hint = hint;
    exchange.refuse(reason, allow);
  }

  #read(pending: Pending, toRead: ToRead): void {
    const { exchange, head, policy } = pending;
    const { route, declared } = toRead;
    exchange.route = route.path;
    if (!hasBody(head)) return this.#judge(pending, toRead, NO_BYTES);
    const { startedAt } = exchange;
    const deadline = startedAt + policy.settings.bodyTimeout;
    const options = { budget: this.#parts.budget, maxBody: route.maxBody, declared, startedAt, deadline };
    pending.body = readWhole(exchange, options, (end: BodyEnd) => {
      if ('failure' in end) {
        if (end.failure === 'overloaded') exchange.hint = OVERLOAD_HINTS.bytes;
        exchange.refuse(end.failure);
      } else this.#judge(pending, toRead, end.body);
    });
  }

  #judge(pending: Pending, toRead: ToRead, body: Buffer): void {
    const { exchange } = pending;
    const started = performance.now();
    const admission = admitBody(toRead, pending, body);
    exchange.verifyMs = performance.now() - started;
    if (admission.kind === 'forward') return this.#deliver(pending, admission, body);
    if (admission.kind === 'report') this.#forward(pending, admission);
    else this.#refuse(pending, admission);
    // After the answer, because its duration depends on the secrets and must not be observable.
    const { policy, at, head } = pending;
    const { lines } = exchange;
    exchange.hint = this.#diagnose.mismatch({ route: toRead.route, policy, body, given: head.signature, at, lines });
    if (admission.kind === 'refuse') pending.body?.discard();
  }

  #deliver(pending: Pending, permitted: Permitted, body: Buffer): void {
    const { once, redeliver } = permitted.route;
    const edge = redeliver === null ? null : this.#edge(pending, permitted, body);
    if (once === null) this.#forward(pending, permitted, { ...FIRST, edge });
    else void this.#deliverOnce(pending, permitted, { body, window: once, edge });
  }

  /** Null for a request that is never stored. Takes only verified ones: nothing else may ever be sent by itself. */
  #edge(pending: Pending, { route, permit }: Permitted, body: Buffer): FailureEdge | null {
    const { exchange, head, at, policy } = pending;
    if (head.method === 'GET' || head.method === 'HEAD') return null;
    this.#storable++;
    const lines = linesOf(pending, route);
    const delivery = { head, lines, body, route, permit, at, policy };
    const onStored = () => deferred(exchange, permit);
    return new FailureEdge(this.#parts.room, delivery, { onStored, onOver: this.#onOver });
  }

  readonly #onOver = (): void => {
    if (--this.#storable === 0) for (const resolve of this.#onSettled.splice(0)) resolve();
  };

  /** Accepts only verified requests: otherwise anyone could mark an event as delivered. */
  async #deliverOnce(pending: Pending, permitted: Permitted, event: OnceEvent): Promise<void> {
    const { edge } = event;
    const { exchange, policy, path } = pending;
    const { route, permit } = permitted;
    const departure = new AbortController();
    decide(exchange, permitted);
    if (edge === null) exchange.onDeparture(() => departure.abort());
    const { responseTimeout, idleTimeout } = policy.settings;
    const { retryConnectFor } = this.#parts.upstream.options;
    const patience = retryConnectFor + (route.responseTimeout ?? responseTimeout) + (route.idleTimeout ?? idleTimeout);
    const delivery = { ...event, path, patience, departed: (edge === null ? departure : this.#waits).signal };
    const claimed = await this.#parts.deliveries().claim(delivery);
    exchange.onDeparture(null);
    switch (claimed.kind) {
      case 'deliver':
        if (!exchange.departed || edge !== null) return this.#forward(pending, permitted, { ...claimed, edge });
        claimed.lease.failed();
        break;
      case 'refuse':
        exchange.bodySha256 = bodyTag(permit.body ?? NO_BYTES);
        exchange.hint = OVERLOAD_HINTS[claimed.full];
        exchange.refuse('overloaded');
        break;
      case 'duplicate':
        exchange.decide('duplicate', 'none');
        exchange.reply.refuse(DUPLICATE);
        break;
      case 'departed':
        edge?.failed(STOPPED, () => failed(exchange, STOPPED));
        break;
      default:
        claimed satisfies never;
    }
    const release = () => pending.body?.discard();
    if (edge === null) release();
    else edge.over(release);
  }

  #forward(pending: Pending, permitted: Permitted, { lease, edge }: Delivering = FIRST): void {
    const { exchange, policy, body } = pending;
    const { permit, route } = permitted;
    const { settings } = policy;
    exchange.route = route.path;
    if (permit.tunnel && !mayOpenTunnel(this.#tunnels, settings.connections)) {
      exchange.hint = OVERLOAD_HINTS.tunnels;
      return exchange.refuse('overloaded');
    }
    decide(exchange, permitted);
    // Unless all was sent, a socket may still be writing from the body's memory.
    const release = (sending: 'sent' | 'unsent') => (sending === 'sent' ? body?.discard() : body?.forget());
    const options: ForwardOptions = {
      lines: edge?.delivery.lines ?? linesOf(pending, route),
      responseTimeout: route.responseTimeout ?? settings.responseTimeout,
      idleTimeout: route.idleTimeout ?? settings.idleTimeout,
      lease,
      departure: edge === null ? 'aborts' : 'aborts nothing',
      deferred: false,
      atHead: edge?.atHead ?? null,
      budget: this.#parts.budget,
      onFailure: (failure) => {
        note(exchange, permit, failure);
        if (edge === null || exchange.reply.committed) failed(exchange, failure);
        else edge.failed(failure, () => failed(exchange, failure));
      },
      onEnd: (sending) => {
        if (exchange.upstreamStatus >= 500) tagBody(exchange, permit);
        if (permit.tunnel) this.#tunnels--;
        if (edge === null) release(sending);
        else edge.over((memory) => release(memory === 'shared' ? 'unsent' : sending));
      },
    };
    if (permit.tunnel) this.#tunnels++;
    const { upstream } = this.#parts;
    if (permit.tunnel) new WebSocketExchange(permit, exchange, upstream, options).start();
    else new UpstreamExchange(permit, exchange, upstream, options).start();
  }
}

/** What goes with a delivery to the upstream. */
interface Delivering {
  /** Null without `once`. */
  readonly lease: DeliveryLease | null;
  /** Null without `redeliver`. */
  readonly edge: FailureEdge | null;
}

interface OnceEvent extends Pick<Delivering, 'edge'> {
  readonly body: Buffer;
  readonly window: number;
}

const FIRST: Delivering = { lease: null, edge: null };

/** The lines as they go out. */
function linesOf({ exchange, policy }: Pending, route: Route): readonly string[] {
  const { forwardedHeaders } = policy.settings;
  return forwardedHeaders === 'none' ? exchange.lines : withForwarded(exchange, route.allowHeaders);
}

function decide(exchange: Exchange, { permit: { decision, reason, secret } }: Permitted): void {
  exchange.decide(decision, reason);
  exchange.secret = secret;
}

/** The app did not take the delivery, and it is stored. */
function deferred(exchange: Exchange, permit: Permit): void {
  tagBody(exchange, permit);
  exchange.decide('deferred', 'none');
  exchange.reply.refuse(DEFERRED);
}

/** For a lost delivery: its sender may never retry, and the hash lets the operator find the event. */
function tagBody(exchange: Exchange, { secret, body }: Permit): void {
  if (secret !== null && body !== null) exchange.bodySha256 = bodyTag(body);
}

/** Notes a failure for the record. */
function note(exchange: Exchange, permit: Permit, failure: ForwardFailure): void {
  tagBody(exchange, permit);
  if (failure.side !== 'upstream') return;
  exchange.upstreamFailure = failure.cause;
  exchange.upstreamError = failure.code;
}

/** The failure edge: an answer before the response has begun, a cut later. */
function failed(exchange: Exchange, failure: ForwardFailure): void {
  if (exchange.reply.committed) exchange.reply.cut();
  else if (failure.side === 'client') {
    exchange.hint ??= failure.hint ?? null;
    exchange.refuse(failure.reason);
  } else exchange.reply.refuse(GATEWAY_ANSWERS[failure.answer]);
}
