// Signs as Entrupy does, for tests. Written independently of src, so a bug in one does not hide in the other; it must
// never import from src.
import { createHmac } from 'node:crypto';

/** The secret of a test's proxy, unless it has others. */
export const SECRET = 'value-of-a-0123456789-0123456789';

/** The value of `Entrupy-Signature` for these bytes. Source: Entrupy's example receiver. A string is UTF-8. */
export function sign(secret: string | Buffer, body: Buffer | string): string {
  const mac = createHmac('sha256', secret);
  mac.update(typeof body === 'string' ? Buffer.from(body, 'utf8') : body);
  return `SHA256:${mac.digest('base64')}`;
}
