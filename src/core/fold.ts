// Folding: every spelling that some server could read as the same path becomes one list of segments.
// It must never fold less than a server does: a spelling that is missed here bypasses verification.
import { Buffer } from 'node:buffer';

const PERCENT = 0x25;

function hexValue(byte: number | undefined): number {
  if (byte === undefined) return -1;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/**
 * Decodes percent escapes until nothing changes. One pass is enough, since a nested escape (`%25252e`, `%2%35`) is
 * complete at its last digit. Repeated passes would take quadratic time.
 */
export function decodeFully(bytes: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(bytes.length);
  let end = 0;
  for (const byte of bytes) {
    out[end++] = byte;
    while (end >= 3 && out[end - 3] === PERCENT) {
      const high = hexValue(out[end - 2]);
      const low = hexValue(out[end - 1]);
      if (high < 0 || low < 0) break;
      end -= 2;
      out[end - 1] = high * 16 + low;
    }
  }
  return out.subarray(0, end);
}

/**
 * Folds letters: compatibility forms, case, and letters that are equal only in upper case (`ı` and `i`, `ß` and `ss`).
 * The result is the same for every order of NFKC, lower and upper case; a test tries each code point.
 */
function foldLetters(text: string): string {
  return text.normalize('NFKC').toLowerCase().toUpperCase().normalize('NFKC').toLowerCase().replaceAll('ς', 'σ');
}

/** The decoded path as UTF-8 text with its letters folded, repeated until nothing changes. */
function foldText(decoded: Buffer): string {
  let text = foldLetters(decoded.toString('utf8'));
  // Folding turns a full-width percent sign into a new escape. Each round takes nine characters for one, so few follow.
  for (let round = 0; round < 16 && text.includes('%'); round++) {
    const next = foldLetters(decodeFully(Buffer.from(text, 'utf8')).toString('utf8'));
    if (next === text) break;
    text = next;
  }
  return text;
}

function foldBytes(decoded: Buffer): string {
  return decoded.toString('latin1').replace(/[A-Z]+/g, (upper) => upper.toLowerCase());
}

/** Servers split at both slashes, cut at `;`, `?` and `#`, and drop trailing dots, spaces and controls. */
function foldSegments(text: string): string[] {
  const segments: string[] = [];
  for (const part of text.split(/[/\\]/)) {
    const cut = part.search(/[;?#]/);
    const segment = trimEnd(cut < 0 ? part : part.slice(0, cut));
    if (segment !== '') segments.push(segment);
  }
  return segments;
}

// Not a regular expression: /[…]+$/ takes quadratic time in the length of a run, which the attacker chooses.
function trimEnd(segment: string): string {
  let end = segment.length;
  while (end > 0) {
    const code = segment.charCodeAt(end - 1);
    if (code > 0x20 && code !== 0x2e && code !== 0x7f) break;
    end--;
  }
  return segment.slice(0, end);
}

/** A folded path, as text and as bytes. Servers compare either way, so either match counts. */
export interface Folded {
  /** The same array as `bytes` if there is only ASCII. */
  readonly text: readonly string[];
  readonly bytes: readonly string[];
  /** The fewest segments left if a server cuts the whole path, not each segment, at `;`, `?` or `#`. */
  readonly kept: number;
  /** True if a decoded segment could be read as `..`: the path can leave the folder that it seems to be in. */
  readonly climbs: boolean;
  /** True if a compatibility form, such as a full-width slash, folds to a character that splits or cuts. */
  readonly disguised: boolean;
}

// `..` with spaces or control characters around its dots, and no name after it: `..;x`, `..%20`, `...`.
const CLIMB = /(?:^|[/\\])[\x00-\x20\x7f]*\.[\x00-\x20\x7f]*\.(?![A-Za-z0-9_-])/;

function specials(text: string): string {
  return text.replace(/[^/\\;?#%.]+/g, '');
}

function keptByCut(text: string): number {
  const cut = text.search(/[;?#]/);
  return foldSegments(cut < 0 ? text : text.slice(0, cut)).length;
}

/** Folds a path (without its query), as received: bytes in a latin1 string. */
export function foldPath(path: string): Folded {
  const decoded = decodeFully(Buffer.from(path, 'latin1'));
  const asBytes = foldBytes(decoded);
  const asText = /[\x80-\xff]/.test(asBytes) ? foldText(decoded) : asBytes;
  const bytes = foldSegments(asBytes);
  return {
    text: asText === asBytes ? bytes : foldSegments(asText),
    bytes,
    kept: Math.min(keptByCut(asText), keptByCut(asBytes)),
    climbs: CLIMB.test(asText) || CLIMB.test(asBytes),
    disguised: specials(asText) !== specials(asBytes),
  };
}
