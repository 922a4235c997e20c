// Signs as Entrupy does, for tests. Written apart from src, so that the two can be wrong only on their own;
// it must never import from src.
import { createHmac } from 'node:crypto';

/** The value of `Entrupy-Signature` for these bytes. Source: Entrupy's example receiver; a string is taken as UTF-8. */
export function sign(secret: string | Buffer, body: Buffer | string): string {
  const mac = createHmac('sha256', secret);
  mac.update(typeof body === 'string' ? Buffer.from(body, 'utf8') : body);
  return `SHA256:${mac.digest('base64')}`;
}
