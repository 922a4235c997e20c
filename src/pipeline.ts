// THE LIFE OF A REQUEST, read this first. A request is recorded once, at its end, and needs a permit for the upstream.
// A delivery, which is a verified request but no probe, is recorded once more when its fate is known (core/fate.ts):
// that may be after its client has departed.
//
//   admit -> refuse
//         -> read the body -> admit the body -> refuse
//         `-> permit (-> once) -> slot -> connect -> send -> read -> answer
//                                   `-> failed, or not taken (-> stored -> 202) -> answer
//
// core/admission.ts decides, in one order; this file carries it out. A request that fails before the permit is refused
// with our own answer; in report mode some are forwarded. `once` answers a duplicate with 200. A request that fails
// later gets our answer if the response has not begun; else the response is cut. Only a failed connect is retried.
// downstream/connection.ts answers bytes that never become a head. This file is long so that it shows a whole life.
import type { Buffer } from 'node:buffer';
import { hash } from 'node:crypto';
import { NO_BYTES } from './base/bytes.ts';
import type { ByteBudget } from './bodies/budget.ts';
import type { BufferedBody } from './bodies/buffered-body.ts';
import type { Admission, Arrival, Permitted, Refused, ToRead } from './core/admission.ts';
import { admit, admitBody } from './core/admission.ts';
import { ANSWERS } from './core/answers.ts';
import { type DeliveryLease, type Fate, fateOf, isNotTaken } from './core/fate.ts';
import { largeBodyHint, OVERLOAD_HINTS } from './core/hint.ts';
import type { Permit } from './core/permit.ts';
import type { Policy } from './core/policy.ts';
import { hasBody } from './core/request-head.ts';
import { bodyTag, type DeliveryRecord } from './core/request-record.ts';
import type { Route } from './core/routes.ts';
import { clientAddressOf } from './downstream/client-address.ts';
import type { Exchange } from './downstream/client-exchange.ts';
import { createDiagnosis } from './hints/diagnose.ts';
import type { Claims } from './once/claims.ts';
import type { Arrivals } from './redelivery/arrivals.ts';
import type { Deferrable } from './redelivery/record.ts';
import { withForwarded } from './upstream/outgoing-head.ts';
import { type ForwardFailure, type ForwardOptions, STOPPED } from './upstream/requester.ts';
import type { Upstream } from './upstream/upstream.ts';
import { UpstreamExchange } from './upstream/upstream-exchange.ts';

interface PipelineParts {
  /** The current policy; called once for each request. */
  readonly policy: () => Policy;
  readonly upstream: Upstream;
  readonly budget: ByteBudget;
  /** Called only on routes with `once`. */
  readonly claims: () => Claims;
  /** Used only for deliveries on routes with `redeliver`. */
  readonly redelivery: Pick<Arrivals, 'defer' | 'taken'>;
  /** Called once a delivery's fate is known. */
  readonly onFate: (delivery: DeliveryRecord) => void;
}

/** A request and what applies to it until its end. */
interface Pending extends Arrival {
  readonly exchange: Exchange;
  /** Null if no body is read. */
  body: BufferedBody | null;
  /** The delivery to store if the app does not take it; null for a request that is never stored. */
  deferrable: Deferrable | null;
  /** The store's answer; null until the store is asked, at most once. A slow store may read the body after that. */
  asked: ReturnType<Arrivals['defer']> | null;
  /** The failure that ended the forwarding early; null if none did. */
  failure: ForwardFailure | null;
  /** True if the event was already delivered (`once`). */
  isDuplicate: boolean;
}

export class Pipeline {
  readonly #parts: PipelineParts;
  readonly #diagnose = createDiagnosis();
  #tunnels = 0;
  /** Deliveries that could still be stored, including those whose clients have departed. */
  #storable = 0;
  #onSettled: (() => void)[] = [];
  /** Aborted at the end of `shutdown.grace`: no delivery waits for a twin after that, see `endWaits`. */
  readonly #waits = new AbortController();

  constructor(parts: PipelineParts) {
    this.#parts = parts;
  }

  /** Handles a request once its head is complete. */
  begin(exchange: Exchange): void {
    const { head } = exchange;
    const policy = this.#parts.policy();
    exchange.client = clientAddressOf(exchange.client, exchange.lines, policy.trusts);
    const unknown = { body: null, deferrable: null, asked: null, failure: null, isDuplicate: false };
    const pending: Pending = { exchange, head, policy, at: Date.now(), ...unknown };
    this.#carryOut(pending, admit(pending));
  }

