// Reads a signature header leniently, to find the problems in its format. Used for hints only: the verdict comes from
// readSignature. No problem repeats a part of the header.
import { Buffer } from 'node:buffer';
import { SIGNATURE_HEADER } from '../core/signature.ts';

/** What people paste around a value, and what remains of it. */
const WRAPPINGS: readonly (readonly [problem: string, pattern: RegExp, remains: string])[] = [
  ['there is white space around the signature', /^\s+|\s+$/g, ''],
  ["the value repeats the header's name", new RegExp(`^${SIGNATURE_HEADER}\\s*:\\s*`, 'i'), ''],
  ['the signature is enclosed in quotes', /^(["'])(.*)\1$/, '$2'],
];

const MAX_LENGTH = 1024;
const LIST = /[,;]/;
const TOO_MANY = 'the header holds a list; exactly one SHA256:<base64> is allowed';

/**
 * The signature that a badly written header probably means: the 32 bytes of the HMAC (null if they were not found), and
 * the problems in its format, in the order of reading. Never throws, whatever is given; reads at most 1024 characters.
 */
export function readLoosely(given: string): { readonly digest: Buffer | null; readonly problems: readonly string[] } {
  if (given.length > MAX_LENGTH) return { digest: null, problems: ['the signature is far too long'] };
  const problems: string[] = [];
  const bare = WRAPPINGS.reduce((before, [problem, pattern, remains]) => {
    const after = before.replace(pattern, remains);
    if (after !== before) problems.push(problem);
    return after;
  }, given);
  const rest = readPrefix(bare, problems);
  return { digest: rest === null ? null : readDigest(rest, problems), problems };
}

/** The text after the algorithm; null if the rest cannot be read. */
function readPrefix(text: string, problems: string[]): string | null {
  const prefix = /^(hmac-?)?(sha-?256)\s*([:=])\s*/i.exec(text);
  if (prefix !== null) {
    if (prefix[3] === '=') problems.push("the algorithm is followed by '=', not ':'");
    if (prefix[1] !== undefined || prefix[2] !== 'SHA256') problems.push('the algorithm must be written SHA256');
    if (/\s/.test(prefix[0])) problems.push("there is white space around the ':'");
    return text.slice(prefix[0].length);
  }
  const why = unreadable(text);
  problems.push(why ?? 'the prefix SHA256: is missing');
  return why === null ? text : null;
}

function unreadable(text: string): string | null {
  if (text === '') return 'the signature is empty';
  if (/^[A-Za-z][A-Za-z0-9_-]{0,31}:/.test(text)) return 'the signature names an algorithm other than SHA256';
  return LIST.test(text) ? TOO_MANY : null;
}

const HEX_DIGEST = /^[0-9a-f]{64}$/i;

function readDigest(text: string, problems: string[]): Buffer | null {
  if (HEX_DIGEST.test(text)) {
    problems.push('the signature is hex, not base64');
    return Buffer.from(text, 'hex');
  }
  if (/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) {
    if (/[-_]/.test(text)) problems.push('the signature is url-safe base64, not standard base64');
    if (!text.endsWith('=')) problems.push('the signature lacks its base64 padding');
    return Buffer.from(text, 'base64');
  }
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(text)) {
    problems.push(LIST.test(text) ? TOO_MANY : 'the signature is not base64');
    return null;
  }
  const inner = Buffer.from(text, 'base64').toString('latin1');
  if (HEX_DIGEST.test(inner)) {
    problems.push('the signature is the base64 of the hex text, not of the 32 bytes');
    return Buffer.from(inner, 'hex');
  }
  problems.push('the signature is not the base64 of 32 bytes');
  return null;
}
