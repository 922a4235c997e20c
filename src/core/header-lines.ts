// Header lines: a flat list of name, value, name, value …, one character per byte, with order, spelling and duplicates
// kept. This file says how many a head may have, how they are read, which are hop-by-hop (RFC 9110 7.6.1) and which are
// forwarded: in order, rewritten as `name: value`, with our own framing line in place of the sender's, so that no white
// space or framing that servers read differently gets through.
import { looksLikeSignature } from './signature.ts';

const [HTAB, SP] = [0x09, 0x20];
/** The maximum number of lines in a head, and in trailers: the parser refuses more. */
export const MAX_LINES = 100;
/** The maximum number of lines that the proxy adds to a request: five for `forwardedHeaders`, and `Connection: TE`. */
export const MAX_ADDED_LINES = 6;

export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'expect'],
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
 * The value without trailing SP and HTAB, which llhttp keeps (RFC 9112 5.1). Never `.trim()`: that also removes
 * U+00A0 and other bytes that belong to a value.
 */
export function trimmed(value: string): string {
  let end = value.length;
  while (end > 0 && (value.charCodeAt(end - 1) === SP || value.charCodeAt(end - 1) === HTAB)) end--;
  return end < value.length ? value.slice(0, end) : value;
}

/** True for a Connection or Proxy-Connection line with the option `close`. llhttp 9.3 misses `close` before a tab. */
export function saysClose(lines: readonly string[], index: number): boolean {
  if (!isLine(lines, index, 'connection') && !isLine(lines, index, 'proxy-connection')) return false;
  return /(?:^|,)[ \t]*close[ \t]*(?:,|$)/i.test(lines[index + 1] ?? '');
}

/** The values of one header in a flat list of lines (name, value, name, value …). */
export function valuesOf(lines: readonly string[], lowerCase: string): string[] {
  return lines.filter((_, at) => at % 2 === 1 && lines[at - 1]?.toLowerCase() === lowerCase);
}

/** The end-to-end lines of a flat list (RFC 9110 7.6.1). `but`: hop-by-hop names to keep, for the caller to handle. */
export function endToEnd(lines: readonly string[], but: ReadonlySet<string> = new Set()): string[] {
  const named = valuesOf(lines, 'connection').flatMap(nominated);
  const dropped = new Set([...HOP_BY_HOP, ...named]).difference(but);
  return lines.filter((_, at) => !dropped.has((lines[at - (at % 2)] ?? '').toLowerCase()));
}

/**
 * Headers with which frameworks replace the verified target, method or prefix. Envoy's `X-Envoy-Original-Path` and
 * Traefik's `X-Replaced-Path` are not included: they only report a rewrite, and honest ingresses add them.
 */
const REROUTING: ReadonlySet<string> = new Set([
  ...['x-original-url', 'x-original-uri', 'x-original-path', 'x-original-method', 'x-override-url'],
  ...['x-rewrite-url', 'x-rewrite-uri', 'x-rewrite-path', 'x-invoke-path', 'x-matched-path', 'x-script-name'],
  ...['x-forwarded-prefix', 'x-forwarded-uri', 'x-forwarded-path', 'x-forwarded-method'],
  ...['x-http-method', 'x-http-method-override', 'x-method-override'],
]);

/** CGI's variables for the path, spelt with dashes: look a name up with its dots (`script.name`) turned into dashes. */
export const CGI_PATHS: ReadonlySet<string> = new Set(['script-name', 'path-info']);

/** True for a name with `_` (WSGI, CGI and PHP read it as `-`), and for a re-routing header, even with dots for `-`. */
export function isRerouting(lowerCaseName: string): boolean {
  if (lowerCaseName.includes('_') || REROUTING.has(lowerCaseName)) return true;
  if (!lowerCaseName.includes('.')) return false;
  const dashed = lowerCaseName.replaceAll('.', '-');
  return REROUTING.has(dashed) || CGI_PATHS.has(dashed);
}

