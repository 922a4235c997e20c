// Delivered events in this process's memory: bounded, the oldest event removed first, lost at a restart.

/** Delivered events, each until the end of its window. An event that a full memory removes may be delivered again. */
export class EventMemory {
  readonly #most: number;
  /** In the order of their deliveries; milliseconds on the monotonic clock. */
  readonly #ends = new Map<string, number>();

  constructor(most: number) {
    this.#most = most;
  }

  has(key: string): boolean {
    return (this.#ends.get(key) ?? 0) > performance.now();
  }

  /** `window`: milliseconds from now on. */
  add(key: string, window: number): void {
    this.#ends.delete(key); // re-inserted last, since age counts from the delivery
    if (this.size >= this.#most) this.#ends.delete(this.#ends.keys().next().value ?? '');
    this.#ends.set(key, performance.now() + window);
  }

  /** Removes expired events from the oldest to the first valid one. Windows differ, so a later one may wait. */
  get size(): number {
    for (const [key, end] of this.#ends) {
      if (end > performance.now()) break;
      this.#ends.delete(key);
    }
    return this.#ends.size;
  }

  /** Saves each event elsewhere, with the rest of its window. An event that can't be saved stays for the next call. */
  moveTo(save: (key: string, window: number) => Promise<void>): void {
    for (const [key, end] of this.#ends) {
      const rest = end - performance.now();
      const saved = rest > 0 ? save(key, rest) : Promise.resolve();
      saved.then(
        () => this.#ends.delete(key),
        () => {},
      );
    }
  }
}
