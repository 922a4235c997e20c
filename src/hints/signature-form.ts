// The form of a signature header, read leniently to find what is wrong with it. The verdict comes from readSignature.
import { Buffer } from 'node:buffer';
import { SIGNATURE_HEADER, SIGNATURE_PREFIX } from '../core/signature.ts';

/** The digest, with what people write around it, or in place of the prefix. */
const LOOSE = new RegExp(
  `^["']?(?:${SIGNATURE_HEADER}\\s*:\\s*)?(?:(?:hmac-?)?sha-?256\\s*[:=]\\s*)?([\\w+/=-]+)["']?$`,
  'i',
);
const MAX_LENGTH = 1024;
const HEX_DIGEST = /^[0-9a-f]{64}$/i;

/**
 * The signature that a badly written header probably means: the 32 bytes of the HMAC (null if they were not found), and
 * the problems in its format. No problem repeats a part of the header. Never throws; reads at most 1024 characters.
 */
export function readLoosely(given: string): { readonly digest: Buffer | null; readonly problems: readonly string[] } {
  const [, text = ''] = LOOSE.exec(given.slice(0, MAX_LENGTH + 1).trim()) ?? [];
  const problems = given === SIGNATURE_PREFIX + text ? [] : ['the header is not SHA256:<base64> and nothing else'];
  return { digest: readDigest(text, problems), problems };
}

function readDigest(text: string, problems: string[]): Buffer | null {
  if (/^[\w+/-]{43}=?$/.test(text)) {
    if (/[-_]/.test(text)) problems.push('the signature is url-safe base64, not standard base64');
    if (!text.endsWith('=')) problems.push('the signature lacks its base64 padding');
    return Buffer.from(text, 'base64');
  }
  const inner = Buffer.from(text, 'base64').toString('latin1');
  const hex = [text, inner].find((encoded) => HEX_DIGEST.test(encoded));
  if (hex === text) problems.push('the signature is hex, not base64');
  else if (hex === inner) problems.push('the signature is the base64 of the hex text, not of the 32 bytes');
  else problems.push('the signature is not the base64 of 32 bytes');
  return hex === undefined ? null : Buffer.from(hex, 'hex');
}
