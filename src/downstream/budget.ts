// The byte budget: memory for all request bodies that are held at once. When it is full, the unfinished body with the
// slowest recent rate ends, not the newcomer.
import { IndexedSet, type Member } from '../core/indexed-set.ts';

/** Buffers up to this size may use the whole budget; larger ones leave an eighth of it to them. */
export const SMALL_BODY = 64 * 1024;

const WINDOW_MS = 1000;
/** The shortest times over which the rate of a new body, and of a new window, is measured. */
const FIRST_MS = 10;
const LATER_MS = 250;

/** A body that is not complete yet. */
export interface UnfinishedBody extends Member {
  /** Bytes of memory that the body holds. */
  readonly held: number;
  /** Bytes per millisecond over the last second or so. */
  rate(now: number): number;
  /** Ends the body with 503 and releases its memory before returning. */
  fail(reason: 'overloaded'): void;
}

export class ByteBudget {
  /** Bytes. A reload may lower it: bodies already held stay. */
  limit: number;
  used = 0;
  #usedByLarge = 0;
  /** Bodies that may be ended to make room for others. */
  readonly unfinished = new IndexedSet<UnfinishedBody>();

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Takes `bytes` for one buffer of a body. False if evictions made no room, or ended this body. */
  take(bytes: number, body: UnfinishedBody): boolean {
    const large = bytes > SMALL_BODY;
    while (!this.#fits(bytes, large)) {
      const slowest = this.#slowest(large);
      if (slowest === null) return false;
      slowest.fail('overloaded');
      if (slowest === body) return false;
    }
    this.used += bytes;
    if (large) this.#usedByLarge += bytes;
    return true;
  }

  /** Releases one buffer: exactly the `bytes` that were taken for it. */
  release(bytes: number): void {
    this.used -= bytes;
    if (bytes > SMALL_BODY) this.#usedByLarge -= bytes;
  }

  #fits(bytes: number, large: boolean): boolean {
    if (this.used + bytes > this.limit) return false;
    return !large || this.#usedByLarge + bytes <= this.limit - this.limit / 8;
  }

  #slowest(large: boolean): UnfinishedBody | null {
    const now = performance.now();
    let slowest: UnfinishedBody | null = null;
    let rate = Number.POSITIVE_INFINITY;
    for (const body of this.unfinished) {
      if (body.held === 0 || (large && body.held <= SMALL_BODY && this.used < this.limit)) continue;
      const bodyRate = body.rate(now);
      if (bodyRate < rate) [slowest, rate] = [body, bodyRate];
    }
    return slowest;
  }
}

/** The recent rate of a body. An early burst must not count forever: when room runs out, slow clients end first. */
export class Pace {
  #windowStart: number;
  #windowBytes = 0;
  /** Null within the first window, so that a new body does not count as slow. */
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

  /** Bytes per millisecond over the last second or so; 0 if none came in that time. */
  rate(now: number): number {
    const elapsed = now - this.#windowStart;
    if (this.#lastRate === null) return this.#windowBytes / Math.max(elapsed, FIRST_MS);
    return elapsed < LATER_MS ? Math.max(this.#lastRate, this.#windowBytes / LATER_MS) : this.#windowBytes / elapsed;
  }
}
