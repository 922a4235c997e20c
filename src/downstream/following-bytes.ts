// The bytes that a client sends behind the request in progress. Reading on behind a dropped byte would take the middle
// of a body for a request, or swallow a request unanswered: so `dropped` is final, and then there is nothing to drain.

import type { Buffer } from 'node:buffer';
import { appended, NO_BYTES } from '../base/bytes.ts';

export class FollowingBytes {
  #kept = NO_BYTES;
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
    this.#kept = NO_BYTES;
    this.state = 'dropped';
  }

  /** Returns the bytes that follow, to be read next. */
  drain(): Buffer | 'dropped' {
    if (this.state === 'dropped') return 'dropped';
    const kept = this.#kept;
    this.#kept = NO_BYTES;
    this.state = 'none';
    return kept;
  }
}
