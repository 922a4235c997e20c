// The store of delivered events for `once`: its interface, and the choice of one.
// Only verified requests may be recorded here: otherwise anyone could mark events as delivered.
import { createMemoryStore } from './memory.ts';

/** `first`: the caller delivers it, and reports what happened. `busy`: another process is delivering it. */
export type Claim = 'first' | 'delivered' | 'busy';

/**
 * deliveries.ts serializes the claims of one event within this process; a store decides between processes. Every method
 * rejects when the store is unavailable, within about a second.
 */
export interface OnceStore {
  /** Atomic: exactly one of several simultaneous claims is `first`. */
  claim(key: string): Promise<Claim>;
  /** The event was delivered, whoever claims it now. Claims within `window` milliseconds get `delivered`. */
  commit(key: string, window: number): Promise<void>;
  /** The event was not delivered: the next claim is `first`. Does nothing without a claim of this process. */
  release(key: string): Promise<void>;
  /** The number of events in the memory store, or of the claims that this process holds in a shared store. */
  readonly entries: () => number;
  close(): void;
}

export interface StoreOptions {
  /** `memory`, or redis:// or rediss:// with a user and a database number at most. */
  readonly store: string;
  /** Part of the keys in a shared store: apps with different names know nothing of each other's events. */
  readonly name: string;
  readonly passwordFile: string | null;
  /** For the memory store. */
  readonly maxEntries: number;
  /** Called at each connect, so that the password may change. Rejects with the file's problem. */
  readonly readPassword: (file: string) => Promise<string>;
}

/** Reports a problem with the store (never a password), and null once it works again. */
export type OnStoreChange = (failure: string | null) => void;

/** Opens the configured store. The client for Redis is loaded only if it is needed. */
export async function openStore(options: StoreOptions, onChange: OnStoreChange): Promise<OnceStore> {
  if (options.store === 'memory') return createMemoryStore(options.maxEntries);
  const { createRedisStore } = await import('./redis.ts');
  return createRedisStore(options, onChange);
}
