// The hash by which an operator finds a lost event again.
import { hash } from 'node:crypto';

/** `bodySha256` of a body: enough to find an event again, too short to be mistaken for a signature. */
export function bodyTag(body: Uint8Array): string {
  return hash('sha256', body, 'hex').slice(0, 16);
}
