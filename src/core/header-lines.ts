// How many header lines there may be, which of them belong to one connection (RFC 9110 7.6.1), and which trailers are
// forwarded.
import { isRerouting } from './rerouting-headers.ts';
import { looksLikeSignature } from './signature.ts';

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

/** A flat list without the lines that have one of these lower-case names. */
export function without(lines: readonly string[], lowerCaseNames: ReadonlySet<string>): string[] {
  return lines.filter((_, at) => !lowerCaseNames.has((lines[at - (at % 2)] ?? '').toLowerCase()));
}

/** The values of one header in a flat list of lines (name, value, name, value …). */
export function valuesOf(lines: readonly string[], lowerCaseName: string): string[] {
  return lines.filter((_, at) => at % 2 === 1 && lines[at - 1]?.toLowerCase() === lowerCaseName);
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
export function mayTrail(lowerCaseName: string): boolean {
  return (
    !HOP_BY_HOP.has(lowerCaseName) &&
    !NEVER_IN_TRAILERS.test(lowerCaseName.replaceAll('.', '-')) &&
    !isRerouting(lowerCaseName) &&
    !looksLikeSignature(lowerCaseName)
  );
}
