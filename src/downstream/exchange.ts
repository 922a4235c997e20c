// One request and its answer, from the head to the end. The rules write what was decided, the reply what was answered, and
// the connection its end, in that order; nobody writes what is another's.
import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import type { Decision, Reason } from '../core/decision.ts';
import type { RuleName } from '../core/gate.ts';
import type { Head } from '../core/head.ts';
import type { RequestRecord, UpstreamFailure } from '../core/record.ts';
import { UNMATCHED } from '../core/routes.ts';
import { pathOf } from '../core/targets.ts';
import type { BodyReceiver } from './body.ts';
import type { Reply } from './reply.ts';

/** What an exchange may know of its connection, and ask of it. */
export interface ClientConnection {
  /** The client's address; IPv4 without the prefix of dual-stack sockets. */
  readonly address: string;
  readonly encrypted: boolean;
  /** Its socket; to be written to by the reply alone, but for a tunnel. */
  readonly stream: Socket;
  /** Milliseconds that the client may leave the answer unread; 0 is off. To be set for each request. */
  stallTimeout: number;
  /** Stops and resumes reading, for a body that streams. */
  pauseReading(): void;
  resumeReading(): void;
  /** Gives the socket away for a tunnel, with what came behind the request. Nobody else reads it from now on. */
  giveAway(): { readonly stream: Socket; readonly early: Buffer };
}

/** A class with plain fields, one object a request: closures and option bags here cost 4 µs of 60. */
export class Exchange implements RequestRecord {
  readonly head: Head;
  /** The head's lines as they came, flat: name, value, … */
  readonly lines: readonly string[];
  readonly connection: ClientConnection;
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

  constructor(message: { head: Head; lines: readonly string[] }, connection: ClientConnection, reply: Reply) {
    this.head = message.head;
    this.lines = message.lines;
    this.connection = connection;
    this.reply = reply;
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
