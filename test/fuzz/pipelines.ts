// Pipelines: served and refused messages on one connection, with bodies of up to 120 KB that look like requests
// themselves, cut anywhere. What each message gets is known, whatever stands in front of it and behind it.
import fc from 'fast-check';
import { request, SECRET, signatureLine, signed } from '../conformance/wire-case.ts';

/** `limits.maxHeader` unless it is set: so many bytes behind a request are kept. */
export const MAX_HEADER = 16 * 1024;
/** Bytes of the longest body. */
const MOST_BODY = 120_000;
/** A refused body with a length up to this is read to its end, and the connection stays. */
const DROPPED_BODY = 64 * 1024;
const MAX_SMALL = 1024;

export const CONFIG = {
  routes: [
    { path: '/notify' },
    { path: '/small', maxBody: MAX_SMALL },
    { path: '/open/*', action: 'forward' },
    { path: '/open', action: 'forward' },
  ],
  unmatched: 'reject',
  limits: { maxBody: '128KiB' },
  log: { requests: 'none' },
} as const;

interface Kind {
  readonly start: string;
  readonly status: number;
  /** The signature's lines for a body. */
  readonly lines: (body: string) => readonly string[];
  /** `known`: the refusal does not wait for the body, so a long one ends the connection. */
  readonly body: 'read' | 'dropped' | 'none';
  readonly closes?: true;
}

const none = () => [];
const good = (body: string) => [signatureLine(body, SECRET)];
const KINDS = {
  'a delivery': { start: 'POST /notify', status: 200, lines: good, body: 'read' },
  'an upload': { start: 'POST /open/a', status: 200, lines: none, body: 'read' },
  'an open GET': { start: 'GET /open', status: 200, lines: none, body: 'none' },
  'an open HEAD': { start: 'HEAD /open', status: 200, lines: none, body: 'none' },
  'no signature': { start: 'POST /notify', status: 401, lines: none, body: 'dropped' },
  'a malformed signature': {
    start: 'POST /notify',
    status: 401,
    lines: () => ['Entrupy-Signature: SHA256:x'],
    body: 'dropped',
  },
  'a wrong signature': {
    start: 'POST /notify',
    status: 401,
    lines: (body) => [signatureLine(body, 'another-secret-0123456789abcdef')],
    body: 'read',
  },
  'no route': { start: 'POST /nothing', status: 404, lines: good, body: 'dropped' },
  'no such method': { start: 'PUT /notify', status: 405, lines: good, body: 'dropped' },
  'too large': { start: 'POST /small', status: 413, lines: good, body: 'dropped' },
  'a refused header': {
    start: 'POST /notify',
    status: 400,
    lines: (body) => [signatureLine(body, SECRET), 'X-Original-URL: /open'],
    body: 'dropped',
    closes: true,
  },
} as const satisfies Record<string, Kind>;

/** What a body is filled with. A server that begins to read within one finds requests. */
const GET_INNER = request(['GET /open/inner HTTP/1.1', 'Host: a']);
const DELIVERY_INNER = signed('{"inner":true}', { target: '/notify?inner' });
const FILLINGS = {
  letters: 'x',
  requests: GET_INNER,
  deliveries: DELIVERY_INNER,
  // Parsers skip empty lines before a request, so almost every byte here is the beginning of one.
  'empty lines and requests': `${'\r\n'.repeat(1_500)}${GET_INNER}`,
  'empty lines and deliveries': `${'\r\n'.repeat(1_500)}${DELIVERY_INNER}`,
  chunks: '0\r\n\r\n',
} as const;

export interface Message {
  readonly kind: keyof typeof KINDS;
  readonly size: number;
  readonly filling: keyof typeof FILLINGS;
  /** Bytes of each chunk; 0: it has a length. */
  readonly chunk: number;
  /** True if the upstream's answer waits until the client has written its next piece. */
  readonly held: boolean;
}

/**
 * What the client waits for behind a piece: nothing, the next turn of the event loop, the kernel, or the answers to all
 * that it has sent.
 */
export type Pause = 'nothing' | 'a turn' | 'the kernel' | 'the answers';

/** A place at which the bytes are cut, counted from the beginning of a message. */
interface Cut {
  readonly message: number;
  readonly offset: number;
  readonly pause: Pause;
}

export interface Pipeline {
  readonly messages: readonly Message[];
  readonly cuts: readonly Cut[];
}

