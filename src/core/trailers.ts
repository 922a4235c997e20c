// Trailers: which of them pass, and how they are sent to either side.
import { pairsOf } from './header-lines.ts';
import { ABOUT_CLIENT, HOP_BY_HOP, isRerouting } from './header-names.ts';
import { looksLikeSignature } from './signature.ts';

/** Fields that must not come as trailers: framing, routing, request modifiers, authentication and content. */
const NEVER_IN_TRAILERS = new RegExp(
  `^(?:host|content-.*|authorization|proxy-.*|www-authenticate|authentication-info|cookie2?|set-cookie2?|cache-control|max-forwards|pragma|range|if-.*|age|date|expires|location|retry-after|vary|origin|referer|${ABOUT_CLIENT})$`,
);

/**
 * True for a trailer that may be forwarded. Servers that merge trailers into the headers would accept a target, a
 * signature or a login from one, so fields that matter in a head are dropped from trailers (RFC 9110 6.5.1).
 */
function mayTrail(lowerCase: string): boolean {
  return (
    !HOP_BY_HOP.has(lowerCase) &&
    !NEVER_IN_TRAILERS.test(lowerCase.replaceAll('.', '-')) &&
    !isRerouting(lowerCase) &&
    !looksLikeSignature(lowerCase)
  );
}

/** The forwarded trailers as text, with the final empty line. */
export function trailerLines(trailers: readonly string[]): string {
  let text = '';
  for (const [name, value] of pairsOf(trailers)) if (mayTrail(name.toLowerCase())) text += `${name}: ${value}\r\n`;
  return `${text}\r\n`;
}
