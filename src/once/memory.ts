// `once` in this process's own memory: bounded, the oldest out first, gone with a restart.
import type { Claim, OnceStore } from './store.ts';

/** A delivery that is on its way; a delivered one is its end as a number (epoch milliseconds). */
const CLAIMED = Symbol('claimed');

export function createMemoryStore(options: { maxEntries: number; now: () => number }): OnceStore {
  const { maxEntries, now } = options;
  const events = new Map<string, number | typeof CLAIMED>();
  const waiters = new Map<string, Set<() => void>>();

  function changed(key: string): void {
    const waiting = waiters.get(key);
    if (waiting === undefined) return;
    waiters.delete(key);
    for (const wake of waiting) wake();
  }

  /** What is over, from the oldest on, then the oldest delivered one: a claim on its way is never forgotten. */
  function makeRoom(): void {
    for (const [key, end] of events) {
      const over = end !== CLAIMED && end <= now();
      if (events.size < maxEntries && !over) return;
      if (end !== CLAIMED) events.delete(key);
    }
  }

  return {
    async claim(key): Promise<Claim> {
      const known = events.get(key);
      if (known === CLAIMED) return { kind: 'busy' };
      if (known !== undefined && known > now()) return { kind: 'delivered' };
      events.delete(key);
      makeRoom();
      events.set(key, CLAIMED);
      return { kind: 'first', token: '' };
    },
    async commit(key, _token, window) {
      events.delete(key); // and in again at the end: age counts from the delivery
      events.set(key, now() + window);
      changed(key);
    },
    async release(key) {
      if (events.get(key) === CLAIMED) events.delete(key);
      changed(key);
    },
    change(key, milliseconds) {
      return new Promise((resolve) => {
        const waiting = waiters.get(key) ?? new Set();
        waiters.set(key, waiting);
        const timer = setTimeout(wake, milliseconds);
        function wake(): void {
          clearTimeout(timer);
          waiting.delete(wake);
          if (waiting.size === 0 && waiters.get(key) === waiting) waiters.delete(key);
          resolve();
        }
        waiting.add(wake);
        if (events.get(key) !== CLAIMED) wake();
      });
    },
    entries: () => events.size,
    async close() {
      for (const key of [...waiters.keys()]) changed(key);
      events.clear();
    },
  };
}
