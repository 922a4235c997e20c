// Reads a signature header as generously as a person would, to tell what is wrong with its form. Only for hints:
// the verdict is readSignature's alone. No text made here may hold a part of what was given.
import { Buffer } from 'node:buffer';
import { SIGNATURE_HEADER } from '../core/signature.ts';

/** What a badly written signature was probably meant to be. */
export interface LooseSignature {
  /** The 32 bytes of the HMAC; null where none could be made out. */
  readonly digest: Buffer | null;
  /** What is wrong with the form, in the order of reading; empty where nothing is. */
  readonly faults: readonly string[];
}

const LONGEST = 1024;
const HEADER_NAME = new RegExp(`^${SIGNATURE_HEADER}\\s*:\\s*`, 'i');

/** Never throws, whatever is given; reads at most 1024 characters. */
export function readLoosely(given: string): LooseSignature {
  if (given.length > LONGEST) return { digest: null, faults: ['the signature is far too long'] };
  const faults: string[] = [];
  const rest = readPrefix(unwrap(given, faults), faults);
  if (rest === null) return { digest: null, faults };
  return { digest: readDigest(rest, faults), faults };
}

/** Takes off what people paste around a value: white space, quotes, the header's name. */
function unwrap(given: string, faults: string[]): string {
  let text = given.trim();
  if (text !== given) faults.push('there is white space around the signature');
  const name = HEADER_NAME.exec(text);
  if (name !== null) {
    faults.push("the header's name stands in its value");
    text = text.slice(name[0].length);
  }
  const quoted = /^(["'])(.*)\1$/.exec(text);
  if (quoted !== null) {
    faults.push('the signature is enclosed in quotes');
    text = quoted[2] ?? '';
  }
  return text;
}

/** What stands after the algorithm; null where there is no use in reading on. */
function readPrefix(text: string, faults: string[]): string | null {
  if (text === '') {
    faults.push('the signature is empty');
    return null;
  }
  const prefix = /^(hmac-?)?(sha-?256)\s*([:=])\s*/i.exec(text);
  if (prefix !== null) {
    if (prefix[3] === '=') faults.push("the algorithm is followed by '=', not ':'");
    if (prefix[1] !== undefined || prefix[2] !== 'SHA256') faults.push('the algorithm must be written SHA256');
    if (/\s/.test(prefix[0])) faults.push("there is white space about the ':'");
    return text.slice(prefix[0].length);
  }
  if (/^[A-Za-z][A-Za-z0-9_-]{0,31}:/.test(text)) {
    faults.push('the signature names another algorithm than SHA256');
    return null;
  }
  if (/[,;]/.test(text)) {
    faults.push('the header holds a list; exactly one SHA256:<base64> is allowed');
    return null;
  }
  faults.push('the prefix SHA256: is missing');
  return text;
}

function readDigest(text: string, faults: string[]): Buffer | null {
  let digest = text;
  if (/%(?:2b|2f|3d)/i.test(digest)) {
    faults.push('the signature is percent-encoded');
    digest = digest.replace(/%2b/gi, '+').replace(/%2f/gi, '/').replace(/%3d/gi, '=');
  }
  if (/^[A-Za-z0-9+/ ]{43}=$/.test(digest) && digest.includes(' ')) {
    faults.push('the signature has spaces where + should be (it was form-decoded)');
    digest = digest.replaceAll(' ', '+');
  }
  if (/^[0-9a-f]{64}$/i.test(digest)) {
    faults.push('the signature is hex, not base64');
    return Buffer.from(digest, 'hex');
  }
  if (/^[A-Za-z0-9+/_-]{43}=?$/.test(digest)) {
    if (/[-_]/.test(digest)) faults.push('the signature is url-safe base64, not standard base64');
    if (!digest.endsWith('=')) faults.push('the signature lacks its base64 padding');
    return Buffer.from(digest, 'base64');
  }
  return readOtherLength(digest, faults);
}

/** A digest of the wrong length: of another hash, of the hex text, or cut. */
function readOtherLength(text: string, faults: string[]): Buffer | null {
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(text)) {
    const isList = /[,;]/.test(text);
    faults.push(isList ? 'the header holds a list; exactly one is allowed' : 'the signature is not base64');
    return null;
  }
  const decoded = Buffer.from(text, 'base64');
  if (/^[0-9a-f]{64}$/i.test(decoded.toString('latin1'))) {
    faults.push('the signature is the base64 of a hex text, not of the 32 bytes');
    return Buffer.from(decoded.toString('latin1'), 'hex');
  }
  const bytes = /^(?:[0-9a-f]{2})+$/i.test(text) ? text.length / 2 : decoded.length;
  const other = new Map([
    [20, 'it is as long as a SHA-1'],
    [48, 'it is as long as a SHA-384'],
    [64, 'it is as long as a SHA-512'],
  ]).get(bytes);
  faults.push(`the signature is not the base64 of 32 bytes${other === undefined ? '' : `: ${other}`}`);
  return null;
}
