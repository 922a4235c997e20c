// How fast a body comes, and how slow is too slow.

/** Bytes per millisecond: a body slower than 1 KiB/s makes room for a new connection. */
export const ROOM_RATE = 1.024;
/** Bytes per millisecond. A body slower than 8 KiB/s keeps its upstream slot only while nobody else needs it. */
export const SLOT_RATE = 8;

const WINDOW_MS = 1000;
/** The shortest times over which the rate of a new body, and of a new window, is measured. */
const FIRST_MS = 10;
const LATER_MS = 250;

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
