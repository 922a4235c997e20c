// The store of delivered events for `once`: its interface, and the one in this process's memory.
// Only verified requests may be recorded here: otherwise anyone could mark events as delivered.

/** `first`: the caller delivers the event, and reports what happened. `busy`: another process is delivering it. */
export type ClaimAnswer = 'first' | 'delivered' | 'busy';

/**
 * claims.ts serializes the claims of one event within this process; a store decides between processes. A store in this
 * process answers at once; of any other every method rejects when it is unavailable, within about a second.
 */
export interface OnceStore {
  /** Atomic: exactly one of several simultaneous claims is `first`. */
  claim(key: string): ClaimAnswer | Promise<ClaimAnswer>;
  /** Records a delivery, whoever holds the claim now. Claims within the next `window` milliseconds get `delivered`. */
  commit(key: string, window: number): void | Promise<void>;
  /** Ends this process's claim of an event that was not delivered, if it has one: the next claim gets `first`. */
  release(key: string): void | Promise<void>;
  /** The number of events in the memory store, or of the claims that this process holds in a shared store. */
  readonly entries: () => number;
  /** The policy by which the server may forget events before their window is over; null if it forgets none. */
  readonly evicts: () => string | null;
  close(): void;
}

/** Reports a problem with the store (never a password), and null once it works again. */
export type OnStoreChange = (failure: string | null) => void;

/** Creates a store in this process's memory: bounded, the oldest event is removed first, all are lost at a restart. */
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
      remove(key); // so that one that is known becomes the last: age counts from the delivery
      ends.set(key, Math.ceil(now + window)); // V8 keeps a fraction in 16 bytes of its own
      forget(now);
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
