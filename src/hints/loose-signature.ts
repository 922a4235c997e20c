// Reads a signature header leniently, to find the problems in its format. Used for hints only: the verdict comes from
// readSignature. No problem repeats a part of the header.
import { Buffer } from 'node:buffer';
import { SIGNATURE_HEADER } from '../core/signature.ts';

type Repair = readonly [problem: string, pattern: RegExp, by: (match: string, first: string, second: string) => string];

/** Removes characters that people paste around a value. */
const WRAPPINGS: readonly Repair[] = [
  ['there is white space around the signature', /^\s+|\s+$/g, () => ''],
  ["the value repeats the header's name", new RegExp(`^${SIGNATURE_HEADER}\\s*:\\s*`, 'i'), () => ''],
  ['the signature is enclosed in quotes', /^(["'])(.*)\1$/, (_, _quote, inner) => inner],
];

const ENCODINGS: readonly Repair[] = [
  ['the signature is percent-encoded', /%(?:2b|2f|3d)/gi, (escaped) => decodeURIComponent(escaped)],
  [
    'the signature has spaces where + should be (it was form-decoded)',
    /^(?=.* )[A-Za-z0-9+/ ]{43}=$/,
    (text) => text.replaceAll(' ', '+'),
  ],
];

const MAX_LENGTH = 1024;

/**
 * The signature that a badly written header probably means: the 32 bytes of the HMAC (null if they were not found), and
 * the problems in its format, in the order of reading. Never throws, whatever is given; reads at most 1024 characters.
 */
export function readLoosely(given: string): { readonly digest: Buffer | null; readonly problems: readonly string[] } {
  if (given.length > MAX_LENGTH) return { digest: null, problems: ['the signature is far too long'] };
  const problems: string[] = [];
  const rest = readPrefix(repair(given, WRAPPINGS, problems), problems);
  const digest = rest === null ? null : readDigest(repair(rest, ENCODINGS, problems), problems);
  return { digest, problems };
}

function repair(text: string, repairs: readonly Repair[], problems: string[]): string {
  return repairs.reduce((before, [problem, pattern, by]) => {
    const after = before.replace(pattern, by);
    if (after !== before) problems.push(problem);
    return after;
  }, text);
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
  return /[,;]/.test(text) ? 'the header holds a list; exactly one SHA256:<base64> is allowed' : null;
}

const HEX_DIGEST = /^[0-9a-f]{64}$/i;
const OTHER_HASHES: Readonly<Record<number, string>> = { 20: 'SHA-1', 48: 'SHA-384', 64: 'SHA-512' };

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
  // A digest of the wrong length: of another hash, of the hex text, or truncated.
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(text)) {
    const isList = /[,;]/.test(text);
    problems.push(isList ? 'the header holds a list; exactly one is allowed' : 'the signature is not base64');
    return null;
  }
  const decoded = Buffer.from(text, 'base64');
  const inner = decoded.toString('latin1');
  if (HEX_DIGEST.test(inner)) {
    problems.push('the signature is the base64 of the hex text, not of the 32 bytes');
    return Buffer.from(inner, 'hex');
  }
  const bytes = /^(?:[0-9a-f]{2})+$/i.test(text) ? text.length / 2 : decoded.length;
  const hash = OTHER_HASHES[bytes];
  problems.push(
    `the signature is not the base64 of 32 bytes${hash === undefined ? '' : `: it is as long as a ${hash}`}`,
  );
  return null;
}
