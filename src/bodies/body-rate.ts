// How fast a body comes, and how slow is too slow.

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
