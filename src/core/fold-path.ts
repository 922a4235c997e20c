// Folding turns all spellings that some server could read as the same path into one list of segments.
// It must never fold less than a server does: a spelling that is missed here bypasses verification.
import { Buffer } from 'node:buffer';

export type Folded = NonNullable<ReturnType<typeof foldPath>>;

const MARKS: readonly (readonly [form: RegExp, mark: string])[] = [
  [/\/\//, 'an empty segment'],
  [/\/\.{1,2}(?:\/|$)/, 'a dot segment'],
  [/%(?:4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae]|3[0-9]|2[de])/i, 'an encoded unreserved character'],
  [/%(?:2f|5c|25|3f|23)/i, 'an encoded / \\ % ? or #'],
  [/;|%3b/i, 'a path parameter'],
];

// `..` with spaces or control characters around its dots, and no name after it: `..;x`, `..%20`, `...`.
const CLIMB = /(?:^|[/\\])[\x00-\x20\x7f]*\.[\x00-\x20\x7f]*\.(?![A-Za-z0-9_-])/;

// `(S(x))`, `(A(x)F(y))`: a session or a login in the path. ASP.NET drops the segment before it routes.
const SESSION = /(^|[/\\])[\x00-\x20\x7f]*\((?:[a-z]\([^/\\)]*\))+\)(?=[\x00-\x20.\x7f]*(?:[/\\;?#]|$))/g;

/** Folds a path (without its query), as received: bytes in a latin1 string. Null: no route may take it. */
export function foldPath(path: string) {
  const readings: (readonly View[])[] = [];
  for (const decoded of decodingsOf(Buffer.from(path, 'latin1'))) {
    const views = viewsOf(decoded);
    if (views === null) return null;
    readings.push(views);
  }
  const views = readings.flat();
  const [strict = [], ...lenient] = readings;
  const climbs = views.some(({ decoded }) => CLIMB.test(decoded));
  const marks = new Set(MARKS.filter(([form]) => form.test(path)).map(([, mark]) => mark));
  // A server that trims reads `..%20` as `..`: without this mark the segments after it would not be checked.
  if (climbs) marks.add('a dot segment');
  if (lenient.length > 0) marks.add('an invisible character, or an overlong form of an ASCII one');
  const hasSession = views.some(({ decoded }) => decoded.includes('(') && decoded.search(SESSION) >= 0);
  if (hasSession) marks.add('a session in brackets');
  // A compatibility form, such as a full-width slash. A lenient reading that has one bears a mark above.
  const isDisguised = strict.some(({ specials }) => specials !== strict[0]?.specials);
  if (isDisguised) marks.add('a character that folds to one that splits or cuts');
  return {
    /** The path as sent. */
    path,
    /** How servers read it, the strict ones first: its segments as text and, if they differ, as bytes. Some compare these. */
    readings: readings.map((views) => views.map(({ segments }) => segments)),
    /** The minimum number of segments if a server drops session segments and cuts the whole path at `;`, `?` or `#`. */
    kept: Math.min(...views.map(keptOf)),
    /** True if a decoded segment could be read as `..`: the path can leave the directory that it seems to be in. */
    climbs,
    /** The causes of the path's ambiguity; empty for a plain one. */
    marks: [...marks],
  };
}

/** How a server reads overlong forms (more bytes than an ASCII character needs: `%c0%ae` is a dot), and what is invisible. */
const STRICT = { readsOverlong: false, dropsInvisible: false };
const LENIENCIES: readonly (typeof STRICT)[] = [
  STRICT,
  { readsOverlong: true, dropsInvisible: false },
  { readsOverlong: false, dropsInvisible: true },
  { readsOverlong: true, dropsInvisible: true },
];

/** All ways in which servers decode the path, each once. */
function decodingsOf(path: Buffer): Iterable<Buffer> {
  const strict = decodeFully(path);
  // An overlong form or an invisible character can only begin with a byte of at least C0.
  if (!strict.some((byte) => byte >= 0xc0)) return [strict];
  return new Map(LENIENCIES.map((how) => decodeFully(path, how)).map((way) => [way.toString('latin1'), way])).values();
}

const PERCENT = 0x25;

/** By ASCII code, the value of a hexadecimal digit; -1 for every other byte. */
const DIGITS = new Int8Array(256).fill(-1);
for (const digit of '0123456789abcdefABCDEF') DIGITS[digit.charCodeAt(0)] = Number.parseInt(digit, 16);

/**
 * Decodes percent escapes until none is left. One pass is enough, since each of them, even a nested one (`%25252e`,
 * `%2%35`, `%c0%a52e`), can be decoded at its last byte. Repeated passes would take quadratic time.
 */
export function decodeFully(bytes: Uint8Array, { readsOverlong, dropsInvisible } = STRICT): Buffer {
  const out = Buffer.allocUnsafe(bytes.length);
  let end = 0;
  for (const byte of bytes) {
    out[end++] = byte;
    for (let before = end + 1; end < before; ) {
      before = end;
      end = readEscape(out, end);
      if (readsOverlong) end = readOverlong(out, end);
      if (dropsInvisible) end = dropInvisible(out, end);
    }
  }
  return out.subarray(0, end);
}

/** Decodes a percent escape that ends at `end`. Returns the new end of `out`. */
function readEscape(out: Buffer, end: number): number {
  if (out[end - 3] !== PERCENT) return end;
  const [high = -1, low = -1] = [DIGITS[out[end - 2] ?? 0], DIGITS[out[end - 1] ?? 0]];
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

interface View {
  readonly decoded: string;
  /** Split at both slashes, cut at `;`, `?` and `#`, without spaces, controls and trailing dots, as servers do. */
  readonly segments: readonly string[];
  /** The number of characters that split, cut, or make an escape or a dot segment. */
  readonly specials: number;
}

/** A decoded path as text and, if it is not ASCII alone, as bytes. Null: `foldText` says why. */
function viewsOf(decoded: Buffer): readonly View[] | null {
  const bytes = decoded.toString('latin1').replace(/[A-Z]+/g, (upper) => upper.toLowerCase());
  if (!/[\x80-\xff]/.test(bytes)) return [viewOf(bytes)];
  const text = foldText(decoded.toString('utf8'));
  return text === null ? null : [viewOf(text), viewOf(bytes)];
}

/**
 * A decoded text with its letters folded. Null if that would cost more than its bytes: too many non-starters in a row,
 * or a new escape (of a full-width `%` or digit), which a server may decode and fold again.
 */
function foldText(text: string): string | null {
  if (hasLongRun(text)) return null;
  const folded = foldLetters(text);
  const percents = (of: string) => of.split('%').length;
  return percents(folded) > percents(text) || /%[0-9a-f]{2}/.test(folded) ? null : folded;
}

/**
 * Folds letters: compatibility forms, case, and letters that are equal only in upper case (`ı` and `i`, `ß` and `ss`).
 * In whatever order a server applies NFKC and case mapping, the fold is the same; a test tries each code point.
 */
function foldLetters(text: string): string {
  return text.normalize('NFKC').toLowerCase().toUpperCase().normalize('NFKC').toLowerCase().replaceAll('ς', 'σ');
}

const [DOT, SPACE, DEL] = [0x2e, 0x20, 0x7f];
const [SPLITS, CUTS] = [1, 2];
/** By ASCII code: what splits a path, what cuts a segment, and what else a server does not take for a letter. */
const KINDS = new Uint8Array(128);
for (const [kind, characters] of ['', '/\\', ';?#', '%.'].entries())
  for (const character of characters) KINDS[character.charCodeAt(0)] = kind;

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

/** The number of segments that are left if a server drops sessions and cuts the whole path. */
function keptOf({ decoded, segments }: View): number {
  if (!/[;?#(]/.test(decoded)) return segments.length;
  const sent = decoded.replace(SESSION, '$1');
  const cut = sent.search(/[;?#]/);
  return viewOf(cut < 0 ? sent : sent.slice(0, cut)).segments.length;
}

// --- non-starters: characters that normalisation sorts (accents and other marks, Unicode's combining class not 0). ICU takes
// time quadratic in a run of them: 6.6 s for 255 KB. No language needs more than 30 in a row (UAX #15, stream-safe text)

const MOST_IN_A_ROW = 30;

// Only these characters decompose to non-starters alone, to two at most (U+0344); other characters end in three at most
// (U+1F82) and begin with none. A test tries every code point.
const SUSPECTS = /[^\p{M}\uff9e\uff9f]?[\p{M}\uff9e\uff9f]{14,}/gu;
/** Matches what may hold suspects. ASCII is no mark, and ends with none. Costs a tenth for what is mostly ASCII. */
const NON_ASCII = /[^\x00-\x7f]{14,}/g;

/** True if the text, once decomposed (NFKD), has more than 30 non-starters in a row. Linear; normalises single characters. */
function hasLongRun(text: string): boolean {
  const runs = text.match(NON_ASCII)?.flatMap((part) => part.match(SUSPECTS) ?? []) ?? [];
  return runs.some((suspects) => {
    let run = 0;
    for (const character of suspects) {
      for (const part of character.normalize('NFKD')) {
        run = isNonStarter(part) ? run + 1 : 0;
        if (run > MOST_IN_A_ROW) return true;
      }
    }
    return false;
  });
}

/**
 * True if sorting moves the character. JavaScript has no property for the combining class, but between U+0345, of the
 * highest one, and U+0334, of the lowest, only a starter stays. The character must be decomposed.
 */
export function isNonStarter(character: string): boolean {
  const between = `\u0345${character}\u0334`;
  return between.normalize('NFD') !== between;
}
