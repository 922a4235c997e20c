// THE LIFE OF A REQUEST, read this first. A request is recorded once, at its end, and needs a permit for the upstream.
// A delivery, which is a verified request but no probe, is recorded once more when its fate is known (core/fate-by-status.ts):
// that may be after its client has departed.
//
//   admit -> refuse
//         -> read the body -> admit the body -> refuse
//         `-> permit (-> once) -> sent -> answered -> relayed --------------------------------------> settled: the fate
//                                    |      `-> the app may take it later: its head waits -> stored, 202 ----^
//                                    |                                       `-> not stored: relayed --------^
//                                    `-> failed -> stored, 202; else our answer, or a cut -------------------^
//
// core/admission.ts decides, in one order; this file carries it out, and its methods stand in the order in which they
// are called. A request that fails before the permit is refused with our own answer; in report mode some are forwarded.
// `once` answers a duplicate with 200. An answer begins only once it is decided which one it is: a request that fails
// after that is cut. Only a failed connect is retried. downstream/connection.ts answers bytes that never become a head.
import type { Buffer } from 'node:buffer';
import { hash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { NO_BYTES } from './base/bytes.ts';
import { SMALL_BODY } from './bodies/budget.ts';
import { type BodyEnd, BufferedBody } from './bodies/buffered-body.ts';
import { type Applicant, admit, admitBody, type Permitted, type Refused, type ToRead } from './core/admission.ts';
import { ANSWERS } from './core/answers.ts';
import { type DeliveryClaim, type DeliveryEnd, type Fate, fateOf, isUntaken } from './core/fate-by-status.ts';
import { largeBodyHint, OVERLOAD_HINTS } from './core/hint.ts';
import type { Secret } from './core/keyring.ts';
import { hasBody } from './core/request-head.ts';
import { bodyTag, type DeliveryRecord } from './core/request-record.ts';
import type { Route } from './core/routes.ts';
import { clientAddressOf } from './downstream/client-address.ts';
import type { Exchange } from './downstream/client-exchange.ts';
import { createDiagnosis, outsideHint } from './hints/refused-signature.ts';
import type { Claimed } from './once/claims.ts';
import type { Needs } from './redelivery/process-parts.ts';
import type { Deferrable } from './redelivery/record.ts';
import type { Storing } from './redelivery/storing.ts';
import { type End, type ForwardFailure, overloaded, type Reached } from './upstream/contract.ts';
import { withForwarded } from './upstream/forwarded-headers.ts';
import { UpstreamExchange } from './upstream/upstream-exchange.ts';

interface PipelineParts extends Pick<Needs, 'policy' | 'upstream' | 'budget' | 'claims'> {
  /** Used only for deliveries on routes with `redeliver`. */
  readonly storing: Pick<Storing, 'defer' | 'taken'>;
  /** Called with the value that verified a delivery: a reload may give its id another value. */
  readonly onVerified: (secret: Secret | null, route: string) => void;
  /** Called once a delivery's fate is known, before or after its request's end: runtime/services.ts records it. */
  readonly onFate: (delivery: DeliveryRecord) => void;
  /** True if a delivery that the app refused is logged with its body's hash: made only where somebody reads it. */
  readonly tellsRefused: () => boolean;
}

/** A request and what applies to it until its end. */
interface Pending extends Applicant {
  readonly exchange: Exchange;
  /** Null if no body is read. */
  body: BufferedBody | null;
  /** The verified bytes of a delivery's body; no bytes for every other request. */
  verified: Buffer;
  /** The delivery to store if the app does not take it; null for a request that is never stored. */
  deferrable: Deferrable | null;
}

/**
 * Resolves when the last large body in the queue may be verified: each gets a turn of the event loop of its own. Node
 * accepts one connection per turn, so when the HMACs of 200 bodies of 1 MiB shared one, a new client waited 6 s.
 */
let lastTurn: Promise<void> = Promise.resolve();

export class Pipeline {
  readonly #parts: PipelineParts;
  readonly #diagnose = createDiagnosis();
  /** At most half of `limits.connections`, so requests keep the other half. */
  #tunnels = 0;
  /** Deliveries whose fate is not known yet, including those whose clients have departed. */
  unsettled = 0;
  #onSettled: (() => void)[] = [];
  /** Aborted at the end of `shutdown.grace`: no delivery waits for a twin after that, see `endWaits`. */
  readonly #waits = new AbortController();

  constructor(parts: PipelineParts) {
    this.#parts = parts;
  }

  /** Handles a request once its head is complete. */
  begin(exchange: Exchange): void {
    if (this.#parts.upstream.pool.leadsBack(exchange.clientConnection.key)) return exchange.refuse('loop_detected');
    const { head } = exchange;
    const policy = this.#parts.policy();
    exchange.client = clientAddressOf(exchange.client, exchange.lines, policy.trusts);
    const at = Date.now();
    const pending: Pending = { exchange, head, policy, at, body: null, verified: NO_BYTES, deferrable: null };
    const admission = admit(pending);
    if (admission.kind === 'read') return this.#read(pending, admission);
    const { reason } = admission.kind === 'refuse' ? admission : admission.permit;
    exchange.hint = admission.hint ?? this.#diagnose.form(head, reason);
    if (admission.kind === 'refuse') this.#refuse(pending, admission);
    else this.#forward(pending, admission);
  }

  #refuse({ exchange }: Pending, { routePath, rule, header, reason, allow }: Refused): void {
    exchange.route = routePath;
    exchange.rule = rule;
    exchange.header = header;
    exchange.refuse(reason, allow);
  }

  /** Reads the body whole. A large one then waits for its turn, and is dropped if the client departs meanwhile. */
  #read(pending: Pending, toRead: ToRead): void {
    const { exchange, head, policy } = pending;
    const { route, declared } = toRead;
    exchange.route = route.path;
    if (!hasBody(head)) return this.#admitBody(pending, toRead, NO_BYTES);
    const { startedAt } = exchange;
    const deadline = startedAt + policy.settings.bodyTimeout;
    const done = (end: BodyEnd) => this.#bodyRead(pending, toRead, end);
    const { budget } = this.#parts;
    const body = new BufferedBody({ budget, maxBody: route.maxBody, declared, startedAt, deadline, done });
    pending.body = exchange.receiver = body; // the connection gives it what comes
    exchange.onDeparture(body);
    exchange.reply.continue();
  }

  #bodyRead(pending: Pending, toRead: ToRead, end: BodyEnd): void {
    const { exchange } = pending;
    exchange.onDeparture(null);
    exchange.receiver = null;
    if ('failure' in end) {
      if (end.failure === 'overloaded') exchange.hint = OVERLOAD_HINTS.bytes;
      if (end.failure === 'body_too_large') exchange.hint = largeBodyHint(toRead.route.maxBody, null);
      return exchange.refuse(end.failure);
    }
    if (end.body.length <= SMALL_BODY) return this.#admitBody(pending, toRead, end.body);
    lastTurn = lastTurn.then(nextTurn).then(() => {
      if (exchange.reply.phase === 'gone') pending.body?.discard();
      else this.#admitBody(pending, toRead, end.body);
    });
  }

  #admitBody(pending: Pending, toRead: ToRead, body: Buffer): void {
    const { exchange } = pending;
    const started = performance.now();
    const admission = admitBody(toRead, pending, body);
    exchange.verifyMs = performance.now() - started;
    if (admission.kind === 'permit') return this.#deliver(pending, admission);
    if (admission.kind === 'refuse') this.#refuse(pending, admission);
    else this.#forward(pending, admission); // in report mode
    // The diagnosis comes after the answer: its duration depends on the secrets, and no client may observe it.
    const { policy, at, head } = pending;
    const tried = { secrets: policy.keyring.secrets, listed: toRead.route.secrets, at };
    exchange.hint = outsideHint(admission.secret, tried);
    // A body whose memory was given back is not there to be diagnosed.
    if (exchange.hint === null && body.length === exchange.bodyBytes)
      exchange.hint = this.#diagnose.mismatch({ ...tried, body, given: head.signature, lines: exchange.lines });
    if (admission.kind === 'refuse') pending.body?.discard();
  }

  #deliver(pending: Pending, permitted: Permitted): void {
    const { route, permit } = permitted;
    if (permit.decision !== 'accepted') return this.#forward(pending, permitted); // a probe
    this.#parts.onVerified(permit.secret, route.path);
    pending.verified = permit.body ?? NO_BYTES;
    pending.exchange.fate = 'pending';
    this.unsettled++;
    const { head, at } = pending;
    const { once, redeliver } = route;
    // An unverified request must never be stored. GET and HEAD only read.
    if (redeliver !== null && head.method !== 'GET' && head.method !== 'HEAD') {
      const lines = linesOf(pending, route);
      pending.deferrable = { head, lines, body: pending.verified, route, permit, came: at };
    }
    if (once === null) this.#forward(pending, permitted);
    else this.#deliverOnce(pending, permitted, once);
  }

  /** Claims the delivery's event first. Only for verified requests: else anyone could mark an event as delivered. */
  #deliverOnce(pending: Pending, permitted: Permitted, window: number): void {
    const { exchange, head, policy, verified: body } = pending;
    const { permit } = permitted;
    exchange.decide(permit.decision, permit.reason, permit.secret?.id);
    // The longest that a twin (the same event under way) may take.
    const { responseTimeout, idleTimeout } = policy.settings;
    const until = performance.now() + retryConnectFor(pending) + responseTimeout + idleTimeout;
    const claimed = this.#parts.claims().claim({ head, body, window, until, stop: this.#waits.signal });
    if (claimed instanceof Promise) void claimed.then((late) => this.#claimed(pending, permitted, late));
    else this.#claimed(pending, permitted, claimed);
  }

  #claimed(pending: Pending, permitted: Permitted, claimed: Claimed): void {
    const { exchange, deferrable } = pending;
    const isUnwanted = exchange.reply.phase === 'gone' && deferrable === null;
    switch (claimed.kind) {
      case 'deliver':
        if (!isUnwanted) return this.#forward(pending, permitted, claimed);
        claimed.failed();
        return this.#settle(pending, UNSENT);
      case 'stopped':
        if (!isUnwanted) return void this.#deferOrAnswer(pending, { ...UNSENT, failure: overloaded('stopped') });
        return this.#settle(pending, UNSENT);
      case 'refuse': {
        const failure = overloaded(claimed.full);
        answerFailure(exchange, failure);
        return this.#settle(pending, { ...UNSENT, failure });
      }
      case 'duplicate':
        exchange.decide('duplicate', 'none');
        exchange.reply.sendOwn(ANSWERS.duplicate);
        return this.#settle(pending, UNSENT, 'duplicate');
      default:
        claimed satisfies never;
    }
  }

  /** Sends the request upstream. `claim`: null if no event was claimed. */
  #forward(pending: Pending, permitted: Permitted, claim: DeliveryClaim | null = null): void {
    const { exchange, policy, deferrable } = pending;
    const { permit, route } = permitted;
    const { settings } = policy;
    exchange.route = route.path;
    if (permit.tunnel && this.#tunnels >= settings.connections / 2) {
      exchange.hint = OVERLOAD_HINTS.tunnels;
      return exchange.refuse('overloaded');
    }
    if (permit.tunnel) this.#tunnels++;
    exchange.decide(permit.decision, permit.reason, permit.secret?.id);
    exchange.stallTimeout = route.idleTimeout ?? settings.idleTimeout;
    const forwarding = new UpstreamExchange(permit, exchange, this.#parts.upstream, {
      lines: deferrable?.lines ?? linesOf(pending, route),
      patience: retryConnectFor(pending),
      responseTimeout: route.responseTimeout ?? settings.responseTimeout,
      idleTimeout: exchange.stallTimeout,
      claim,
      deferrable: deferrable !== null,
      budget: this.#parts.budget,
    });
    // A callback: an async function would keep 0.6 KB more for each request that waits.
    forwarding.send((reached) => {
      if (permit.tunnel) this.#tunnels--; // a tunnel is never deferrable, so this is its end
      if (reached.at === 'end' && reached.failure === null) this.#settle(pending, reached);
      else void this.#deferOrAnswer(pending, reached);
    });
  }

  /**
   * Called where no whole answer was relayed: because of a failure, or since it waits at its head. Stores a delivery, and
   * answers 202 if that is done in time; else gives the client the app's answer, or ours.
   */
  async #deferOrAnswer(pending: Pending, reached: Reached): Promise<void> {
    const { exchange, deferrable } = pending;
    const why = whyStored(exchange, reached);
    const deferral = deferrable === null || why === null ? null : this.#parts.storing.defer(deferrable, why);
    if (deferral !== null && (await deferral.inTime) === 'stored') {
      exchange.decide('deferred', 'none');
      exchange.reply.sendOwn(ANSWERS.deferred);
      return this.#settle(pending, reached.at === 'head' ? reached.answer.drop() : reached, 'stored');
    }
    const end = reached.at === 'head' ? await reached.answer.relay() : reached;
    if (end.failure !== null) answerFailure(exchange, end.failure);
    if (deferral === null) return this.#settle(pending, end);
    // It may be stored after all, if late, and until then the store may read the body.
    this.#settle(pending, { ...end, memory: 'in use' }, await deferral.atLast);
  }

  /** Settles what is left of a request: a delivery's fate is recorded, and the body's memory given back. */
  #settle({ exchange, deferrable, verified, body }: Pending, end: End, how: DeliveryEnd['how'] = 'not stored'): void {
    if (exchange.fate === 'pending') {
      const fate = fateOf({ how, failed: end.failure?.side ?? null, status: exchange.upstreamStatus });
      exchange.fate = fate;
      // The sender may never send it again: by its hash a person finds the event.
      if (isUntaken(fate) && (fate !== 'refused' || this.#parts.tellsRefused()))
        exchange.bodySha256 = bodyTag(hash('sha256', verified, 'hex'));
      this.#parts.onFate(exchange as Exchange & { fate: Fate });
      // `taken` hashes the body before it returns; only then, below, is the body's memory given back.
      if (fate === 'taken' && deferrable !== null) void this.#parts.storing.taken(deferrable);
      if (--this.unsettled === 0) for (const resolve of this.#onSettled.splice(0)) resolve();
    }
    if (end.memory === 'free') body?.discard();
    else body?.forget();
  }

  // --- the end of the process

  /** Resolves when the fate of each delivery is known. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      if (this.unsettled === 0) resolve();
      else this.#onSettled.push(resolve);
    });
  }

  /** Ends every delivery's wait for a twin (the same event, being delivered), which may take long. */
  endWaits(): void {
    this.#waits.abort();
  }
}

/** The end of a delivery that was not sent: nothing uses its body. */
const UNSENT: End = { at: 'end', failure: null, memory: 'free' };

/** Why the delivery is to be stored, for its note; null if it is not. */
function whyStored({ reply, upstreamStatus }: Exchange, reached: Reached): string | null {
  if (reached.at === 'head') return `${upstreamStatus}`;
  const { failure } = reached;
  // Once an answer has begun, no other can be given.
  if (failure === null || reply.status !== 0) return null;
  if (failure.side === 'upstream') return failure.cause;
  // On the client's side `overloaded` means that the proxy is full or stops; any other failure is the client's own.
  return failure.reason === 'overloaded' ? failure.reason : null;
}

const retryConnectFor = ({ policy, deferrable }: Pending): number =>
  policy.settings.retryConnectFor[deferrable === null ? 'plain' : 'deferrable'];

/** The header lines to send upstream. */
function linesOf({ exchange, policy }: Pending, route: Route): readonly string[] {
  const { forwardedHeaders } = policy.settings;
  return forwardedHeaders === 'none' ? exchange.lines : withForwarded(exchange, route.allowHeaders);
}

/** Sends our answer if no answer has begun; else cuts that. */
function answerFailure(exchange: Exchange, failure: ForwardFailure): void {
  if (exchange.reply.status !== 0) exchange.reply.cut();
  else if (failure.side === 'client') {
    exchange.hint ??= failure.hint ?? null;
    exchange.refuse(failure.reason);
  } else exchange.reply.sendOwn(ANSWERS[failure.answer]);
}
