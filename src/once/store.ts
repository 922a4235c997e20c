// The store of delivered events for `once`: its interface, and the one in memory.
// Only verified requests may be recorded here: otherwise anyone could mark events as delivered.

/** `first`: the caller delivers it, and reports what happened. `busy`: another process is delivering it. */
export type Claim = 'first' | 'delivered' | 'busy';

/**
 * claims.ts serializes the claims of one event within this process; a store decides between processes. Every method
 * rejects when the store is unavailable, within about a second.
 */
export interface OnceStore {
  /** Atomic: exactly one of several simultaneous claims is `first`. */
  claim(key: string): Promise<Claim>;
  /** The event was delivered, whoever holds the claim now. Claims within `window` milliseconds get `delivered`. */
  commit(key: string, window: number): Promise<void>;
  /** The event was not delivered: the next claim is `first`. Does nothing without a claim of this process. */
  release(key: string): Promise<void>;
  /** The number of events in the memory store, or of the claims that this process holds in a shared store. */
  readonly entries: () => number;
  close(): void;
}

/** Reports a problem with the store (never a password), and null once it works again. */
export type OnStoreChange = (failure: string | null) => void;

/** In this process's memory: bounded, the oldest event removed first, lost at a restart. */
export function createMemoryStore(maxEntries: number): OnceStore {
  /** The end of each event's window on the monotonic clock, in the order of delivery. */
  const ends = new Map<string, number>();
  /** Visits each event once. A new iterator would skip all removed ones each time: 80 µs with 100,000 events. */
  const order = ends.keys();
  /** The oldest event; undefined until it is taken from `order`. */
  let oldest: string | undefined;
  const remove = (key: string) => {
    if (ends.delete(key) && key === oldest) oldest = undefined;
  };
  /** Removes events over the limit, and expired ones up to the first valid one; others may remain behind it. */
  const forget = () => {
    while (ends.size > 0) {
      oldest ??= order.next().value;
      if (oldest === undefined || (ends.size <= maxEntries && (ends.get(oldest) ?? 0) > performance.now())) return;
      remove(oldest);
    }
  };
  return {
    claim: async (key) => ((ends.get(key) ?? 0) > performance.now() ? 'delivered' : 'first'),
    async commit(key, window) {
      remove(key); // re-inserted last, since age counts from the delivery
      ends.set(key, performance.now() + window);
      forget();
    },
    release: async () => {},
    entries() {
      forget();
      return ends.size;
    },
    close() {},
  };
}