  /** Resolves when the fate of each delivery on a route with `redeliver` is known. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#storable === 0) resolve();
      else this.#onSettled.push(resolve);
    });
  }

  /** Ends every delivery's wait for a twin (the same event, being delivered), which may take long. */
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
    pending.body = exchange.readWhole(options, (end) => {
      if ('failure' in end) {
        if (end.failure === 'overloaded') exchange.hint = OVERLOAD_HINTS.bytes;
        if (end.failure === 'body_too_large') exchange.hint = largeBodyHint(route.maxBody, null);
        exchange.refuse(end.failure);
      } else this.#judge(pending, toRead, end.body);
    });
  }

  #judge(pending: Pending, toRead: ToRead, body: Buffer): void {
    const { exchange } = pending;
    const started = performance.now();
    const admission = admitBody(toRead, pending, body);
    exchange.verifyMs = performance.now() - started;
    if (admission.kind === 'forward') return this.#deliver(pending, admission);
    if (admission.kind === 'refuse') this.#refuse(pending, admission);
    else this.#forward(pending, admission);
    // The diagnosis comes after the answer: its duration depends on the secrets, and no client may observe it.
    const { policy, at, head } = pending;
    const tried = { secrets: policy.keyring.secrets, listed: toRead.route.secrets, at };
    exchange.hint = this.#diagnose.mismatch({ ...tried, body, given: head.signature, lines: exchange.lines });
    if (admission.kind === 'refuse') pending.body?.discard();
  }

  #deliver(pending: Pending, permitted: Permitted): void {
    const { route, permit } = permitted;
    if (permit.decision === 'probe') return this.#forward(pending, permitted);
    pending.exchange.fate = 'pending';
    const { head, at, policy } = pending;
    const { once, redeliver } = route;
    // Every request here is verified; an unverified one must never be stored and sent again.
    if (redeliver !== null && head.method !== 'GET' && head.method !== 'HEAD') {
      this.#storable++;
      const body = permit.body ?? NO_BYTES;
      pending.deferrable = { head, lines: linesOf(pending, route), body, route, permit, at, policy };
    }
    if (once === null) this.#forward(pending, permitted);
    else void this.#deliverOnce(pending, permitted, once);
  }

  /** Called only for verified requests: otherwise anyone could mark an event as delivered. */
  async #deliverOnce(pending: Pending, permitted: Permitted, window: number): Promise<void> {
    const { exchange, head, policy, deferrable } = pending;
    const { permit } = permitted;
    exchange.decide(permit.decision, permit.reason, permit.secret);
    const { responseTimeout, idleTimeout } = policy.settings;
    const patience = retryConnectFor(pending) + responseTimeout + idleTimeout;
    const event = { path: head.path, body: permit.body ?? NO_BYTES, window };
    const claimed = await this.#parts.claims().claim({ ...event, patience, stop: this.#waits.signal });
    switch (claimed.kind) {
      case 'deliver':
        if (!exchange.departed || deferrable !== null) return this.#forward(pending, permitted, claimed.lease);
        claimed.lease.failed();
        break;
      case 'refuse':
        pending.failure = { side: 'client', reason: 'overloaded', hint: OVERLOAD_HINTS[claimed.full] };
        failed(exchange, pending.failure);
        break;
      case 'duplicate':
        pending.isDuplicate = true;
        exchange.decide('duplicate', 'none');
        exchange.reply.refuse(ANSWERS.duplicate);
        break;
      case 'stopped':
        if (!exchange.departed || deferrable !== null) this.#fail(pending, STOPPED);
        break;
      default:
        claimed satisfies never;
    }
    this.#over(pending, permit, 'sent');
  }

  /** Sends the request upstream. `lease`: null on a route without `once`. */
  #forward(pending: Pending, permitted: Permitted, lease: DeliveryLease | null = null): void {
    const { exchange, policy, deferrable } = pending;
    const { permit, route } = permitted;
    const { settings } = policy;
    exchange.route = route.path;
    if (permit.tunnel && this.#tunnels >= settings.connections / 2) {
      exchange.hint = OVERLOAD_HINTS.tunnels;
      return exchange.refuse('overloaded');
    }
    exchange.decide(permit.decision, permit.reason, permit.secret);
    const options: ForwardOptions = {
      lines: deferrable?.lines ?? linesOf(pending, route),
      patience: retryConnectFor(pending),
      responseTimeout: route.responseTimeout ?? settings.responseTimeout,
      idleTimeout: route.idleTimeout ?? settings.idleTimeout,
      lease,
      atHead: deferrable && ((status) => (isNotTaken(status) ? this.#defer(pending, deferrable, `${status}`) : null)),
      budget: this.#parts.budget,
      onFailure: (failure) => this.#fail(pending, failure),
      onEnd: (sending) => {
        if (permit.tunnel) this.#tunnels--;
        this.#over(pending, permit, sending);
      },
    };
    if (permit.tunnel) this.#tunnels++;
    exchange.stallTimeout = options.idleTimeout;
    new UpstreamExchange(permit, exchange, this.#parts.upstream, options).start();
  }

  /** Called on a failure: stores the delivery if possible; else the client gets our answer, or its response is cut. */
  #fail(pending: Pending, failure: ForwardFailure): void {
    const { exchange, deferrable, asked } = pending;
    pending.failure = failure;
    // After a failure on the client's side, the delivery is stored only if the proxy is full or stops.
    const isOurs = failure.side === 'upstream' || failure.reason === 'overloaded';
    if (deferrable === null || exchange.reply.committed || !isOurs || asked !== null) return failed(exchange, failure);
    const why = failure.side === 'upstream' ? failure.cause : failure.reason;
    void this.#defer(pending, deferrable, why).then((told) => {
      if (told === 'passes') failed(exchange, failure);
    });
  }

  /** Stores a delivery that the app did not take; its client gets 202 once it is stored. */
  #defer(pending: Pending, deferrable: Deferrable, failure: string): ReturnType<Arrivals['defer']> {
    const { exchange } = pending;
    pending.asked = this.#parts.redelivery.defer(deferrable, failure).then((told) => {
      if (told === 'passes') return told;
      exchange.decide('deferred', 'none');
      exchange.reply.refuse(ANSWERS.deferred);
      return told;
    });
    return pending.asked;
  }

  /** Ends a request's forwarding. A delivery's fate is now known, or will be once the store, if asked, has answered. */
  #over(pending: Pending, { body }: Permit, sending: 'sent' | 'unsent'): void {
    const { exchange, deferrable, asked, body: memory } = pending;
    const over = (stored: boolean) => {
      if (exchange.fate === 'pending') {
        const known = fateIn(pending, stored);
        exchange.fate = known;
        if (UNTAKEN.has(known)) exchange.bodySha256 = bodyTag(hash('sha256', body ?? NO_BYTES, 'hex'));
        this.#parts.onFate(exchange as Exchange & { fate: Fate });
        if (known === 'taken' && deferrable !== null) void this.#parts.redelivery.taken(deferrable);
      }
      // A socket, or a store that is slow, may still be reading from the body's memory.
      if (sending === 'sent' && asked === null) memory?.discard();
      else memory?.forget();
      if (deferrable !== null && --this.#storable === 0) for (const resolve of this.#onSettled.splice(0)) resolve();
    };
    if (asked === null) over(false);
    else void asked.then((told) => over(told === 'stored'));
  }
}

