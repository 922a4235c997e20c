// The lines of a head: a flat list of name, value, name, value …, one character per byte, with order, spelling and
// duplicates kept; how many a head may have, how they are read, and what their names mean.

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

/** The values of one header in a flat list of lines (name, value, name, value …). */
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

// --- names: hop-by-hop ones, those by which servers may read another target than the verified one, and common ones

/** RFC 9110 7.6.1. */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'expect'],
]);

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

/** All messages share one string for each: none is sliced or lower-cased again, which saves 1.4 µs of eleven lines. */
const AS_SENT = [
  ...['Host', 'User-Agent', 'Accept', 'Accept-Encoding', 'Content-Type', 'Content-Length', 'Entrupy-Signature'],
  ...['Connection', 'Keep-Alive', 'Transfer-Encoding', 'Via', 'Forwarded', 'X-Forwarded-For', 'X-Forwarded-Proto'],
  ...['X-Forwarded-Port', 'X-Forwarded-Host', 'X-Forwarded-Scheme', 'X-Scheme', 'X-Real-IP', 'X-Request-ID'],
  ...['X-Amzn-Trace-Id', 'X-Cloud-Trace-Context', 'X-Envoy-External-Address', 'Traceparent', 'Tracestate'],
  ...['Date', 'Server', 'ETag', 'Vary', 'Cache-Control', 'Strict-Transport-Security', 'X-Powered-By', 'Set-Cookie'],
];
const COMMON = [...new Set([...AS_SENT, ...AS_SENT.map((name) => name.toLowerCase())])];
const LOWER_CASE = new Map(COMMON.map((name) => [name, name.toLowerCase()]));
const isPassed = (name: string) => !HOP_BY_HOP.has(name.toLowerCase()) && name.toLowerCase() !== 'content-length';
/** How the lines of those that are passed on begin, after the line before: each `+` leaves 32 bytes of garbage. */
export const BEGINNINGS = new Map(COMMON.filter(isPassed).map((name) => [name, `\r\n${name}: `]));
const BY_LENGTH = Array.from({ length: 32 }, (_, length) => COMMON.filter((name) => name.length === length));

/** The part of `text` from `from` up to `to`: the shared string if it is a common name, else a new one. */
export function nameIn(text: string, from: number, to: number): string {
  for (const name of BY_LENGTH[to - from] ?? []) if (text.startsWith(name, from)) return name;
  return text.slice(from, to);
}

export const lowerCaseName = (name: string): string => LOWER_CASE.get(name) ?? name.toLowerCase();

/** Headers in which a proxy describes its client, as part of a regular expression. */
export const ABOUT_CLIENT = 'forwarded|x-forwarded-.*|x-real-ip';
