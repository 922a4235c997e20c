// Which trailers go through. Servers that merge trailers into the headers would take a target, a signature or a login from
// them, so whatever is trusted or decides something in a head is dropped behind a body (RFC 9110 6.5.1).
import { isRerouting } from './head.ts';
import { HOP_BY_HOP } from './headers.ts';
import { looksLikeSignature } from './signature.ts';

/** Framing, routing, request modifiers, authentication, content. */
const DECIDES =
  /^(?:host|content-.*|authorization|proxy-.*|www-authenticate|authentication-info|cookie2?|set-cookie2?|cache-control|max-forwards|pragma|range|if-.*|age|date|expires|location|retry-after|vary|forwarded|x-forwarded-.*|x-real-ip|origin|referer)$/;

/** True for a trailer line that may go on. */
export function mayTrail(lowerCaseName: string): boolean {
  return (
    !HOP_BY_HOP.has(lowerCaseName) &&
    !DECIDES.test(lowerCaseName) &&
    !isRerouting(lowerCaseName) &&
    !looksLikeSignature(lowerCaseName)
  );
}
