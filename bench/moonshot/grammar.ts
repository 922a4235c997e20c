// The grammar of HTTP/1.1 heads, as far as this parser takes it: RFC 9112 without its leniencies (no bare LF, no folded line, no
// white space before a colon, origin-form alone). Every rule is written once; nothing here mends what it reads.
import { endToEnd } from '../../src/core/headers.ts';

const NAME = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const VALUE = '[\\t\\x20-\\x7e\\x80-\\xff]*';
const LINES = `(?:${NAME}:${VALUE}\\r\\n)*`;

/** A whole request head. The characters of the path are the gate's, which looks at path and query apart. */
export const REQUEST_HEAD = new RegExp(`^([A-Z-]+) (/[\\x21-\\x7e]*) HTTP/1\\.([01])\\r\\n${LINES}\\r\\n$`);
/** A whole response head. */
export const RESPONSE_HEAD = new RegExp(`^HTTP/1\\.([01]) ([1-5]\\d\\d)(?: (${VALUE}))?\\r\\n${LINES}\\r\\n$`);
/** The lines behind the last chunk, and the empty one. */
export const TRAILERS = new RegExp(`^${LINES}\\r\\n$`);

/** The only line that makes a body chunked. llhttp does not know the coding with a tab behind it. */
export const CHUNKED_LINE = /^transfer-encoding:[\t ]*chunked\r$/im;

const WORD = "(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+)";
const QUOTED = '(?:"(?:[\\t\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]|\\\\[\\t\\x20-\\x7e])*")';
/** A chunk's size and its extensions, without the CRLF. Eight digits are 4 GiB: more than any limit here. */
export const CHUNK_SIZE = new RegExp(`^([0-9A-Fa-f]{1,8})(?:;${WORD}(?:=(?:${WORD}|${QUOTED}))?)*$`);

/** What framing stands on has no place behind the body (RFC 9110 6.5.1): llhttp heeds a `Connection: close` there. */
export const FORBIDDEN_TRAILER = /^(?:content-length|transfer-encoding|connection|proxy-connection|upgrade):/im;

/** Methods that llhttp knows too. Without CONNECT, whose answer would not be HTTP. */
export const METHODS: ReadonlySet<string> = new Set(
  'GET HEAD POST PUT PATCH DELETE OPTIONS TRACE PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT SEARCH PURGE M-SEARCH'.split(
    ' ',
  ),
);

/** Bytes that may stand in a head at all. CR and LF have a rule of their own. */
export function mayStandInHead(byte: number): boolean {
  return byte >= 0x20 ? byte !== 0x7f : byte === 0x09 || byte === 0x0a || byte === 0x0d;
}

/** The header lines of a head that the grammar took, flat (name, value, …), values without outer white space. */
export function linesFrom(head: string, start: number): string[] {
  const lines: string[] = [];
  const last = head.length - 2;
  for (let at = start; at < last; ) {
    const colon = head.indexOf(':', at);
    const end = head.indexOf('\r\n', colon);
    lines.push(head.slice(at, colon), trimmed(head, colon + 1, end));
    at = end + 2;
  }
  return lines;
}

/** Not String.trim: that takes U+00A0, which is a byte of the value. */
function trimmed(text: string, from: number, to: number): string {
  let [start, end] = [from, to];
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/**
 * The lines of a head as they came, byte for byte, without the hop-by-hop ones and without the empty line. Null where
 * nothing goes: then the head itself will do.
 */
export function withoutHopByHop(head: string, start: number, lines: readonly string[]): string | null {
  const kept = endToEnd(lines);
  if (kept.length === lines.length) return null;
  const raw = head.slice(start, -4).split('\r\n');
  let text = '';
  for (let index = 0, next = 0; index < lines.length; index += 2) {
    // A name goes with all its lines or stays with all of them, so the next one kept is the next of its name.
    if (kept[next] !== lines[index]) continue;
    text += `${raw[index / 2]}\r\n`;
    next += 2;
  }
  return text;
}
