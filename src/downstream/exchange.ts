// One request and its answer, from the head to the end. The rules write what was decided, the reply what was answered, and
// the connection its end, in that order; nobody writes what is another's.
import type { Buffer } from 'node:buffer';
import type { Decision, Reason } from '../core/decision.ts';
import type { RuleName } from '../core/gate.ts';
import type { Head } from '../core/head.ts';
import type { RequestRecord, UpstreamFailure } from '../core/record.ts';
import { UNMATCHED } from '../core/routes.ts';
import { pathOf } from '../core/targets.ts';
import type { Connection } from './connection.ts';
import { Reply } from './reply.ts';

/** Why a body did not come whole, or was not taken. */
export type BodyFailure = 'bad_request' | 'body_too_large' | 'body_timeout' | 'overloaded' | 'client_closed';

/**
 * Whether a piece is still needed after the call. The memory of a read that nobody needs is given back at once: left to the
 * garbage collector, what 200 clients send in vain is more than the container has.
 */
export type Taken = 'copied' | 'kept';

export interface BodyReceiver {
  /** Milliseconds on the monotonic clock; `fail('body_timeout')` follows it. */
  readonly deadline: number;
  /** Bytes a millisecond over the last second or so; Infinity while the client is held back. */
  rate(now: number): number;
  /** `pieces`: chunks, or parts of them, that the body has come in so far. */
  piece(piece: Buffer, pieces: number): Taken;
  /** The body is whole. `last`: what came with its end; null for nothing. `trailers`: flat: name, value, … */
  end(last: Buffer | null, trailers: readonly string[], pieces: number): Taken;
  /** It will never be whole. Called at most once, and not after `end`. */
  fail(failure: BodyFailure): void;
}

/** A class with plain fields, one object a request: closures and option bags here cost 4 µs of 60. */
export class Exchange implements RequestRecord {
  readonly head: Head;
  /** The head's lines as they came, flat: name, value, … */
  readonly lines: readonly string[];
  readonly connection: Connection;
  readonly reply: Reply;
  /** Milliseconds on the monotonic clock. */
  readonly startedAt: number;
  /** Takes the body as it comes. Null: nobody wants it, and what comes is dropped. */
  receiver: BodyReceiver | null = null;

  route = UNMATCHED;
  decision: Decision = 'rejected';
  reason: Reason | 'none' = 'none';
  hint: string | null = null;
  rule: RuleName | null = null;
  header: string | null = null;
  secret: string | null = null;
  bodyBytes = 0;
  durationMs = 0;
  verifyMs = -1;
  upstreamMs = -1;
  upstreamStatus = 0;
  upstreamFailure: UpstreamFailure | null = null;
  upstreamError: string | null = null;
  bodySha256: string | null = null;
  client: string;
  /** True where the client's leaving does not count any more: an open tunnel ends so. */
  settled = false;
  #left = false;
  #onLeft: (() => void) | null = null;

  constructor(head: Head, lines: readonly string[], connection: Connection) {
    this.head = head;
    this.lines = lines;
    this.connection = connection;
    this.reply = new Reply(connection, head);
    this.startedAt = performance.now();
    this.client = connection.address;
  }

  get method(): string {
    return this.head.method;
  }

  get path(): string {
    return pathOf(this.head.target);
  }

  get traceId(): string | null {
    return traceIdOf(this.head.traceparent);
  }

  /** What the client was answered; 499 where it left before. */
  get status(): number {
    return this.reason === 'client_closed' ? 499 : this.reply.status;
  }

  /** One listener at a time hears that the client has left: the upstream's while it works. */
  onLeft(listener: (() => void) | null): void {
    this.#onLeft = listener;
  }

  /** True once the client has left before its answer was out. */
  get left(): boolean {
    return this.#left;
  }

  /** To be called by the connection alone, once: the client has left before its answer was out. */
  clientLeft(): void {
    this.#left = true;
    const listener = this.#onLeft;
    this.#onLeft = null;
    listener?.();
    // Decisions made before stay: a refusal, or a failure of the upstream.
    const decided = this.upstreamFailure !== null || (this.decision === 'rejected' && this.reason !== 'none');
    if (!decided && !this.settled) this.reason = 'client_closed';
  }
}

/** The trace id of a valid W3C `traceparent` (https://www.w3.org/TR/trace-context/#traceparent-header); else null. */
export function traceIdOf(traceparent: string | null): string | null {
  if (traceparent === null) return null;
  const match = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:$|-)/.exec(traceparent);
  if (match === null || /^0+$/.test(match[1] ?? '') || /^0+$/.test(match[2] ?? '')) return null;
  return match[1] ?? null;
}
