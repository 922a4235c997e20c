// How fast bytes came of late. Who drips pays first when room runs out, so an early burst must not count for ever.

const WINDOW_MS = 1000;
/** Shorter times than these say nothing: of a body that has just begun, and of a window that has. */
const FIRST_MS = 10;
const LATER_MS = 250;

export class Pace {
  #windowStart: number;
  #windowBytes = 0;
  /** Null within the first window: a newcomer must not look slow for being new. */
  #lastRate: number | null = null;

  /** `now` here and below: milliseconds on the monotonic clock. */
  constructor(now: number) {
    this.#windowStart = now;
  }

  count(bytes: number, now: number): void {
    this.#turn(now);
    this.#windowBytes += bytes;
  }

  /** Bytes a millisecond over the last second or so; 0 where none came in that time. */
  rate(now: number): number {
    const elapsed = now - this.#windowStart;
    if (this.#lastRate === null) return this.#windowBytes / Math.max(elapsed, FIRST_MS);
    return elapsed < LATER_MS ? Math.max(this.#lastRate, this.#windowBytes / LATER_MS) : this.#windowBytes / elapsed;
  }

  #turn(now: number): void {
    const elapsed = now - this.#windowStart;
    if (elapsed < WINDOW_MS) return;
    this.#lastRate = this.#windowBytes / elapsed;
    this.#windowStart = now;
    this.#windowBytes = 0;
  }
}
