// Which header lines belong to one connection (RFC 9110 7.6.1), and which trailers are forwarded.
import { isRerouting } from './head.ts';
import { looksLikeSignature } from './signature.ts';

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

/** The lower-case names that `Connection` values list. */
export function nominated(connection: string): string[] {
  return connection
    .split(',')
    .map((token) => token.trim().toLowerCase())
    .filter((token) => token !== '');
}

/** The values of one header in a flat list of lines (name, value, name, value …). */
export function valuesOf(lines: readonly string[], lowerCaseName: string): string[] {
  return lines.filter((_, at) => at % 2 === 1 && lines[at - 1]?.toLowerCase() === lowerCaseName);
}

/** Fields for framing, routing, request modifiers, authentication and content. */
const NEVER_IN_TRAILERS =
  /^(?:host|content-.*|authorization|proxy-.*|www-authenticate|authentication-info|cookie2?|set-cookie2?|cache-control|max-forwards|pragma|range|if-.*|age|date|expires|location|retry-after|vary|forwarded|x-forwarded-.*|x-real-ip|origin|referer)$/;

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
