// Heads as text, as they are sent: the lines to either side in order, rewritten as `name: value`, with our own framing line
// in place of the sender's, so that no white space or framing that servers read differently gets through.
import { endToEnd, pairsOf } from './header-lines.ts';
import { ABOUT_CLIENT, BEGINNINGS, HOP_BY_HOP, isRerouting, lowerCaseName } from './header-names.ts';
import { declaredLength, type Head } from './request-head.ts';
import { looksLikeSignature } from './signature.ts';

/** The framing line of a chunked body. Only a chunked message may have trailers, so only then does `Trailer` pass. */
export const CHUNKED = 'Transfer-Encoding: chunked';
/** The hop-by-hop names that `headLines` may let pass. */
const HANDLED: ReadonlySet<string> = new Set(['te', 'trailer']);
/** Values of `Connection` that name no other line. */
const NAMES_NONE: ReadonlySet<string> = new Set(['keep-alive', 'Keep-Alive', 'close']);

/**
 * The end-to-end lines of a head as text, each behind a CRLF. `framing`: our framing line, such
 * as `Content-Length: 5`, which replaces the sender's first one, or comes last; null if the message has none. `te`: the
 * value with which a `TE` line passes (the caller's `Connection` must then name `TE`, RFC 9110 10.1.4); null for none.
 */
export function headLines(lines: readonly string[], framing: string | null, te: 'trailers' | null = null): string {
  let text = '';
  let due = framing === null ? '' : `\r\n${framing}`;
  for (let index = 0; index < lines.length; index += 2) {
    const name = lines[index] ?? '';
    const value = lines[index + 1] ?? '';
    const beginning = BEGINNINGS.get(name);
    const lower = beginning === undefined ? lowerCaseName(name) : '';
    if (beginning !== undefined) text += beginning + value;
    else if (isFraming(lower)) {
      text += due;
      due = '';
    } else if (lower === 'connection') {
      if (!NAMES_NONE.has(value)) return headLines(endToEnd(lines, HANDLED), framing, te);
    } else if (
      !HOP_BY_HOP.has(lower) ||
      (lower === 'trailer' && framing === CHUNKED) ||
      (lower === 'te' && value.toLowerCase() === te)
    )
      text += `\r\n${name}: ${value}`;
  }
  return text + due;
}

const isFraming = (lower: string) => lower === 'content-length' || lower === 'transfer-encoding';

// --- the head of a request as it goes to the upstream

interface Outgoing {
  /** The lines to send, before `outgoingHead` replaces hop-by-hop lines and framing. */
  readonly lines: readonly string[];
  /** The length in bytes of a body that is sent whole; null if it streams, or if there is none. */
  readonly bodyLength: number | null;
  /** `close`: no request may follow on the socket. `upgrade`: the request is a WebSocket's handshake. */
  readonly connection: keyof typeof CONNECTION;
}

const UPGRADE = '\r\nConnection: Upgrade\r\nUpgrade: websocket';
const CONNECTION = { persist: '', close: '\r\nConnection: close', upgrade: UPGRADE };

export function outgoingHead(head: Head, { lines, bodyLength, connection }: Outgoing): string {
  const te = connection !== 'upgrade' && head.version === '1.1' && head.asksForTrailers ? 'trailers' : null;
  let own = CONNECTION[connection];
  if (te !== null) own = connection === 'close' ? '\r\nConnection: TE, close' : '\r\nConnection: TE';
  return `${head.method} ${head.target} HTTP/1.1${headLines(lines, framingOf(head, bodyLength), te)}${own}\r\n\r\n`;
}

function framingOf(head: Head, bodyLength: number | null): string | null {
  if (head.contentLengths === 0 && head.transferEncodings === 0) return null;
  const length = bodyLength ?? declaredLength(head);
  return length === null ? CHUNKED : `Content-Length: ${length}`;
}

// --- trailers: which of them pass, and how they are sent to either side

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
