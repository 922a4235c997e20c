// The lines of a head: a flat list of name, value, name, value …, one character per byte, with order, spelling and
// duplicates kept; how many a head may have, and how they are read.
import { HOP_BY_HOP, lowerCaseName } from './header-names.ts';

const [HTAB, SP] = [0x09, 0x20];
/** The maximum number of lines in a head, and in trailers: the parser refuses more. */
export const MAX_LINES = 100;
/** The maximum number of lines that the proxy adds to a request: five for `forwardedHeaders`, and `Connection: TE`. */
export const MAX_ADDED_LINES = 6;

/** The lower-case names that one `Connection` value lists. */
export function nominated(connection: string): string[] {
  return connection
    .split(',')
    .map((token) => token.trim().toLowerCase())
    .filter((token) => token !== '');
}

/** The lines of a flat list as pairs. Hot paths count by index instead, without an object for each line. */
export function* pairsOf(lines: readonly string[]): Generator<readonly [name: string, value: string]> {
  for (let index = 0; index < lines.length; index += 2) yield [lines[index] ?? '', lines[index + 1] ?? ''];
}

/** The value without trailing SP and HTAB, which llhttp keeps (RFC 9112 5.1). `.trim()` removes others, too. */
export function withoutTrailingSpace(value: string): string {
  let end = value.length;
  while (end > 0 && (value.charCodeAt(end - 1) === SP || value.charCodeAt(end - 1) === HTAB)) end--;
  return end < value.length ? value.slice(0, end) : value;
}

/** True if the value of a Connection or Proxy-Connection line lists `close`. llhttp 9.3 misses it before a tab. */
export const listsClose = (value: string): boolean => /(?:^|,)[ \t]*close[ \t]*(?:,|$)/i.test(value);

export function valuesOf(lines: readonly string[], lowerCase: string): string[] {
  return lines.filter((_, at) => at % 2 === 1 && lines[at - 1]?.toLowerCase() === lowerCase);
}

/** The value of the first line with this lower-case name; empty if there is none. Allocates nothing. */
export function firstValue(lines: readonly string[], lowerCase: string): string {
  for (let index = 0; index < lines.length; index += 2) {
    const name = lines[index] ?? '';
    if (name.length === lowerCase.length && lowerCaseName(name) === lowerCase) return lines[index + 1] ?? '';
  }
  return '';
}

/** The end-to-end lines of a flat list (RFC 9110 7.6.1). `but`: hop-by-hop names to keep, for the caller to handle. */
export function endToEnd(lines: readonly string[], but: ReadonlySet<string> = new Set()): string[] {
  const named = valuesOf(lines, 'connection').flatMap(nominated);
  const dropped = new Set([...HOP_BY_HOP, ...named]).difference(but);
  return lines.filter((_, at) => !dropped.has((lines[at - (at % 2)] ?? '').toLowerCase()));
}
