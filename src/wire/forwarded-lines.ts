// Header lines are a flat list of name, value, name, value …, one character per byte, with order, spelling and
// duplicates kept. They are forwarded in their place, written as `name: value`, and our own framing line replaces the
// sender's, so no white space or framing that servers read differently gets through.
import { lowerCaseName } from '../core/common-header-names.ts';
import { endToEnd, HOP_BY_HOP, isLine, linesOf, mayTrail } from '../core/header-lines.ts';
import type { MessageParser } from './parser.ts';

/** The framing line of a chunked body. Only a chunked message may have trailers, so only then does `Trailer` pass. */
export const CHUNKED = 'Transfer-Encoding: chunked';
const CONTENT_LENGTH = 'content-length';
/** The names that `headLines` handles itself, whatever `Connection` says of it. */
const HANDLED = new Set([...HOP_BY_HOP, CONTENT_LENGTH]).difference(new Set(['connection']));
/** Values of `Connection` that name no other line. */
const NAMES_NONE: ReadonlySet<string> = new Set(['keep-alive', 'Keep-Alive', 'close']);

/**
 * The end-to-end lines of a head as text, each with its CRLF, without the empty line. `framing` is the one framing
 * line, such as `Content-Length: 5`: it takes the place of the first such line, or comes last. Null: there is none.
 * `te`: the value with which `TE` passes, and the caller's `Connection` names it (RFC 9110 10.1.4); null: it is dropped.
 */
export function headLines(lines: readonly string[], framing: string | null, te: 'trailers' | null = null): string {
  let text = '';
  let due = framing === null ? '' : `${framing}\r\n`;
  for (let index = 0; index < lines.length; index += 2) {
    const name = lines[index] ?? '';
    const value = lines[index + 1] ?? '';
    const lower = lowerCaseName(name);
    if (lower === CONTENT_LENGTH || lower === 'transfer-encoding') {
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

/**
 * True for a transfer coding other than `chunked`: its label would be dropped, and coded bytes would go out as plain.
 * If llhttp does not know a spelling of `chunked`, it reads up to the close; that counts as coded too.
 */
export function isCoded({ lines, framing }: Pick<MessageParser, 'lines' | 'framing'>): boolean {
  let codings = 0;
  for (let index = 0; index < lines.length; index += 2) {
    if (!isLine(lines, index, 'transfer-encoding')) continue;
    if (++codings > 1 || framing === 'close' || (lines[index + 1] ?? '').toLowerCase() !== 'chunked') return true;
  }
  return false;
}

/** The forwarded trailers, as text with the empty line. */
export function trailerLines(trailers: readonly string[]): string {
  let text = '';
  for (const [name, value] of linesOf(trailers)) if (mayTrail(name.toLowerCase())) text += `${name}: ${value}\r\n`;
  return `${text}\r\n`;
}
