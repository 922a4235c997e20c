// What undici tells of a response, as node takes it. Pure; nothing is mended on the way but what could not be sent at all.
import { Buffer } from 'node:buffer';
import { endToEnd } from '../core/headers.ts';

const NONE: [string, string][] = [];

type Raw = readonly (Buffer | string)[] | Record<string, unknown> | null | undefined;

/** The end-to-end lines of a head, flat (name, value, …), one character a byte. */
export function headLines(raw: Raw): string[] {
  return endToEnd(latin1(raw));
}

/** The trailers as pairs. Framing does not belong there and never passes (RFC 9110 6.5.1). */
export function trailerPairs(raw: Raw): readonly [string, string][] {
  if (!Array.isArray(raw) || raw.length === 0) return NONE;
  const lines = endToEnd(latin1(raw));
  const pairs: [string, string][] = [];
  for (let index = 0; index < lines.length; index += 2) {
    const name = lines[index] ?? '';
    if (!/^(?:content-length|host)$/i.test(name)) pairs.push([name, lines[index + 1] ?? '']);
  }
  return pairs;
}

/** undici gives the reason phrase as UTF-8 text; node writes latin1 and throws on what is not, so it goes back to bytes. */
export function plainReason(reason: string | undefined): string {
  if (reason === undefined || /^[\x20-\x7e]*$/.test(reason)) return reason ?? '';
  // Where the bytes were no UTF-8 they are lost; node puts the standard phrase in the place of an empty one.
  if (reason.includes('\ufffd')) return '';
  const bytes = Buffer.from(reason, 'utf8').toString('latin1');
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(bytes) ? bytes : '';
}

function latin1(raw: Raw): string[] {
  if (!Array.isArray(raw)) return [];
  const parts = raw as readonly (Buffer | string)[];
  return sliced(parts) ?? parts.map((part) => (typeof part === 'string' ? part : part.toString('latin1')));
}

/**
 * The same by one call into C++ and not one a part (1.0 us of a head's 1.9): the parts of a head that came in one piece lie
 * in it one behind the other. Null where they don't.
 */
function sliced(parts: readonly (Buffer | string)[]): string[] | null {
  const first = parts[0];
  const last = parts[parts.length - 1];
  if (typeof first !== 'object' || typeof last !== 'object') return null;
  const { buffer, byteOffset: start } = first;
  const end = last.byteOffset + last.length;
  if (last.buffer !== buffer || end < start) return null;
  const text = Buffer.from(buffer, start, end - start).toString('latin1');
  const lines: string[] = [];
  for (const part of parts) {
    if (typeof part !== 'object' || part.buffer !== buffer) return null;
    const at = part.byteOffset - start;
    if (at < 0 || at + part.length > text.length) return null;
    lines.push(text.slice(at, at + part.length));
  }
  return lines;
}
