// The store of `once` in this process's memory: bounded, the oldest event removed first, lost at a restart.
import type { Claim, OnceStore } from './store.ts';

/** Delivered events, each until the end of its window. An event that a full memory removes may be delivered again. */
export class EventMemory {
  readonly #most: number;
  readonly #now: () => number;
  /** In the order of their deliveries. */
  readonly #ends = new Map<string, number>();

  /** `now` gives milliseconds on the monotonic clock. */
  constructor(most: number, now: () => number) {
    this.#most = most;
    this.#now = now;
  }

  has(key: string): boolean {
    return (this.#ends.get(key) ?? 0) > this.#now();
  }

  /** `window`: milliseconds from now on. */
  add(key: string, window: number): void {
    this.#ends.delete(key); // re-inserted last, since age counts from the delivery
    this.#forgetExpired();
    const [oldest] = this.#ends.keys();
    if (this.#ends.size >= this.#most && oldest !== undefined) this.#ends.delete(oldest);
    this.#ends.set(key, this.#now() + window);
  }

  get size(): number {
    this.#forgetExpired();
    return this.#ends.size;
  }

  /** Saves each event elsewhere, with the rest of its window. An event that can't be saved stays for the next call. */
  moveTo(save: (key: string, window: number) => Promise<void>): void {
    for (const [key, end] of this.#ends) {
      const rest = end - this.#now();
      if (rest <= 0) this.#ends.delete(key);
      else {
        save(key, rest).then(
          () => this.#ends.delete(key),
          () => {},
        );
      }
    }
  }

  /** Removes expired events from the oldest to the first valid one. Windows differ, so a later one may wait. */
  #forgetExpired(): void {
    for (const [key, end] of this.#ends) {
      if (end > this.#now()) return;
      this.#ends.delete(key);
    }
  }
}

const FIRST: Claim = { kind: 'first', token: '' };
const DELIVERED: Claim = { kind: 'delivered' };

export function createMemoryStore(events: EventMemory): OnceStore {
  return {
    claim: async (key) => (events.has(key) ? DELIVERED : FIRST),
    commit: async (key, _token, window) => events.add(key, window),
    release: async () => {},
    entries: () => events.size,
    close() {},
  };
}
