// Which deliveries are the same event.
import { hash } from 'node:crypto';

/** An event's key: its path as sent, without the query, and the SHA-256 of its body. */
export function eventKey(path: string, body: Uint8Array): string {
  return hash('sha256', `${hash('sha256', body, 'base64url')} ${path}`, 'base64url');
}
