// Delivered events in this process's memory: bounded, the oldest event removed first, lost at a restart.
import type { OnceStore } from './store.ts';

/** Delivered events, each until the end of its window. One that a full memory drops may be delivered again. */
export class EventMemory {
  readonly #maxEntries: number;
  /** The end of each event's window, in milliseconds on the monotonic clock; in the order of delivery. */
  readonly #ends = new Map<string, number>();

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  has(key: string): boolean {
    return (this.#ends.get(key) ?? 0) > performance.now();
  }

  /** `window`: milliseconds from now on. */
  add(key: string, window: number): void {
    this.#ends.delete(key); // re-inserted last, since age counts from the delivery
    if (this.size >= this.#maxEntries) this.#ends.delete(this.#ends.keys().next().value ?? '');
    this.#ends.set(key, performance.now() + window);
  }

  /** Removes expired events, up to the first valid one. Windows differ, so expired ones may remain behind it. */
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

export function createMemoryStore(maxEntries: number): OnceStore {
  const events = new EventMemory(maxEntries);
  return {
    claim: async (key) => (events.has(key) ? 'delivered' : 'first'),
    commit: async (key, window) => events.add(key, window),
    release: async () => {},
    entries: () => events.size,
    close() {},
  };
}
