// `once` in this process's own memory: bounded, the oldest out first, gone with a restart.
import type { Claim, OnceStore } from './store.ts';

const FIRST: Claim = { kind: 'first', token: '' };
const DELIVERED: Claim = { kind: 'delivered' };

export interface MemoryOptions {
  readonly maxEntries: number;
  /** Milliseconds on the monotonic clock. */
  readonly now: () => number;
}

export function createMemoryStore({ maxEntries, now }: MemoryOptions): OnceStore {
  /** When each delivered event is forgotten; in the order of their deliveries. */
  const delivered = new Map<string, number>();

  /** Windows differ, so one that is over may stand behind one that is not: then it waits for its turn to be the oldest. */
  function forgetOver(): void {
    for (const [key, end] of delivered) {
      if (end > now()) return;
      delivered.delete(key);
    }
  }

  return {
    async claim(key) {
      const end = delivered.get(key);
      return end !== undefined && end > now() ? DELIVERED : FIRST;
    },
    async commit(key, _token, window) {
      delivered.delete(key); // and in again at the end: age counts from the delivery
      forgetOver();
      for (const oldest of delivered.keys()) {
        if (delivered.size < maxEntries) break;
        delivered.delete(oldest);
      }
      delivered.set(key, now() + window);
    },
    async release() {},
    entries() {
      forgetOver();
      return delivered.size;
    },
    close: () => delivered.clear(),
  };
}