const around = (size: number) => fc.integer({ min: size - 300, max: size + 300 });
const size = fc.oneof(
  { weight: 2, arbitrary: fc.constant(0) },
  { weight: 3, arbitrary: fc.nat(3_000) },
  { weight: 2, arbitrary: fc.nat(DROPPED_BODY) },
  { weight: 2, arbitrary: fc.nat(MOST_BODY) },
  { weight: 1, arbitrary: fc.oneof(around(MAX_HEADER), around(DROPPED_BODY)) },
);
const message: fc.Arbitrary<Message> = fc.record({
  kind: fc.constantFrom(...(Object.keys(KINDS) as Message['kind'][])),
  size,
  filling: fc.constantFrom(...(Object.keys(FILLINGS) as Message['filling'][])),
  chunk: fc.oneof(
    { weight: 3, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.integer({ min: 500, max: 70_000 }) },
  ),
  held: fc.boolean(),
});
const cut: fc.Arbitrary<Cut> = fc.record({
  message: fc.nat(7),
  offset: fc.oneof(
    fc.integer({ min: -8, max: 8 }),
    fc.integer({ min: -3_000, max: 3_000 }),
    fc.integer({ min: -70_000, max: 70_000 }),
  ),
  pause: fc.constantFrom<Pause>('nothing', 'a turn', 'the kernel', 'the answers'),
});
export const pipeline: fc.Arbitrary<Pipeline> = fc.record({
  messages: fc.array(message, { minLength: 1, maxLength: 6 }),
  cuts: fc.array(cut, { maxLength: 8 }),
});

/** A message on the wire, and what it must get. */
export interface Sent {
  readonly name: string;
  readonly id: string;
  readonly bytes: Buffer;
  readonly method: string;
  readonly target: string;
  readonly body: Buffer;
  readonly status: number;
  readonly held: boolean;
  /** Whether the connection may go on behind its answer. */
  readonly ends: 'never' | 'perhaps' | 'always';
}

let count = 0;

/** Writes a message with a new id, which the upstream echoes. All ids have one length. */
export function written({ kind, size, filling, chunk, held }: Message): Sent {
  const { start, status, lines, body, closes }: Kind = KINDS[kind];
  const id = String(count++).padStart(8, '0');
  const least = kind === 'too large' ? MAX_SMALL + 1 : 0;
  const length = body === 'none' ? 0 : Math.max(size, least);
  const text = FILLINGS[filling].repeat(Math.ceil(length / FILLINGS[filling].length)).slice(0, length);
  const chunked = chunk > 0 && body !== 'none';
  const framing = chunked ? ['Transfer-Encoding: chunked'] : [`Content-Length: ${length}`];
  const head = [`${start}?${id} HTTP/1.1`, 'Host: a', ...lines(text), ...(body === 'none' ? [] : framing)];
  const [method = '', path] = start.split(' ');
  const unread = body === 'dropped' && (chunked || length > DROPPED_BODY);
  return {
    name: `${kind} with ${length} bytes of ${filling}${chunked ? ` in chunks of ${chunk}` : ''}${held ? ', held' : ''}`,
    id,
    bytes: Buffer.from(request(head, chunked ? inChunks(text, chunk) : text), 'latin1'),
    method,
    target: `${path}?${id}`,
    body: Buffer.from(text, 'latin1'),
    status,
    held,
    ends: closes ? 'always' : unread ? 'perhaps' : 'never',
  };
}

function inChunks(text: string, size: number): string {
  let chunks = '';
  for (let at = 0; at < text.length; at += size) {
    const piece = text.slice(at, at + size);
    chunks += `${piece.length.toString(16)}\r\n${piece}\r\n`;
  }
  return `${chunks}0\r\n\r\n`;
}

export interface Piece {
  readonly bytes: Buffer;
  readonly pause: Pause;
  /** The number of messages that are whole with this piece. */
  readonly whole: number;
}

/** The messages' bytes, cut. */
export function piecesOf(sent: readonly Sent[], cuts: readonly Cut[]): Piece[] {
  const bytes = Buffer.concat(sent.map((message) => message.bytes));
  const ends: number[] = [];
  for (const message of sent) ends.push((ends.at(-1) ?? 0) + message.bytes.length);
  const pauses = new Map<number, Pause>();
  for (const { message, offset, pause } of cuts) {
    const start = ends[(message % sent.length) - 1] ?? 0;
    pauses.set(Math.min(Math.max(start + offset, 1), bytes.length), pause);
  }
  pauses.set(bytes.length, pauses.get(bytes.length) ?? 'nothing');
  let from = 0;
  return [...pauses]
    .sort(([a], [b]) => a - b)
    .map(([to, pause]) => {
      const piece = { bytes: bytes.subarray(from, to), pause, whole: ends.filter((end) => end <= to).length };
      from = to;
      return piece;
    });
}
