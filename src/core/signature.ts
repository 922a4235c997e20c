// The signature header and its HMAC, as Entrupy's example receiver checks them
// (https://developer.entrupy.com/docs/api/webhooks/example). The client's base64 is compared as text, never decoded.
import { Buffer } from 'node:buffer';
import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';

/** The header's only definition: all code that reads, writes or refuses it uses this file. */
export const SIGNATURE_HEADER = 'Entrupy-Signature';
export const LOWER_CASE_SIGNATURE_HEADER = SIGNATURE_HEADER.toLowerCase();
const ALGORITHM = 'SHA256';
export const SIGNATURE_PREFIX = `${ALGORITHM}:`;

/** The padded standard base64 of HMAC-SHA256(secret, body): the text after `SHA256:`. */
export function signBody(key: KeyObject, body: Uint8Array): string {
  return createHmac('sha256', key).update(body).digest('base64');
}

type FormReason = 'missing_signature' | 'multiple_signatures' | 'malformed_signature' | 'unsupported_algorithm';

/** The part of a signature's check that needs no body. */
interface SignatureForm {
  /** A reason from reasons.ts; null if the form is right. */
  readonly reason: FormReason | null;
  /** The base64 of the HMAC; empty if there is a reason. */
  readonly digest: string;
}

// 32 bytes in base64: 43 characters and one `=`. The last of the 43 carries only four bits, so its other two are zero.
const DIGEST = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;

const SIGNATURE_LENGTH = SIGNATURE_PREFIX.length + 44;

const refusedFor = (reason: FormReason): SignatureForm => ({ reason, digest: '' });

/** Checks that exactly one line of a head is a signature, of the right form, and that none is a look-alike. */
export function signatureForm(head: { signatures: number; lookAlikes: number; signature: string }): SignatureForm {
  if (head.signatures > 1 || head.lookAlikes > 0) return refusedFor('multiple_signatures');
  return head.signatures === 0 ? refusedFor('missing_signature') : readSignature(head.signature);
}

/** Reads a header value: two tokens around one `:`, the first exactly `SHA256`, the second the base64 of 32 bytes. */
export function readSignature(value: string): SignatureForm {
  const colon = value.indexOf(':');
  if (colon < 0 || value.indexOf(':', colon + 1) >= 0) return refusedFor('malformed_signature');
  if (value.slice(0, colon) !== ALGORITHM) return refusedFor('unsupported_algorithm');
  const digest = value.slice(colon + 1);
  return DIGEST.test(digest) ? { reason: null, digest } : refusedFor('malformed_signature');
}

/** True if `key` signs `body` as `digest`, in constant time: both are 44 ASCII characters (see `readSignature`). */
export function signs(key: KeyObject, body: Uint8Array, digest: Buffer): boolean {
  const expected = Buffer.from(signBody(key, body), 'latin1');
  return expected.length === digest.length && timingSafeEqual(expected, digest);
}

/** The name, as sent, of another header whose value has the form of a signature; null if there is none. */
export function renamedSignature(lines: readonly string[]): string | null {
  for (let index = 0; index < lines.length; index += 2) {
    const value = lines[index + 1] ?? '';
    // The length first: no other header costs more than that.
    const isSignature = value.length === SIGNATURE_LENGTH && readSignature(value).reason === null;
    if (isSignature && lines[index]?.toLowerCase() !== LOWER_CASE_SIGNATURE_HEADER) return lines[index] ?? null;
  }
  return null;
}

/** True for the signature header's name, and for names that WSGI, CGI or PHP servers would read as it. */
export function looksLikeSignature(lowerCaseName: string): boolean {
  return (
    lowerCaseName.length === LOWER_CASE_SIGNATURE_HEADER.length &&
    lowerCaseName.replace(/[_.]/g, '-') === LOWER_CASE_SIGNATURE_HEADER
  );
}
