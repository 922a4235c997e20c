// How many header lines there may be, how a flat list of them is read, which belong to one connection (RFC 9110 7.6.1), and
// which trailers are forwarded. wire/forwarded-lines.ts applies it.
import { lowerCaseName } from './common-header-names.ts';
import { isRerouting } from './rerouting-headers.ts';
import { looksLikeSignature } from './signature.ts';

const [HTAB, SP] = [0x09, 0x20];
/** The most lines of a head, and of trailers: the parser refuses more. */
export const MAX_LINES = 100;

export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
]);

/** The lower-case names that one `Connection` value lists. */
export function nominated(connection: string): string[] {
  return connection
    .split(',')
    .map((token) => token.trim().toLowerCase())
    .filter((token) => token !== '');
}

/** The lines of a flat list as pairs. Hot paths count by index instead, without an object for each line. */
export function* linesOf(lines: readonly string[]): Generator<readonly [name: string, value: string]> {
  for (let index = 0; index < lines.length; index += 2) yield [lines[index] ?? '', lines[index + 1] ?? ''];
}

/** True if the line at `index` has this lower-case name. The length is compared first: most names differ in it. */
export function isLine(lines: readonly string[], index: number, lowerCase: string): boolean {
  const name = lines[index] ?? '';
  return name.length === lowerCase.length && lowerCaseName(name) === lowerCase;
}

/**
 * The value without trailing SP and HTAB, which llhttp leaves there (RFC 9112 5.1). Never `.trim()`: that also removes
 * U+00A0 and other bytes that belong to a value.
 */
export function trimmed(value: string): string {
  let end = value.length;
  while (end > 0 && (value.charCodeAt(end - 1) === SP || value.charCodeAt(end - 1) === HTAB)) end--;
  return end < value.length ? value.slice(0, end) : value;
}

/** True for a Connection line with the option `close`. llhttp 9.3 misses it if a tab follows. */
export function saysClose(lines: readonly string[], index: number): boolean {
  if (!isLine(lines, index, 'connection') && !isLine(lines, index, 'proxy-connection')) return false;
  return /(?:^|,)[ \t]*close[ \t]*(?:,|$)/i.test(lines[index + 1] ?? '');
}

/** A flat list without the lines that have one of these lower-case names. */
export function without(lines: readonly string[], lowerCaseNames: ReadonlySet<string>): string[] {
  return lines.filter((_, at) => !lowerCaseNames.has((lines[at - (at % 2)] ?? '').toLowerCase()));
}

/** The values of one header in a flat list of lines (name, value, name, value …). */
export function valuesOf(lines: readonly string[], lowerCase: string): string[] {
  return lines.filter((_, at) => at % 2 === 1 && lines[at - 1]?.toLowerCase() === lowerCase);
}

/** The lower-case names that a head's `Connection` lines list. */
function namedByConnection(lines: readonly string[]): ReadonlySet<string> {
  return new Set(valuesOf(lines, 'connection').flatMap(nominated));
}

/** The end-to-end lines of a flat list (RFC 9110 7.6.1). `but`: hop-by-hop names that the caller handles itself. */
export function endToEnd(lines: readonly string[], but: ReadonlySet<string> = new Set()): string[] {
  return without(lines, HOP_BY_HOP.union(namedByConnection(lines)).difference(but));
}

/** Headers in which a proxy tells about its client, as a part of regular expressions. */
export const ABOUT_CLIENT = 'forwarded|x-forwarded-.*|x-real-ip';

/** Fields for framing, routing, request modifiers, authentication and content. */
const NEVER_IN_TRAILERS = new RegExp(
  `^(?:host|content-.*|authorization|proxy-.*|www-authenticate|authentication-info|cookie2?|set-cookie2?|cache-control|max-forwards|pragma|range|if-.*|age|date|expires|location|retry-after|vary|origin|referer|${ABOUT_CLIENT})$`,
);

/**
 * True for a trailer that may be forwarded. Servers that merge trailers into the headers would accept a target, a
 * signature or a login from one, so fields that matter in a head are dropped from trailers (RFC 9110 6.5.1).
 */
export function mayTrail(lowerCase: string): boolean {
  return (
    !HOP_BY_HOP.has(lowerCase) &&
    !NEVER_IN_TRAILERS.test(lowerCase.replaceAll('.', '-')) &&
    !isRerouting(lowerCase) &&
    !looksLikeSignature(lowerCase)
  );
}
