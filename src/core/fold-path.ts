// Folding turns all spellings that some server could read as the same path into one list of segments.
// It must never fold less than a server does: a spelling that is missed here bypasses verification.
import { Buffer } from 'node:buffer';

const PERCENT = 0x25;

function hexValue(byte: number | undefined): number {
  if (byte === undefined) return -1;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** How a server reads bytes that a strict UTF-8 decoder refuses, and invisible characters. */
interface Leniency {
  /** An overlong form of an ASCII character: more bytes than it needs, such as `%c0%ae` for a dot. */
  readonly overlong: 'data' | 'character';
  readonly invisible: 'kept' | 'dropped';
}

const STRICT: Leniency = { overlong: 'data', invisible: 'kept' };
const OVERLONG: Leniency = { overlong: 'character', invisible: 'kept' };
const DROPPING: Leniency = { overlong: 'data', invisible: 'dropped' };
const LAX: Leniency = { overlong: 'character', invisible: 'dropped' };

/**
 * Decodes percent escapes until none is left. One pass is enough, since each of them, even a nested one (`%25252e`,
 * `%2%35`, `%c0%a52e`), can be decoded at its last byte. Repeated passes would take quadratic time.
 */
export function decodeFully(bytes: Uint8Array, { overlong, invisible }: Leniency = STRICT): Buffer {
  const out = Buffer.allocUnsafe(bytes.length);
  let end = 0;
  for (const byte of bytes) {
    out[end++] = byte;
    for (let before = end + 1; end < before; ) {
      before = end;
      end = readEscape(out, end);
      if (overlong === 'character') end = readOverlong(out, end);
      if (invisible === 'dropped') end = dropInvisible(out, end);
    }
  }
  return out.subarray(0, end);
}

/** Decodes a percent escape that ends at `end`. Returns the new end of `out`. */
function readEscape(out: Buffer, end: number): number {
  if (out[end - 3] !== PERCENT) return end;
  const high = hexValue(out[end - 2]);
  const low = hexValue(out[end - 1]);
  if (high < 0 || low < 0) return end;
  out[end - 3] = high * 16 + low;
  return end - 2;
}

/** Decodes an overlong form that ends at `end`: C0|C1, E0 80|81 or F0 80 80|81, then one byte. Returns the new end. */
function readOverlong(out: Buffer, end: number): number {
  const [last = 0, high = 0] = [out[end - 1], out[end - 2]];
  if (last >> 6 !== 0b10) return end;
  let start = end;
  if (high >> 1 === 0xc0 >> 1) start = end - 2;
  else if (high >> 1 !== 0x80 >> 1) return end;
  else if (out[end - 3] === 0xe0) start = end - 3;
  else if (out[end - 3] === 0x80 && out[end - 4] === 0xf0) start = end - 4;
  else return end;
  out[start] = (high & 1) * 64 + (last & 63);
  return start + 1;
}

/** Drops a soft hyphen, U+200B to U+200F, U+2060 or U+FEFF that ends at `end`. Returns the new end. */
function dropInvisible(out: Buffer, end: number): number {
  const [last = 0, middle = 0, first = 0] = [out[end - 1], out[end - 2], out[end - 3]];
  if (middle === 0xc2 && last === 0xad) return end - 2;
  const is200b = first === 0xe2 && middle === 0x80 && last >= 0x8b && last <= 0x8f;
  const is2060 = first === 0xe2 && middle === 0x81 && last === 0xa0;
  return is200b || is2060 || (first === 0xef && middle === 0xbb && last === 0xbf) ? end - 3 : end;
}

/**
 * Folds letters: compatibility forms, case, and letters that are equal only in upper case (`ı` and `i`, `ß` and `ss`).
 * In whatever order a server applies NFKC and case mapping, the fold is the same; a test tries each code point.
 */
function foldLetters(text: string): string {
  return text.normalize('NFKC').toLowerCase().toUpperCase().normalize('NFKC').toLowerCase().replaceAll('ς', 'σ');
}

/** The decoded path as UTF-8 text with its letters folded; decoded and folded again until nothing changes. */
function foldText(decoded: Buffer, leniency: Leniency): string {
  let text = foldLetters(decoded.toString('utf8'));
  // Folding a full-width percent sign can make a new escape. Each round costs the sender nine characters: `%EF%BC%85`.
  for (let round = 0; round < 16 && text.includes('%'); round++) {
    const next = foldLetters(decodeFully(Buffer.from(text, 'utf8'), leniency).toString('utf8'));
    if (next === text) break;
    text = next;
  }
  return text;
}

function foldBytes(decoded: Buffer): string {
  return decoded.toString('latin1').replace(/[A-Z]+/g, (upper) => upper.toLowerCase());
}

/** Splits at both slashes, cuts at `;`, `?` and `#`, and trims spaces, controls and trailing dots, as servers do. */
function foldSegments(text: string): string[] {
  const segments: string[] = [];
  for (const part of text.split(/[/\\]/)) {
    const cut = part.search(/[;?#]/);
    const segment = trimmed(cut < 0 ? part : part.slice(0, cut));
    if (segment !== '') segments.push(segment);
  }
  return segments;
}

// Without the lookbehind a match takes time quadratic in the length of a run, which the attacker chooses.
const ENDS = /(?<![\x00-\x20.\x7f])[\x00-\x20.\x7f]+$/;
const trimmed = (segment: string) => segment.replace(ENDS, '').replace(/^[\x00-\x20\x7f]+/, '');

/** A path as text and as bytes, which are the same object if the path is ASCII alone. Servers compare either way. */
interface Reading<Path> {
  readonly text: Path;
  readonly bytes: Path;
}

/** A path's segments in one reading. */
type Segments = Reading<readonly string[]>;

/** The text and the bytes of a reading, or only the text if both are the same object. */
export const viewsOf = <Path>({ text, bytes }: Reading<Path>) => (text === bytes ? [text] : [text, bytes]);

/** A folded path: how a strict server reads it, and how others do. */
export interface Folded extends Segments {
  /** The readings of lenient servers, where they differ. */
  readonly lenient: readonly Segments[];
  /** The minimum number of segments if a server drops session segments and cuts the whole path at `;`, `?` or `#`. */
  readonly kept: number;
  /** True if a decoded segment could be read as `..`: the path can leave the directory that it seems to be in. */
  readonly climbs: boolean;
  /** Causes of ambiguity that show only once the path is decoded. */
  readonly marks: readonly string[];
}

// `..` with spaces or control characters around its dots, and no name after it: `..;x`, `..%20`, `...`.
const CLIMB = /(?:^|[/\\])[\x00-\x20\x7f]*\.[\x00-\x20\x7f]*\.(?![A-Za-z0-9_-])/;

// `(S(x))`, `(A(x)F(y))`: a session or a login in the path. ASP.NET drops the segment before it routes.
const SESSION = /(^|[/\\])[\x00-\x20\x7f]*\((?:[a-z]\([^/\\)]*\))+\)(?=[\x00-\x20.\x7f]*(?:[/\\;?#]|$))/g;

const specials = (text: string): string => text.replace(/[^/\\;?#%.]+/g, '');

function keptByCut(text: string): number {
  const sent = text.replace(SESSION, '$1');
  const cut = sent.search(/[;?#]/);
  return foldSegments(cut < 0 ? sent : sent.slice(0, cut)).length;
}

/** A decoded path, not yet split into segments. */
type Decoded = Reading<string>;

function decodedAs(path: Buffer, leniency: Leniency): Decoded {
  const decoded = decodeFully(path, leniency);
  const bytes = foldBytes(decoded);
  return { text: /[\x80-\xff]/.test(bytes) ? foldText(decoded, leniency) : bytes, bytes };
}

const differ = (a: Decoded, b: Decoded) => a.text !== b.text || a.bytes !== b.bytes;

function split({ text, bytes }: Decoded): Segments {
  const segments = foldSegments(bytes);
  return { text: text === bytes ? segments : foldSegments(text), bytes: segments };
}

/** Folds a path (without its query), as received: bytes in a latin1 string. */
export function foldPath(path: string): Folded {
  const sent = Buffer.from(path, 'latin1');
  const strict = decodedAs(sent, STRICT);
  // An overlong form or an invisible character can only begin with a byte of at least C0.
  const [overlong, dropping, lax] = /[\xc0-\xff]/.test(strict.bytes)
    ? [decodedAs(sent, OVERLONG), decodedAs(sent, DROPPING), decodedAs(sent, LAX)]
    : [strict, strict, strict];
  const lenient = [overlong, dropping, lax].filter((decoded) => differ(decoded, strict));
  const views = [strict, ...lenient].flatMap(viewsOf);
  const marks = {
    'an overlong form of an ASCII character': differ(overlong, strict) || differ(lax, dropping),
    'an invisible character': differ(dropping, strict) || differ(lax, overlong),
    'a session in brackets': views.some((view) => view.search(SESSION) >= 0),
    // A compatibility form, such as a full-width slash.
    'a character that folds to one that splits or cuts': [strict, ...lenient].some(
      ({ text, bytes }) => specials(text) !== specials(bytes),
    ),
  };
  return {
    ...split(strict),
    lenient: lenient.map(split),
    kept: Math.min(...views.map(keptByCut)),
    climbs: views.some((view) => CLIMB.test(view)),
    marks: Object.entries(marks).flatMap(([name, bears]) => (bears ? [name] : [])),
  };
}
