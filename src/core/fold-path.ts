// Folding turns all spellings that some server could read as the same path into one list of segments.
// It must never fold less than a server does: a spelling that is missed here bypasses verification.
import { Buffer } from 'node:buffer';
import { hasLongRun } from './non-starters.ts';

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

/**
 * The decoded path as UTF-8 text with its letters folded. Null if that would cost more than its bytes: too many
 * non-starters in a row, or a new escape (of a full-width `%` or digit), which a server may decode and fold again.
 */
function foldText(decoded: Buffer): string | null {
  const text = decoded.toString('utf8');
  if (hasLongRun(text)) return null;
  const folded = foldLetters(text);
  const percents = (of: string) => of.split('%').length;
  return percents(folded) > percents(text) || /%[0-9a-f]{2}/.test(folded) ? null : folded;
}

function foldBytes(decoded: Buffer): string {
  return decoded.toString('latin1').replace(/[A-Z]+/g, (upper) => upper.toLowerCase());
}

const [DOT, SPACE, DEL] = [0x2e, 0x20, 0x7f];
const [SPLITS, CUTS] = [1, 2];
/** By ASCII code: what splits a path, what cuts a segment, and what else a server does not take for a letter. */
const KINDS = new Uint8Array(128);
for (const [kind, characters] of ['', '/\\', ';?#', '%.'].entries())
  for (const character of characters) KINDS[character.charCodeAt(0)] = kind;

/** A decoded path. */
interface View {
  readonly decoded: string;
  /** Split at both slashes, cut at `;`, `?` and `#`, without spaces, controls and trailing dots, as servers do. */
  readonly segments: readonly string[];
  /** The number of characters that split, cut, or make an escape or a dot segment. */
  readonly specials: number;
}

/** One pass by character codes: with regular expressions 16 KiB of short segments, in eight views, took 20 ms. */
function viewOf(decoded: string): View {
  const segments: string[] = [];
  let [specials, start, cut] = [0, 0, -1];
  for (let at = 0; at <= decoded.length; at++) {
    const kind = at < decoded.length ? KINDS[decoded.charCodeAt(at)] : SPLITS;
    if (!kind) continue;
    specials++;
    if (kind === CUTS && cut < 0) cut = at;
    if (kind !== SPLITS) continue;
    const segment = trimmed(decoded, start, cut < 0 ? at : cut);
    if (segment !== '') segments.push(segment);
    [start, cut] = [at + 1, -1];
  }
  return { decoded, segments, specials };
}

const isBlank = (code: number) => code <= SPACE || code === DEL;

function trimmed(text: string, start: number, end: number): string {
  let [from, to] = [start, end];
  while (to > from && (isBlank(text.charCodeAt(to - 1)) || text.charCodeAt(to - 1) === DOT)) to--;
  while (from < to && isBlank(text.charCodeAt(from))) from++;
  return text.slice(from, to);
}

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

function decodedAs(path: Buffer, leniency: Leniency): Reading<View> | null {
  const decoded = decodeFully(path, leniency);
  const bytes = foldBytes(decoded);
  const text = /[\x80-\xff]/.test(bytes) ? foldText(decoded) : bytes;
  if (text === null) return null;
  const view = viewOf(bytes);
  return { text: text === bytes ? view : viewOf(text), bytes: view };
}

const differ = (a: Reading<View>, b: Reading<View>) =>
  a.text.decoded !== b.text.decoded || a.bytes.decoded !== b.bytes.decoded;

const segmentsOf = ({ text, bytes }: Reading<View>): Segments => ({ text: text.segments, bytes: bytes.segments });

/** The number of segments that are left if a server drops sessions and cuts the whole path. */
function keptOf({ decoded, segments }: View): number {
  if (!/[;?#(]/.test(decoded)) return segments.length;
  const sent = decoded.replace(SESSION, '$1');
  const cut = sent.search(/[;?#]/);
  return viewOf(cut < 0 ? sent : sent.slice(0, cut)).segments.length;
}

/** Folds a path (without its query), as received: bytes in a latin1 string. Null: `foldText` says why. */
export function foldPath(path: string): Folded | null {
  const sent = Buffer.from(path, 'latin1');
  const strict = decodedAs(sent, STRICT);
  if (strict === null) return null;
  // An overlong form or an invisible character can only begin with a byte of at least C0.
  const mayDiffer = /[\xc0-\xff]/.test(strict.bytes.decoded);
  const [overlong, dropping, lax] = [OVERLONG, DROPPING, LAX].map((how) => (mayDiffer ? decodedAs(sent, how) : strict));
  if (!overlong || !dropping || !lax) return null;
  const lenient = [overlong, dropping, lax].filter((reading) => differ(reading, strict));
  const views = [strict, ...lenient].flatMap(viewsOf);
  const marks = {
    'an overlong form of an ASCII character': differ(overlong, strict) || differ(lax, dropping),
    'an invisible character': differ(dropping, strict) || differ(lax, overlong),
    'a session in brackets': views.some(({ decoded }) => decoded.includes('(') && decoded.search(SESSION) >= 0),
    // A compatibility form, such as a full-width slash. A lenient reading that has one bears a mark above.
    'a character that folds to one that splits or cuts': strict.text.specials !== strict.bytes.specials,
  };
  return {
    ...segmentsOf(strict),
    lenient: lenient.map(segmentsOf),
    kept: Math.min(...views.map(keptOf)),
    climbs: views.some(({ decoded }) => CLIMB.test(decoded)),
    marks: Object.entries(marks).flatMap(([name, bears]) => (bears ? [name] : [])),
  };
}
