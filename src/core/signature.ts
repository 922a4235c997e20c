// The signature header and the HMAC behind it, as Entrupy's example receiver checks them
// (https://developer.entrupy.com/docs/api/webhooks/example). The client's base64 is never decoded, only compared as text.
import { Buffer } from 'node:buffer';
import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';

export const SIGNATURE_HEADER = 'entrupy-signature';
export const SIGNATURE_PREFIX = 'SHA256:';

/** The padded standard base64 of HMAC-SHA256(secret, body): what stands after `SHA256:`. */
export function signBody(key: KeyObject, body: Uint8Array): string {
  return createHmac('sha256', key).update(body).digest('base64');
}

export type SignatureForm =
  | { readonly kind: 'ok'; readonly digest: string }
  | { readonly kind: 'refused'; readonly reason: 'malformed_signature' | 'unsupported_algorithm' };

// 32 bytes in base64: 43 characters and one `=`; the last character before it carries four bits, so two are zero.
const DIGEST = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;

const MALFORMED: SignatureForm = { kind: 'refused', reason: 'malformed_signature' };
const UNSUPPORTED: SignatureForm = { kind: 'refused', reason: 'unsupported_algorithm' };

/** Reads a header value: exactly two tokens about one `:`, the first exactly `SHA256`, the second the base64 of 32 bytes. */
export function readSignature(value: string): SignatureForm {
  const colon = value.indexOf(':');
  if (colon < 0 || value.indexOf(':', colon + 1) >= 0) return MALFORMED;
  if (value.slice(0, colon) !== 'SHA256') return UNSUPPORTED;
  const digest = value.slice(colon + 1);
  return DIGEST.test(digest) ? { kind: 'ok', digest } : MALFORMED;
}

/**
 * True where `key` signs `body` as `digest`. Both texts are 44 ASCII characters (readSignature saw to the client's), so
 * the comparison takes the same time whatever they hold.
 */
export function signs(key: KeyObject, body: Uint8Array, digest: Buffer): boolean {
  const expected = Buffer.from(signBody(key, body), 'latin1');
  return expected.length === digest.length && timingSafeEqual(expected, digest);
}

/** True for the signature header's name, and for names that WSGI, CGI or PHP servers would read as it. */
export function looksLikeSignature(lowerCaseName: string): boolean {
  return lowerCaseName.length === SIGNATURE_HEADER.length && lowerCaseName.replace(/[_.]/g, '-') === SIGNATURE_HEADER;
}
