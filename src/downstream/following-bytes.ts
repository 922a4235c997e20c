// The bytes that a client sends after the request in progress. Reading on after a dropped byte would take the middle of
// a body for a request, or swallow a request unanswered, so `dropped` is final.
//
// Pipelined bytes are kept up to `maxHeader`. But a client may have its whole answer before the kernel tells us so, in
// TLS regularly. If its next request then exceeds `maxHeader`, the byte budget counts it, and reading pauses.
import type { Buffer } from 'node:buffer';
import { JoinedBytes, NO_BYTES } from '../base/bytes.ts';
import type { UnfinishedBody } from '../bodies/budget.ts';
import type { Connection } from './connection.ts';
import type { Listener } from './listener.ts';

/** Bytes that Node may still read from a paused socket: until its own buffer of 64 KiB is full, and one more read. */
const READ_AHEAD = 128 * 1024;
/** Milliseconds in which a client must read its answer once it has sent more than `maxHeader` of its next request. */
const ANSWER_MS = 1000;

type ConnectionPart = Pick<Connection, 'stream' | 'mayHaveAnswer' | 'deadline'>;
type ListenerPart = Pick<Listener, 'limits' | 'budget'>;

export class FollowingBytes implements UnfinishedBody {
  place = -1;
  /** Bytes reserved from the budget. While this is not 0, the connection is not read. */
  buffered = 0;
  state: 'none' | 'kept' | 'dropped' = 'none';
  readonly #connection: ConnectionPart;
  readonly #listener: ListenerPart;
  #kept: JoinedBytes | null = null;
  #keptAt = 0;

  constructor(connection: ConnectionPart, listener: ListenerPart) {
    this.#connection = connection;
    this.#listener = listener;
  }

  /** Called when this many bytes follow the request. If they are too many, drops them: the answer then says `close`. */
  foresee(bytes: number): void {
    if (bytes > this.#listener.limits.maxHeader && !this.#connection.mayHaveAnswer) this.drop();
  }

  /** Keeps a copy, since a view would keep the whole read in memory. If there is no room, drops all from here on. */
  keep(bytes: Buffer): void {
    if (this.state === 'dropped') return;
    const total = (this.#kept?.length ?? 0) + bytes.length;
    const isLong = total > this.#listener.limits.maxHeader;
    if (isLong && !(this.#connection.mayHaveAnswer && this.#reserve(total))) return this.drop();
    this.#kept ??= new JoinedBytes(this.#listener.limits.maxHeader);
    this.#kept.add(bytes);
    this.state = 'kept';
  }

  /** Drops the kept bytes and everything that follows. */
  drop(): void {
    this.#release();
    this.#kept = null;
    this.state = 'dropped';
  }

  /** Returns the kept bytes, to be read next. */
  drain(): Buffer | 'dropped' {
    if (this.state === 'dropped') return 'dropped';
    this.#release();
    const kept = this.#kept?.bytes ?? NO_BYTES;
    this.#kept = null;
    this.state = 'none';
    return kept;
  }

  rate(now: number): number {
    return (this.#kept?.length ?? 0) / (now - this.#keptAt);
  }

  /** Called when the budget needs the memory for others. */
  fail(): void {
    this.drop();
  }

  #reserve(bytes: number): boolean {
    const needed = bytes + READ_AHEAD;
    if (!this.#listener.budget.reserve(needed, null)) return false; // the old copy still counts
    this.#release();
    this.buffered = needed;
    this.#keptAt = performance.now();
    this.#listener.budget.unfinished.add(this);
    this.#connection.stream.pause();
    this.#connection.deadline = this.#keptAt + ANSWER_MS;
    return true;
  }

  #release(): void {
    if (this.buffered === 0) return;
    this.#listener.budget.release(this.buffered);
    this.buffered = 0;
    this.#listener.budget.unfinished.delete(this);
    this.#connection.stream.resume();
  }
}
