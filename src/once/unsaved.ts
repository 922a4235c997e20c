// Events that were delivered while the store could not be told: told once it is back, so that an outage of the store does
// not make every later twin a second delivery. Bounded; what it forgets may be delivered again.

const MOST = 10_000;

export class Unsaved {
  readonly #save: (key: string, window: number) => Promise<void>;
  /** Their ends, in milliseconds on the monotonic clock. */
  readonly #events = new Map<string, number>();

  constructor(save: (key: string, window: number) => Promise<void>) {
    this.#save = save;
  }

  has(key: string): boolean {
    return (this.#events.get(key) ?? 0) > performance.now();
  }

  /** `window`: milliseconds for which it is to be remembered from now on. */
  add(key: string, window: number): void {
    if (this.#events.size >= MOST) {
      for (const oldest of this.#events.keys()) {
        this.#events.delete(oldest);
        break;
      }
    }
    this.#events.set(key, performance.now() + window);
  }

  /** To be called when the store is back. What can't be saved stays for the next time. */
  save(): void {
    for (const [key, end] of this.#events) {
      const left = end - performance.now();
      if (left <= 0) this.#events.delete(key);
      else {
        this.#save(key, left).then(
          () => this.#events.delete(key),
          () => {},
        );
      }
    }
  }
}
