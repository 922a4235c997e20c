// Where `once` remembers which events were delivered: a small interface, one file for each place behind it.
// Only verified requests come here: a key made of what anybody can write would let anybody mark events as delivered.
import { createHash } from 'node:crypto';

export type Claim =
  /** Nobody has it: the caller delivers it, and says how that went with this token. */
  | { readonly kind: 'first'; readonly token: string }
  /** It was delivered within its window. */
  | { readonly kind: 'delivered' }
  /** Another delivery of it is on its way. */
  | { readonly kind: 'busy' };

/** Every method rejects when the store can't be asked; none takes longer than about a second to do so. */
export interface OnceStore {
  /** Atomic: of any number of claims at one instant, one is `first`. */
  claim(key: string): Promise<Claim>;
  /** It was delivered: claims within `window` milliseconds are told so. */
  commit(key: string, token: string, window: number): Promise<void>;
  /** It was not: the next claim is `first`. */
  release(key: string, token: string): Promise<void>;
  /** Resolves when a busy key may have changed, at the latest after `milliseconds`. */
  change(key: string, milliseconds: number): Promise<void>;
  /** Events remembered, as far as this process knows. */
  entries(): number;
  close(): Promise<void>;
}

/** An event's key: its path as sent, without the query, and the SHA-256 of its body (spec §12). */
export function eventKey(path: string, body: Uint8Array): string {
  const digest = createHash('sha256').update(body).digest();
  return createHash('sha256').update(path, 'latin1').update('\0').update(digest).digest('base64url');
}
