// The same JSON as different libraries write it: a body may have had any of these forms before something parsed and
// rewrote it. Numbers and the order of keys stay as written. Used by the diagnosis only, never for a verdict.

interface Style {
  /** Completes "JSON …", for people. */
  readonly name: string;
  /** Spaces per level, each element on a line of its own. */
  readonly indent?: 1 | 2 | 4;
  readonly sorted?: true;
  readonly respell?: (json: string) => string;
}

/** No delivery is nested deeper. The limit bounds recursion and indentation. */
const MAX_DEPTH = 64;

// Escapes apply to the JSON as a whole: these characters occur only in its strings.
const escapes = (characters: RegExp) => (json: string) =>
  json.replace(characters, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
const ascii = escapes(/[\u007f-\uffff]/g);
const go = escapes(/[<>&\u2028\u2029]/g);
const gson = escapes(/[<>&='\u2028\u2029]/g);
const slashes = (json: string): string => json.replaceAll('/', '\\/');
// The marked text may have had numbers that JSON forbids, such as `01`. They do not parse: the text stays as it is.
const reparsed = (json: string): string => JSON.stringify(parseJson(json)) ?? json;
const php = (json: string): string => slashes(ascii(json));
const withLineBreak = (json: string): string => `${json}\n`;
// A space after each comma and colon. Line breaks occur only between elements: in strings they are escaped.
const oneLine = (json: string): string => json.replace(/,\n */g, ', ').replace(/\n */g, '');
const python = (json: string): string => ascii(oneLine(json));

/** The likely ones first. */
const STYLES: readonly Style[] = [
  { name: 'compact' },
  { name: 'spaced and escaped as by json.dumps', indent: 1, respell: python },
  { name: 'spaced as by json.dumps', indent: 1, respell: oneLine },
  { name: 'compact with \\u escapes', respell: ascii },
  { name: 'compact with escaped slashes and \\u escapes, as by PHP', respell: php },
  { name: 'compact with escaped slashes', respell: slashes },
  { name: 'compact with <, > and & escaped, as by Go', respell: go },
  { name: "compact with <, >, &, = and ' escaped, as by Gson", respell: gson },
  { name: 'compact with sorted keys', sorted: true },
  { name: 'spaced with sorted keys', indent: 1, sorted: true, respell: python },
  { name: 'compact with a final line break', respell: withLineBreak },
  { name: 'indented by 2', indent: 2 },
  { name: 'indented by 2, with a final line break', indent: 2, respell: withLineBreak },
  { name: 'indented by 2, with \\u escapes', indent: 2, respell: ascii },
  { name: 'indented by 4', indent: 4 },
  { name: 'indented by 4, with \\u escapes', indent: 4, respell: ascii },
  { name: 'indented by 4, as by PHP', indent: 4, respell: php },
  { name: 'as JSON.parse and JSON.stringify make it', respell: reparsed },
];

/**
 * Writes the JSON in `text` in the known styles, one at a time, until about `limit` UTF-16 units are written in all.
 * Yields nothing if `text` is not JSON or is nested too deeply. Never throws.
 */
export function* jsonVariants(text: string, limit: number): Generator<readonly [name: string, text: string]> {
  const { marked, levels } = mark(text);
  const value = parseJson(marked);
  if (value === undefined) return;
  const seen = new Set([text]);
  let remaining = limit;
  for (const style of STYLES) {
    if (remaining < text.length + levels * (style.indent ?? 0)) continue;
    const variant = write(value, style);
    remaining -= variant.length;
    if (seen.has(variant)) continue;
    seen.add(variant);
    yield [style.name, variant];
  }
}

/** The parsed value; undefined if the text is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

// Marks protect names and numbers: JSON.parse would move keys that look like an index, and rewrite numbers.
const NAME_MARK = '\ue000';
const NUMBER_MARK = '\ue001';

// A quote always matches, closed or not: otherwise a body of unclosed strings would be scanned to its end repeatedly.
const LEXEME = /[{}[\],]|"[^"\\]*(?:\\.[^"\\]*)*"?(\s*:)?|-?[0-9][0-9.eE+-]*/gs;

/** Marks names, and turns numbers into marked strings; empty if too deep. `levels` is the sum of all depths. */
function mark(json: string): { readonly marked: string; readonly levels: number } {
  let depth = 0;
  let deepest = 0;
  let levels = 0;
  const marked = json.replace(LEXEME, (lexeme, colon: string | undefined) => {
    if (lexeme.startsWith('"')) return colon === undefined ? lexeme : `"${NAME_MARK}${lexeme.slice(1)}`;
    if (!/[{}[\],]/.test(lexeme)) return `"${NUMBER_MARK}${lexeme}"`;
    if (lexeme === '{' || lexeme === '[') depth++;
    if (lexeme === '}' || lexeme === ']') depth--;
    deepest = Math.max(deepest, depth);
    levels += depth;
    return lexeme;
  });
  return { marked: deepest > MAX_DEPTH ? '' : marked, levels };
}

function unmark(json: string): string {
  return json.replaceAll(`"${NAME_MARK}`, '"').replace(/"\ue001([^"]*)"/g, '$1');
}

function write(value: unknown, { indent, sorted, respell = (json) => json }: Style): string {
  return respell(unmark(JSON.stringify(value, sorted === true ? sortKeys : undefined, indent)));
}

function sortKeys(_name: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
