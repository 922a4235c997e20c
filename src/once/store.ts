// The memory of `once` for delivered events: an interface, with one file for each implementation.
// Only verified requests may be recorded here: otherwise anyone could mark events as delivered.
import { hash } from 'node:crypto';
import { createMemoryStore, EventMemory } from './memory.ts';

export type Claim =
  /** The caller delivers it, and reports the outcome with this token. */
  | { readonly kind: 'first'; readonly token: string }
  /** It was delivered within its window. */
  | { readonly kind: 'delivered' }
  /** Another process is delivering it. */
  | { readonly kind: 'busy' };

/**
 * deliveries.ts serializes the claims of one event within this process; a store decides between processes. Every method
 * rejects when the store is unavailable, within about a second.
 */
export interface OnceStore {
  /** Atomic: exactly one of several simultaneous claims is `first`. */
  claim(key: string): Promise<Claim>;
  /** The event was delivered, whoever claims it now. Claims within `window` milliseconds get `delivered`. */
  commit(key: string, token: string | null, window: number): Promise<void>;
  /** The event was not delivered: the next claim is `first`. */
  release(key: string, token: string): Promise<void>;
  /** The number of events in the memory store, or of the claims that this process holds in a shared store. */
  entries(): number;
  close(): void;
}

export interface StoreOptions {
  /** `memory`, or redis:// or rediss:// with a user and a database number at most. */
  readonly store: string;
  readonly passwordFile: string | null;
  /** Of the memory store. */
  readonly maxEntries: number;
  /** Called at each connect, so that a password may change. Rejects with the file's problem. */
  readonly readPassword: (file: string) => Promise<string>;
}

/** Reports a problem with the store (never a password), and null once it works again. */
export type OnTrouble = (trouble: string | null) => void;

/** The client for Redis is loaded only where the configuration asks for it. */
export async function openStore(options: StoreOptions, onTrouble: OnTrouble): Promise<OnceStore> {
  if (options.store === 'memory') {
    return createMemoryStore(new EventMemory(options.maxEntries, () => performance.now()));
  }
  const { createRedisStore } = await import('./redis.ts');
  return createRedisStore(options, onTrouble);
}

/** An event's key: its path as sent, without the query, and the SHA-256 of its body. */
export function eventKey(path: string, body: Uint8Array): string {
  return hash('sha256', `${hash('sha256', body, 'base64url')} ${path}`, 'base64url');
}
