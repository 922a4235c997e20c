// The accepted differences between our parser and node:http, one row for each reason. The fuzzers fail on every other
// difference.
import { refusedByGate } from '../../src/core/gate-rules.ts';
import { MAX_LINES } from '../../src/core/header-lines.ts';
import { Head } from '../../src/core/request-head.ts';
import type { Parsed, ParsedMessage } from '../support/http/parsed.ts';

/** A message that node reads, from its complete head on, every part one character a byte. */
export interface Message {
  readonly version: string;
  /** Flat: name, value, … */
  readonly lines: readonly string[];
  /** The part that has arrived. */
  body: string;
  trailers: readonly string[];
  /** True if node would go on with the connection, by the head and without the trailers. */
  readonly keepAlive: boolean;
  complete: boolean;
}

interface Row<Fields extends unknown[]> {
  readonly name: string;
  readonly reason: string;
  readonly applies: (...fields: Fields) => boolean;
}

/** A field of a message that both read as complete; `sent` is all that was sent. */
const FIELDS: readonly Row<[field: string, ours: ParsedMessage, theirs: Message, sent: Buffer]>[] = [
  {
    name: 'another protocol',
    reason:
      'llhttp takes RTSP, ICE and HTTP/0.9; node says 1.0 or 0.9, ours says `unknown`, and nothing lets that pass',
    applies: (field, ours, { version }) =>
      field === 'version' &&
      ours.version === 'unknown' &&
      /^\d\.\d$/.test(version) &&
      (ours.method === '' || refusedByGate(new Head(ours, ours.lines))?.rule === 'version'),
  },
  {
    name: 'keep-alive and a tab',
    reason:
      "undici's older llhttp does not know `Connection: keep-alive` with a tab behind it: an HTTP/1.0 connection ends",
    applies: (field, ours, theirs, sent) =>
      field === 'keepAlive' && !ours.keepAlive && theirs.keepAlive && /keep-alive *\t/i.test(sent.toString('latin1')),
  },
  {
    name: 'close and keep-alive',
    reason: 'close wins (RFC 9112 9.3); llhttp lets an HTTP/1.0 connection persist that has both',
    applies: (field, ours) => field === 'keepAlive' && !ours.keepAlive && /\bclose\b/i.test(ours.lines.join('\n')),
  },
  {
    name: 'close or framing in the trailers',
    reason: 'node asks for keep-alive at the end of the head, and reads nothing behind such a message either',
    applies: (field, ours) =>
      field === 'keepAlive' && !ours.keepAlive && /connection|transfer-encoding/i.test(ours.trailers.join()),
  },
  {
    name: 'a response to HEAD without a length',
    reason: 'node asks llhttp, which knows nothing of HEAD, before it says that no body follows: it closes, ours stays',
    applies: (field, { method, status, framing, lines }) =>
      field === 'keepAlive' &&
      method === '' &&
      framing === 'none' &&
      ![204, 304].includes(status) &&
      !lines.some((line, index) => index % 2 === 0 && line.toLowerCase() === 'content-length'),
  },
];

/** Bytes that ours refuses, and of which node accepts at least the head. */
const REFUSALS: readonly Row<[ours: Parsed, theirs: Message, bytes: Buffer]>[] = [
  {
    name: 'a length and a tab',
    reason: "undici's older llhttp does not take `Content-Length: 5` with a tab behind it",
    applies: ({ state, partial }, _, bytes) =>
      state === 'malformed' && partial === null && /^content-length:.*\t\r$/im.test(bytes.toString('latin1')),
  },
  {
    name: 'too many lines',
    reason: `a head has at most ${MAX_LINES} lines; node is given no limit here`,
    applies: ({ state }, { lines }) => state === 'too_large' && lines.length > 2 * MAX_LINES,
  },
  {
    name: 'long trailers',
    reason: `trailers have at most ${MAX_LINES} lines and 16 KiB with their line ends; node is given no limit here`,
    applies: ({ state }, { trailers }) =>
      state === 'malformed' && (trailers.length > 2 * MAX_LINES || trailers.join(': ').length > 15 * 1024),
  },
  {
    name: 'long chunk extensions',
    reason: 'between two bytes of a body are at most 16 KiB; node counts 16 KiB of extensions alone',
    applies: ({ state, partial }) => state === 'malformed' && partial?.framing === 'chunked' && partial.end > 16 * 1024,
  },
  {
    name: 'a broken body that asks for an upgrade',
    reason: 'node keeps what llhttp says of it to itself; it takes nothing behind it either',
    applies: ({ state, partial }) => state === 'malformed' && partial !== null && handsOver(partial) === 'upgrade',
  },
];

