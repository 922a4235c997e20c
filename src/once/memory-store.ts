// The store of `once` in this process's memory.
import type { OnceStore } from './store.ts';

/** Creates the store: bounded, the oldest event is removed first, all are lost at a restart. */
export function createMemoryStore(maxEntries: number): OnceStore {
  /** The end of each event's window on the monotonic clock, in the order of delivery. */
  const ends = new Map<string, number>();
  /** Visits each event once. A new iterator would step over all removed events each time: 80 µs with 100,000. */
  const order = ends.keys();
  /** The key of the oldest event; undefined until it is taken from `order`. */
  let oldest: string | undefined;
  const remove = (key: string) => {
    if (ends.delete(key) && key === oldest) oldest = undefined;
  };
  /** Removes events over the limit, and expired ones up to the first valid one; expired ones behind that may remain. */
  const forget = (now: number) => {
    while (ends.size > 0) {
      oldest ??= order.next().value;
      if (oldest === undefined || (ends.size <= maxEntries && (ends.get(oldest) ?? 0) > now)) return;
      remove(oldest);
    }
  };
  return {
    claim: (key) => ((ends.get(key) ?? 0) > performance.now() ? 'delivered' : 'first'),
    commit(key, window) {
      const now = performance.now();
      const before = ends.size;
      ends.set(key, Math.ceil(now + window)); // V8 keeps a fraction in 16 bytes of its own
      if (ends.size > before) return forget(now);
      remove(key); // a known one is inserted again, as the last, since age counts from the delivery
      this.commit(key, window);
    },
    release() {},
    evicts: () => null,
    entries() {
      forget(performance.now());
      return ends.size;
    },
    close() {},
  };
}
