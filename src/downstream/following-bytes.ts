// The bytes that a client sends behind the request in progress. Reading on behind a dropped byte would take the middle
// of a body for a request, or swallow a request unanswered: so `dropped` is final, and then there is nothing to take.
import { Buffer } from 'node:buffer';
import { appended } from '../wire/sockets.ts';

const EMPTY = Buffer.alloc(0);

export class FollowingBytes {
  #kept = EMPTY;
  state: 'none' | 'kept' | 'dropped' = 'none';

  /** Keeps a copy, which keeps no whole read alive; drops everything if there are more than `most` bytes in all. */
  keep(bytes: Buffer, most: number): void {
    if (this.state === 'dropped') return;
    if (this.#kept.length + bytes.length > most) return this.drop();
    this.#kept = appended(this.#kept, bytes);
    this.state = 'kept';
  }

  /** Says that bytes were dropped, or will be. */
  drop(): void {
    this.#kept = EMPTY;
    this.state = 'dropped';
  }

  /** Returns the bytes that follow, to be read next. */
  take(): Buffer | 'dropped' {
    if (this.state === 'dropped') return 'dropped';
    const kept = this.#kept;
    this.#kept = EMPTY;
    this.state = 'none';
    return kept;
  }
}
