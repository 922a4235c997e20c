// How fast bytes came of late. Who drips pays first when room runs out, so an early burst must not count for ever.

const WINDOW_MS = 1000;

export class Pace {
  #windowStart: number;
  #windowBytes = 0;
  #lastRate = 0;

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
    if (elapsed < WINDOW_MS / 4) return Math.max(this.#lastRate, this.#windowBytes / (WINDOW_MS / 4));
    return this.#windowBytes / elapsed;
  }

  #turn(now: number): void {
    const elapsed = now - this.#windowStart;
    if (elapsed < WINDOW_MS) return;
    this.#lastRate = this.#windowBytes / elapsed;
    this.#windowStart = now;
    this.#windowBytes = 0;
  }
}
