// The accepted differences between our parser and Node's llhttp, one row for each reason. The fuzzer fails on every other
// difference: ours may refuse more, for these reasons, and never accept more or anything else.
import { refusedByGate } from '../../src/core/gate-rules.ts';
import { MAX_LINES } from '../../src/core/header-lines.ts';
import { Head } from '../../src/core/request-head.ts';
import type { Parsed, ParsedMessage } from '../support/http/parsed.ts';
import type { NodeMessage, NodeReading } from './node-llhttp.ts';

interface Row<Fields extends unknown[]> {
  readonly name: string;
  readonly reason: string;
  readonly applies: (...fields: Fields) => boolean;
}

/** A field of a message that both read; `sent` is all that was sent. */
const FIELDS: readonly Row<[field: string, ours: ParsedMessage, theirs: NodeMessage, sent: string]>[] = [
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
      field === 'keepAlive' && !ours.keepAlive && theirs.keepAlive && /keep-alive *\t/i.test(sent),
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
const REFUSALS: readonly Row<[ours: Parsed, theirs: NodeMessage, sent: string]>[] = [
  {
    name: 'a length and a tab',
    reason: "undici's older llhttp does not take `Content-Length: 5` with a tab behind it",
    applies: ({ state, partial }, _, sent) =>
      state === 'malformed' && partial === null && /^content-length:.*\t\r$/im.test(sent),
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
    applies: ({ state, partial }) =>
      state === 'malformed' &&
      partial?.lines.some((line, at) => at % 2 === 0 && line.toLowerCase() === 'upgrade') === true,
  },
];

const HEAD = ['method', 'target', 'status', 'reason', 'version', 'lines'] as const;
const WHOLE = [...HEAD, 'body', 'trailers', 'keepAlive', 'end'] as const;

/** Node makes a tunnel of CONNECT, and has PRI of HTTP/2 alone. The gate refuses both, so their heads are all that counts. */
const isTunnel = ({ method }: ParsedMessage) => method === 'CONNECT' || method === 'PRI';

/** The fields in which two messages differ without a known reason. */
function differing(
  sent: string,
  [ours, theirs]: readonly [ParsedMessage, NodeMessage],
  fields: readonly (typeof WHOLE)[number][],
): string {
  return fields
    .filter((field) => JSON.stringify(ours[field]) !== JSON.stringify(theirs[field]))
    .filter((field) => !FIELDS.some(({ applies }) => applies(field, ours, theirs, sent)))
    .map((field) => `${field}: ours ${JSON.stringify(ours[field])}, node ${JSON.stringify(theirs[field])}`)
    .join('; ');
}

/** Null if they agree. */
export function disagreement(bytes: Buffer, ours: Parsed, theirs: NodeReading): string | null {
  const sent = bytes.toString('latin1');
  for (const [index, message] of ours.messages.entries()) {
    if (isTunnel(message)) return null;
    const their = theirs.messages[index];
    const found = their === undefined ? 'node has no whole one' : differing(sent, [message, their], WHOLE);
    if (found !== '') return `message ${index}: ${found}`;
  }
  return ours.state === 'over' ? null : atTheEnd(sent, ours, theirs);
}

/** What differs where ours has no further whole message: it reads on, or refuses to. */
function atTheEnd(sent: string, { messages, ...ours }: Parsed, theirs: NodeReading): string | null {
  const whole = theirs.messages[messages.length];
  const next = whole ?? theirs.partial;
  if (next !== null && REFUSALS.some(({ applies }) => applies({ messages, ...ours }, next, sent))) return null;
  const waits = ours.state === 'head' || ours.state === 'body';
  const isSame = waits ? theirs.refused === null && whole === undefined : theirs.refused !== null;
  if (!isSame) return `ours says ${ours.state}, node ${theirs.refused ?? 'takes it'}`;
  if (next === null || ours.partial === null) return next === ours.partial ? null : 'only one of them has a head';
  if (isTunnel(ours.partial)) return null;
  return differing(sent, [ours.partial, next], waits ? [...HEAD, 'body'] : HEAD) || null;
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