/**
 * Where node stops reading HTTP. After an upgrade, which is never accepted here, bytes are compared on a separate
 * connection. CONNECT is a tunnel from its head on, and node ends the connection on PRI of HTTP/0.9. The gate refuses
 * both, so there is nothing to compare for their length and what follows.
 */
export function handsOver({ method, lines }: Pick<ParsedMessage, 'method' | 'lines'>): 'tunnel' | 'upgrade' | null {
  if (method === 'CONNECT' || method === 'PRI') return 'tunnel';
  return lines.some((line, index) => index % 2 === 0 && line.toLowerCase() === 'upgrade') ? 'upgrade' : null;
}

/**
 * True if ours ends a connection that node may keep: for a reason in FIELDS, or because trailers said keep-alive, which
 * node follows and ours does not.
 */
export function endsEarlier(ours: ParsedMessage, theirs: Message): boolean {
  return !ours.keepAlive && (theirs.keepAlive || /connection/i.test(ours.trailers.join()));
}

/** The fields in which two messages differ without a known reason; `sent` is all that was sent. */
export function unknownDifferences<Theirs extends Message>(
  sent: Buffer,
  ours: ParsedMessage,
  theirs: Theirs,
  fields: readonly (keyof Theirs & keyof ParsedMessage & string)[],
): string[] {
  const differing = fields.filter((field) => JSON.stringify(ours[field]) !== JSON.stringify(theirs[field]));
  return differing
    .filter((field) => !FIELDS.some(({ applies }) => applies(field, ours, theirs, sent)))
    .map((field) => `${field}: ours ${JSON.stringify(ours[field])}, node ${JSON.stringify(theirs[field])}`);
}

/** What node has behind the complete messages of ours: one more or none, and its code for bytes that are not HTTP. */
interface Ending<Theirs extends Message> {
  readonly next: Theirs | null;
  readonly refused: string | null;
  /** The fields of its head. */
  readonly fields: readonly (keyof Theirs & keyof ParsedMessage & string)[];
}

/** What differs at the end, where ours has no further complete message but may read on, or refuses to. */
export function endDifference<Theirs extends Message>(
  sent: Buffer,
  ours: Parsed,
  { next, refused, fields }: Ending<Theirs>,
): string | null {
  if (ours.state === 'head')
    return next === null && refused === null ? null : `ours waits for a head, node has one or said ${refused}`;
  if (ours.state === 'body') {
    if (next === null || next.complete || refused !== null) return `ours waits for a body, node does not: ${refused}`;
    return partialDifference(sent, ours, next, [...fields, 'body']);
  }
  if (next === null) return ours.partial === null ? null : 'ours has a head, node has none';
  if (refused === null || next.complete) return `ours refuses what node takes: ${ours.state}`;
  return partialDifference(sent, ours, next, fields);
}

/** What differs in a message that is not complete; null if nothing does. */
export function partialDifference<Theirs extends Message>(
  sent: Buffer,
  { partial }: Parsed,
  theirs: Theirs,
  fields: readonly (keyof Theirs & keyof ParsedMessage & string)[],
): string | null {
  if (partial === null) return 'node has a head, ours has none';
  const unknown = unknownDifferences(sent, partial, theirs, fields);
  return unknown.length === 0 ? null : `the message under way: ${unknown.join('; ')}`;
}

export function isKnownRefusal(ours: Parsed, theirs: Message | null | undefined, bytes: Buffer): boolean {
  return theirs != null && REFUSALS.some(({ applies }) => applies(ours, theirs, bytes));
}

/**
 * For comparing two ways of splitting the bytes. A malformed name on line 101 is one line too many if half of it came
 * alone, and malformed if it came whole: both refuse it. Trailer 101 may say close, and is read only if it came with the
 * end: both end the connection.
 */
export function withoutReason(parsed: Parsed): Parsed {
  const { state, partial } = parsed;
  if (state !== 'too_large' && state !== 'malformed') return parsed;
  return { ...parsed, state: 'malformed', partial: partial && { ...partial, keepAlive: false } };
}
