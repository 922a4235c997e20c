// The store of delivered events for `once`: its interface.
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
