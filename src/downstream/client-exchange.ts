// One request and its answer, from the request's head to the end of both. Only this file sets the decision and the
// reason; only reply.ts sets the status, and says whether the connection persists.
import type { BodyReceiver } from '../bodies/buffered-body.ts';
import { ANSWERS, notAllowed } from '../core/answers.ts';
import { PARSER_RULES, type RuleName } from '../core/gate-rules.ts';
import { firstValue } from '../core/header-lines.ts';
import { BROKEN_OFF, type Hint, OVERLOAD_HINTS } from '../core/hint.ts';
import type { Decision, Reason, UpstreamFailure } from '../core/reasons.ts';
import { type Head, traceIdOf } from '../core/request-head.ts';
import { eventOf, type RequestRecord } from '../core/request-record.ts';
import { UNMATCHED } from '../core/routes.ts';
import { renamedSignature, signatureForm } from '../core/signature.ts';
import { type ClientConnection, Reply } from './reply.ts';
import type { RequestCopy } from './request-copies.ts';

export interface Handler {
  /** Called at a request's whole head: for the proxy `begin` in pipeline.ts. The body goes to the `receiver` it sets, or is dropped. */
  onRequest(exchange: Exchange): void;
  /** Called once a request has ended, in whatever way: runtime/services.ts records it, and logs it if its fate is known. */
  onRequestEnd(exchange: Exchange): void;
  /** Called when a connection is ended before any answer, since there are too many, or too many TLS handshakes. */
  onTurnedAway?(cause: 'limit' | 'handshakes', address: string): void;
  onFailedHandshake?(why: Hint, address: string): void;
}

/** Milliseconds for which an answer may make no progress if its request is not forwarded or its connection closes. */
export const STALL_MS = 30_000;

export interface DepartureListener {
  /** Called once if the client departs before its answer was sent. */
  clientDeparted(): void;
}

/** One object with plain fields for each request: closures and option bags would cost 4 of the request's 60 µs. */
export class Exchange implements RequestRecord {
  readonly head: Head;
  /** The head's lines as they came, flat: name, value, … */
  readonly lines: readonly string[];
  readonly method: string;
  readonly path: string;
  readonly clientConnection: ClientConnection;
  readonly reply: Reply;
  /** Milliseconds on the monotonic clock. */
  readonly startedAt: number;
  /** Receives the body from the connection as it comes; null if the body is dropped. */
  receiver: BodyReceiver | null = null;
  /** Milliseconds for which the client may leave the response unread; 0 is off. */
  stallTimeout = STALL_MS;

  decision: Decision = 'rejected';
  reason: Reason | 'none' = 'none';
  route = UNMATCHED;
  hint: Hint | null = null;
  rule: RuleName | null = null;
  header: string | null = null;
  secret: string | null = null;
  bodyBytes = 0;
  durationMs = -1;
  departedMs = -1;
  fate: RequestRecord['fate'] = 'none';
  verifyMs = -1;
  upstreamMs = -1;
  upstreamStatus = 0;
  interims = 0;
  upstreamFailure: UpstreamFailure | null = null;
  upstreamError: string | null = null;
  bodySha256: string | null = null;
  /** The client's address for the log: the connection's, or one that a trusted proxy names. */
  client: string;
  /** The request's bytes as they came; null unless it began while requests are captured. */
  copy: RequestCopy | null = null;
  #onDeparture: DepartureListener | null = null;
  #event: string | null = null;

  constructor(head: Head, lines: readonly string[], connection: ClientConnection) {
    this.head = head;
    this.lines = lines;
    this.method = head.method;
    this.path = head.path;
    this.clientConnection = connection;
    this.reply = new Reply(connection, head);
    this.startedAt = connection.since;
    this.client = connection.address;
  }

  /** Says to src/upstream that a client waits for the answer. */
  get from(): 'client' {
    return 'client';
  }

  get traceId(): string | null {
    return traceIdOf(this.lines);
  }

  get connectionAddress(): string {
    return this.clientConnection.address;
  }

  get userAgent(): string {
    return firstValue(this.lines, 'user-agent');
  }

  get contentType(): string {
    return firstValue(this.lines, 'content-type');
  }

  get renamedHeader(): string | null {
    return this.signed ? null : renamedSignature(this.lines);
  }

  get signed(): boolean {
    return this.head.signatures > 0;
  }

  get event(): string {
    this.#event ??= signatureForm(this.head).reason === null ? eventOf(this.head) : '';
    return this.#event;
  }

  /** The status of the answer; 499 if the client departed before it. */
  get status(): number {
    return this.reason === 'client_closed' ? 499 : this.reply.status;
  }

  /** Sets the decision, unless the request has ended: the decision that the client saw stays. */
  decide(decision: Decision, reason: Reason | 'none', secret = this.secret): void {
    if (this.durationMs >= 0) return;
    this.decision = decision;
    this.reason = reason;
    this.secret = secret;
  }

  /**
   * Refuses the request; nothing is sent if the reason is `client_closed`. A verified probe keeps the decision `probe`:
   * nobody needs to know that it was refused. `allow`: the methods that the route allows, for 405.
   */
  refuse(reason: Reason, allow: readonly string[] | null = null): void {
    if (this.decision !== 'probe') this.decide('rejected', reason);
    if (this.hint !== BROKEN_OFF) this.rule ??= PARSER_RULES[reason] ?? null;
    if (reason !== 'client_closed') this.reply.sendOwn(allow === null ? ANSWERS[reason] : notAllowed(allow));
  }

  /** Sets the one listener for the client's departure. A public field cost 30 MiB and 10 % of CPU more under load. */
  onDeparture(listener: DepartureListener | null): void {
    this.#onDeparture = listener;
  }

  /** Called once, by the connection alone, when its end comes before the answer was sent. `by`: the side that ends it. */
  clientDeparted(by: 'client' | 'stop'): void {
    this.reply.abandon();
    this.departedMs = performance.now() - this.startedAt;
    // The reason stays if the request was refused, or if an answer has begun that the upstream broke off, or the stop.
    const isRefused = this.decision === 'rejected' && this.reason !== 'none';
    if (by === 'stop' && !isRefused) this.hint ??= OVERLOAD_HINTS.stopped;
    const decided = isRefused || (this.reply.status !== 0 && (by === 'stop' || this.upstreamFailure !== null));
    // A tunnel's client may leave at any time; that is no failure.
    if (!decided && this.reply.status !== 101) this.reason = 'client_closed';
    const listener = this.#onDeparture;
    this.#onDeparture = null;
    listener?.clientDeparted();
  }
}
