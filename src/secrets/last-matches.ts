// When each secret last verified a signature in this process. Kept by key, so a value that became `<id>.previous` keeps its
// last match (rotation.ts).
import type { KeyObject } from 'node:crypto';
import type { Secret } from '../core/keyring.ts';

/** Epoch seconds. */
const matches = new WeakMap<KeyObject, number>();

/** Records that the secret with this id has matched now. */
export function recordMatch(id: string | null, secrets: readonly Pick<Secret, 'id' | 'key'>[]): void {
  const secret = secrets.find((each) => each.id === id);
  if (secret !== undefined) matches.set(secret.key, Date.now() / 1000);
}

/** In epoch seconds; 0 if it has not matched. */
export const lastMatch = (key: KeyObject | null): number => (key && matches.get(key)) ?? 0;