/** The exchange's decision would not do: it stays as it was when the client departed. */
function fateIn({ exchange: { upstreamStatus: status }, failure, isDuplicate }: Pending, stored: boolean): Fate {
  return isDuplicate ? 'duplicate' : fateOf({ stored, failed: failure?.side ?? null, status });
}

/** Fates after which the sender may never try again: the body's hash in the log helps to find the event. */
const UNTAKEN: ReadonlySet<Fate> = new Set(['failed', 'abandoned', 'deferred']);

const retryConnectFor = ({ policy, deferrable }: Pending): number =>
  policy.settings.retryConnectFor[deferrable === null ? 'plain' : 'storable'];

/** The header lines to send upstream. */
function linesOf({ exchange, policy }: Pending, route: Route): readonly string[] {
  const { forwardedHeaders } = policy.settings;
  return forwardedHeaders === 'none' ? exchange.lines : withForwarded(exchange, route.allowHeaders);
}

/** Sends our answer if no byte of a response has been sent; else cuts the response. */
function failed(exchange: Exchange, failure: ForwardFailure): void {
  if (exchange.reply.committed) exchange.reply.cut();
  else if (failure.side === 'client') {
    exchange.hint ??= failure.hint ?? null;
    exchange.refuse(failure.reason);
  } else exchange.reply.refuse(ANSWERS[failure.answer]);
}