/** Headers in which a proxy describes its client, as part of a regular expression. */
export const ABOUT_CLIENT = 'forwarded|x-forwarded-.*|x-real-ip';

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

// --- the lines as they are sent

/** The framing line of a chunked body. Only a chunked message may have trailers, so only then does `Trailer` pass. */
export const CHUNKED = 'Transfer-Encoding: chunked';
/** The hop-by-hop names that `headLines` may let pass. */
const HANDLED: ReadonlySet<string> = new Set(['te', 'trailer']);
/** Values of `Connection` that name no other line. */
const NAMES_NONE: ReadonlySet<string> = new Set(['keep-alive', 'Keep-Alive', 'close']);

/**
 * The end-to-end lines of a head as text, each with its CRLF, without the empty line. `framing`: our framing line, such
 * as `Content-Length: 5`, which replaces the sender's first one, or comes last; null if the message has none. `te`: the
 * value with which a `TE` line passes (the caller's `Connection` must then name `TE`, RFC 9110 10.1.4); null for none.
 */
export function headLines(lines: readonly string[], framing: string | null, te: 'trailers' | null = null): string {
  let text = '';
  let due = framing === null ? '' : `${framing}\r\n`;
  for (let index = 0; index < lines.length; index += 2) {
    const name = lines[index] ?? '';
    const value = lines[index + 1] ?? '';
    const lower = lowerCaseName(name);
    if (lower === 'content-length' || lower === 'transfer-encoding') {
      text += due;
      due = '';
    } else if (lower === 'connection') {
      if (!NAMES_NONE.has(value)) return headLines(endToEnd(lines, HANDLED), framing, te);
    } else if (
      !HOP_BY_HOP.has(lower) ||
      (lower === 'trailer' && framing === CHUNKED) ||
      (lower === 'te' && value.toLowerCase() === te)
    )
      text += `${name}: ${value}\r\n`;
  }
  return text + due;
}

/** The forwarded trailers as text, with the final empty line. */
export function trailerLines(trailers: readonly string[]): string {
  let text = '';
  for (const [name, value] of linesOf(trailers)) if (mayTrail(name.toLowerCase())) text += `${name}: ${value}\r\n`;
  return `${text}\r\n`;
}

// --- common names

// Names that occur in most messages. All messages share one string for each, so none is sliced out of a head or
// lower-cased again: with a load balancer's eleven lines that saves 1.4 µs of a request.

const AS_SENT = [
  ...['Host', 'User-Agent', 'Accept', 'Accept-Encoding', 'Content-Type', 'Content-Length', 'Entrupy-Signature'],
  ...['Connection', 'Keep-Alive', 'Transfer-Encoding', 'Via', 'Forwarded', 'X-Forwarded-For', 'X-Forwarded-Proto'],
  ...['X-Forwarded-Port', 'X-Forwarded-Host', 'X-Forwarded-Scheme', 'X-Scheme', 'X-Real-IP', 'X-Request-ID'],
  ...['X-Amzn-Trace-Id', 'X-Cloud-Trace-Context', 'X-Envoy-External-Address', 'Traceparent', 'Tracestate'],
  ...['Date', 'Server', 'ETag', 'Vary', 'Cache-Control', 'Strict-Transport-Security', 'X-Powered-By', 'Set-Cookie'],
];
const COMMON = [...new Set([...AS_SENT, ...AS_SENT.map((name) => name.toLowerCase())])];
const LOWER_CASE = new Map(COMMON.map((name) => [name, name.toLowerCase()]));
const BY_LENGTH = Array.from({ length: 32 }, (_, length) => COMMON.filter((name) => name.length === length));

/** The part of `text` from `from` up to `to`: the shared string if it is a common name, else a new one. */
export function nameIn(text: string, from: number, to: number): string {
  for (const name of BY_LENGTH[to - from] ?? []) if (text.startsWith(name, from)) return name;
  return text.slice(from, to);
}

export const lowerCaseName = (name: string): string => LOWER_CASE.get(name) ?? name.toLowerCase();
