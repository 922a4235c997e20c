// The memory of `once` for delivered events: an interface, with one file for each implementation.
// Only verified requests may come here: otherwise anybody could mark events as delivered.
import { hash } from 'node:crypto';
import { createMemoryStore, EventMemory } from './memory.ts';

export type Claim =
  /** The caller delivers it, and reports the outcome with this token. */
  | { readonly kind: 'first'; readonly token: string }
  /** It was delivered within its window. */
  | { readonly kind: 'delivered' }
  /** Another process delivers it at this moment. */
  | { readonly kind: 'busy' };

/**
 * Within this process claims of one event come one after the other (deliveries.ts); a store decides between processes.
 * Every method rejects when the store can't be asked; none takes longer than about a second to do so.
 */
export interface OnceStore {
  /** Atomic: of any number of claims at one instant, one is `first`. */
  claim(key: string): Promise<Claim>;
  /** The event was delivered, whoever has claimed it by now. Claims within `window` milliseconds get `delivered`. */
  commit(key: string, token: string | null, window: number): Promise<void>;
  /** The event was not delivered: the next claim is `first`. */
  release(key: string, token: string): Promise<void>;
  /** Events that this process remembers, or holds a claim on where the memory is elsewhere. */
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

/** Tells the trouble with a store (never a password), and with null that there is none any more. */
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
