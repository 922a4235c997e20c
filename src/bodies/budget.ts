// The byte budget: memory for all bodies, pipelined bytes and leased deliveries that are buffered at once. When it is
// full, the unfinished body with the slowest recent rate is ended, not the newcomer.
import { IndexedSet, type Member } from '../base/indexed-set.ts';

/** Bytes. Buffers up to this size may use the whole budget; larger ones leave an eighth of it to the small ones. */
export const SMALL_BODY = 64 * 1024;

export interface UnfinishedBody extends Member {
  /** Bytes of memory that the body has reserved. */
  readonly buffered: number;
  /** Bytes per millisecond over the last second or so. */
  rate(now: number): number;
  /** Ends the body, releasing its memory before returning. Its request gets 503 if no answer has begun. */
  fail(reason: 'overloaded'): void;
}

export class ByteBudget {
  /** Bytes. A reload may lower it; bodies that are already buffered then stay. */
  limit: number;
  used = 0;
  #usedByLarge = 0;
  /** Bodies that may be ended to make room for others. */
  readonly unfinished = new IndexedSet<UnfinishedBody>();

  constructor(limit: number) {
    this.limit = limit;
  }

  /** The size of the largest buffer that can ever fit, in bytes. A body without a length can count on half of it. */
  get most(): number {
    return Math.max(Math.min(this.limit, SMALL_BODY), this.limit - this.limit / 8);
  }

  /** Reserves `bytes` for a buffer of `body`; may end the slowest bodies, for null none. False: no room, or `body` ended. */
  reserve(bytes: number, body: UnfinishedBody | null): boolean {
    while (!this.#fits(bytes)) {
      const slowest = body === null ? null : this.#slowestFor(bytes);
      if (slowest === null) return false;
      slowest.fail('overloaded');
      if (slowest === body) return false;
    }
    this.count(bytes);
    return true;
  }

  /** Counts a buffer of `bytes` even beyond the limit: the buffer exists, or the caller has looked at the limit. */
  count(bytes: number): void {
    this.used += bytes;
    if (bytes > SMALL_BODY) this.#usedByLarge += bytes;
  }

  /** Releases one buffer: exactly the `bytes` that were reserved for it. */
  release(bytes: number): void {
    this.used -= bytes;
    if (bytes > SMALL_BODY) this.#usedByLarge -= bytes;
  }

  #fits(bytes: number): boolean {
    if (this.used + bytes > this.limit) return false;
    return bytes <= SMALL_BODY || this.#usedByLarge + bytes <= this.limit - this.limit / 8;
  }

  /** The body to end for a buffer of `bytes`. A large buffer ends small bodies only if the whole budget is used. */
  #slowestFor(bytes: number): UnfinishedBody | null {
    const sparesSmall = bytes > SMALL_BODY && this.used < this.limit;
    const now = performance.now();
    let slowest: UnfinishedBody | null = null;
    let rate = Number.POSITIVE_INFINITY;
    for (const body of this.unfinished) {
      if (body.buffered === 0 || (sparesSmall && body.buffered <= SMALL_BODY)) continue;
      const bodyRate = body.rate(now);
      if (bodyRate < rate) [slowest, rate] = [body, bodyRate];
    }
    return slowest;
  }
}

// --- how fast a body comes, and how slow is too slow

/** Bytes per millisecond. A body slower than 8 KiB/s keeps its upstream slot only while nobody else needs it. */
export const SLOT_RATE = 8;

const WINDOW_MS = 1000;
/** A rate is never measured over fewer milliseconds than these, in a body's first window and in later windows. */
const FIRST_MS = 10;
const LATER_MS = 250;

/** A body's recent rate. An early burst must not count forever, since a lack of memory ends the slowest bodies. */
export class BodyRate {
  #windowStart: number;
  #windowBytes = 0;
  /** The rate of the last whole window. Null within the first window, so that a new body does not count as slow. */
  #lastRate: number | null = null;

  /** `now` here and below: milliseconds on the monotonic clock. */
  constructor(now: number) {
    this.#windowStart = now;
  }

  count(bytes: number, now: number): void {
    const elapsed = now - this.#windowStart;
    if (elapsed >= WINDOW_MS) {
      this.#lastRate = this.#windowBytes / elapsed;
      this.#windowStart = now;
      this.#windowBytes = 0;
    }
    this.#windowBytes += bytes;
  }

  /** Bytes per millisecond over the last second or so. While no bytes come, it falls towards 0. */
  rate(now: number): number {
    const elapsed = now - this.#windowStart;
    if (this.#lastRate === null) return this.#windowBytes / Math.max(elapsed, FIRST_MS);
    return elapsed < LATER_MS ? Math.max(this.#lastRate, this.#windowBytes / LATER_MS) : this.#windowBytes / elapsed;
  }
}
