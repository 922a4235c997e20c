// When each secret last verified a delivery here, by key: so a value that became `<id>.previous` keeps its time.
import type { KeyObject } from 'node:crypto';
import type { Secret } from '../core/keyring.ts';

/** Epoch seconds. */
const matches = new WeakMap<KeyObject, number>();

/** Records that the secret has matched now. */
export const recordMatch = (secret: Pick<Secret, 'key'> | null) => secret && matches.set(secret.key, Date.now() / 1000);

/** In epoch seconds; 0 if it has not matched. */
export const lastMatch = (key: KeyObject | null): number => (key && matches.get(key)) ?? 0;
