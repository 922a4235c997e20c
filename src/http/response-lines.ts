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
  return (raw as readonly (Buffer | string)[]).map((part) =>
    typeof part === 'string' ? part : part.toString('latin1'),
  );
}
