// The ways in which an upstream may respond, row by row, and what the client may get in each case. The response to a request
// holds its id in a header and in its body. Bytes that must reach no client say POISON.
import type { Socket } from 'node:net';

/** `answer`: the request's own response, complete. `refused`: 502 or 504. `cut`: a response that visibly breaks off. */
export type Outcome = 'answer' | 'refused' | 'cut';

export interface Misbehaviour {
  readonly name: string;
  readonly allowed: readonly Outcome[];
  readonly play: (socket: Socket, id: number) => void;
  /** True if it is played before the body arrives. */
  readonly early?: boolean;
  readonly method?: 'HEAD';
  /** The expected reason phrase, if it is not `OK`. */
  readonly reason?: string;
  /** True if the response has no body. */
  readonly bodiless?: boolean;
  /** What a refusal is counted as, where it is the only outcome. */
  readonly cause?: 'timeout' | 'reset' | 'protocol';
}

const POISON = 'HTTP/1.1 200 OK\r\nX-Id: POISON\r\nContent-Length: 6\r\n\r\nPOISON';

/** The response's body; every seventh one is longer than a packet. */
export const textOf = (id: number) => `id=${id};${'x'.repeat(id % 7 === 0 ? 20_000 : id % 50)}`;

export const head = (id: number, lines: readonly string[] = [], first = 'HTTP/1.1 200 OK') =>
  `${[first, `X-Id: ${id}`, ...lines].join('\r\n')}\r\n\r\n`;
export const whole = (id: number, lines: readonly string[] = [], first?: string) =>
  head(id, [...lines, `Content-Length: ${textOf(id).length}`], first) + textOf(id);
export const chunks = (id: number) => `${textOf(id).length.toString(16)};x\r\n${textOf(id)}\r\n`;
export const CHUNKED = 'Transfer-Encoding: chunked';

type Bytes = (id: number) => string;
type Play = Misbehaviour['play'];

const latin1 = (bytes: string) => Buffer.from(bytes, 'latin1');
export const says = (bytes: Bytes): Play => {
  return (socket, id) => void socket.write(latin1(bytes(id)));
};
const saysAndEnds = (bytes: Bytes): Play => {
  return (socket, id) => void socket.end(latin1(bytes(id)));
};
/** Resets in the next turn after the bytes were handed to the kernel. */
export const saysAndResets = (bytes: Bytes): Play => {
  return (socket, id) => void socket.write(latin1(bytes(id)), () => setImmediate(() => socket.resetAndDestroy()));
};
/** Closes with the rest of the request unread, which resets the connection after the response. */
const saysAndLeaves = (bytes: Bytes): Play => {
  return (socket, id) => void socket.pause().write(latin1(bytes(id)), () => socket.destroy());
};

/** Rows by their names, of which each says its bytes in the same way. */
export const rows = (
  play: (bytes: Bytes) => Play,
  common: Pick<Misbehaviour, 'allowed'> & Partial<Misbehaviour>,
  bytes: Readonly<Record<string, Bytes>>,
): Misbehaviour[] => Object.entries(bytes).map(([name, each]) => ({ name, play: play(each), ...common }));

const ANSWER = { allowed: ['answer'] } as const;
const BODILESS = { ...ANSWER, bodiless: true } as const;
const TO_HEAD = { ...BODILESS, method: 'HEAD' } as const;
const EARLY = { ...ANSWER, early: true } as const;
const IN_LATIN1 = { ...ANSWER, reason: 'd\xe9j\xe0 vu' } as const;
const NO_REASON = { ...ANSWER, reason: '' } as const;
const CUT = { allowed: ['cut'] } as const;
const BROKEN = { allowed: ['cut', 'refused'] } as const;
const EARLY_BROKEN = { ...BROKEN, early: true } as const;
const ANY = { allowed: ['answer', 'cut', 'refused'] } as const;
/** Refused, and counted as this. */
const refused = (cause: NonNullable<Misbehaviour['cause']>) => ({ allowed: ['refused'] as const, cause });

/** These texts as the names of rows. */
const each = (texts: readonly string[], name: string, bytes: (text: string) => Bytes) =>
  Object.fromEntries(texts.map((text) => [`${name} ${text.replace('\r\n', ' and ')}`, bytes(text)]));

const inChunks = (id: number, end = '0\r\n\r\n') => `${head(id, [CHUNKED])}${chunks(id)}${end}`;
const halfOf = (id: number) => `${head(id, ['Content-Length: 99999'])}id=${id};`;

/** By the RFC. */
export const HONEST: readonly Misbehaviour[] = [
  ...rows(says, ANSWER, {
    'a length': whole,
    chunks: (id) => inChunks(id),
    'chunks and trailers': (id) => inChunks(id, '0\r\nX-T: 1\r\n\r\n'),
  }),
  ...rows(saysAndEnds, ANSWER, {
    'until the close': (id) => head(id) + textOf(id),
    'HTTP/1.0': (id) => whole(id, [], 'HTTP/1.0 200 OK'),
    close: (id) => whole(id, ['Connection: close']),
  }),
  ...rows(says, BODILESS, { 204: (id) => head(id, [], 'HTTP/1.1 204 OK') }),
  ...rows(says, TO_HEAD, { HEAD: (id) => head(id, ['Content-Length: 5']) }),
];

/** Odd, but complete: the response must arrive. */
export const ODD: readonly Misbehaviour[] = [
  ...rows(says, ANSWER, {
    'an unsolicited 100': (id) => `HTTP/1.1 100 Continue\r\n\r\n${whole(id)}`,
    '102 and 103': (id) => `HTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 E\r\nLink: </a>\r\n\r\n${whole(id)}`,
    '100 interim responses': (id) => 'HTTP/1.1 103 E\r\nA: b\r\n\r\n'.repeat(100) + whole(id),
    '100 times 100': (id) => 'HTTP/1.1 100 C\r\n\r\n'.repeat(100) + whole(id),
    'bytes behind the response': (id) => `${whole(id)}POISON`,
    'a response behind the response': (id) => whole(id) + POISON,
    'a response behind chunks': (id) => inChunks(id) + POISON,
    'a head of 60 KiB': (id) => whole(id, Array(60).fill(`X-Big: ${'b'.repeat(1000)}`)),
  }),
  ...rows(says, BODILESS, {
    'a body with 204': (id) => head(id, [], 'HTTP/1.1 204 OK') + POISON,
    'a body with 304': (id) => head(id, ['Content-Length: 6'], 'HTTP/1.1 304 OK') + POISON,
  }),
  ...rows(says, TO_HEAD, {
    'a body to HEAD': (id) => whole(id) + POISON,
    'chunks to HEAD': (id) => `${head(id, [CHUNKED])}6\r\nPOISON\r\n0\r\n\r\n`,
  }),
  ...rows(says, IN_LATIN1, { 'a reason in latin1': (id) => whole(id, [], 'HTTP/1.1 200 d\xe9j\xe0 vu') }),
  ...rows(says, NO_REASON, {
    'no reason': (id) => whole(id, [], 'HTTP/1.1 200 '),
    'a reason with a control character': (id) => whole(id, [], 'HTTP/1.1 200 a\x01b'),
  }),
  ...rows(says, EARLY, { 'early, and reads on': whole }),
  ...rows(saysAndEnds, EARLY, { 'early, and ends': (id) => whole(id, ['Connection: close']) }),
  ...rows(saysAndLeaves, EARLY, { 'early, and leaves': (id) => whole(id, ['Connection: close']) }),
];

const FIRST_LINES = [
  ...['SSH-2.0-OpenSSH_9.6', 'HTTP/1.1 2000 OK', 'HTTP/1.1 20 OK', 'HTTP/1.1 abc OK', 'HTTP/1.1 200OK', 'ICY 200 OK'],
  ...['HTTP/2.0 200 OK', 'HTTP/0.9 200 OK', 'HTTP/1.2 200 OK', 'HTTP/1.10 200 OK', 'http/1.1 200 OK', 'HTTP/3 200 OK'],
  ...['HTTP/1.1 099 OK', 'HTTP/1.1 000 OK', 'HTTP/1.1 600 OK', 'HTTP/1.1 999 OK', ' HTTP/1.1 200 OK', '{"a":1}'],
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
];
const CODINGS = [
  ...['gzip, chunked', 'gzip', 'identity', 'chunked, gzip', 'chunked, chunked', 'xchunked', 'chunked;q=1', ',chunked'],
  ...['gzip\r\nTransfer-Encoding: chunked', 'chunked\r\nTransfer-Encoding: chunked'],
];
const LENGTHS = [
  ...['+3', '-3', '0x3', '3 3', '3, 3', '3\r\nContent-Length: 4', '3\r\nContent-Length: 3', 'three'],
  ...['18446744073709551616', ''],
];
const UPGRADE = ['Upgrade: x', 'Connection: Upgrade'];

/** Output that is no valid response: the client must be told, and the request is not sent again. */
export const NO_ANSWERS: readonly Misbehaviour[] = [
  ...rows(says, refused('protocol'), {
    ...each(FIRST_LINES, 'the status line', (first) => (id) => whole(id, [], first)),
    ...each(
      CODINGS,
      'coded',
      (coding) => (id) => `${head(id, [`Transfer-Encoding: ${coding}`])}${chunks(id)}0\r\n\r\n`,
    ),
    ...each(LENGTHS, 'the length', (length) => (id) => `${head(id, [`Content-Length: ${length}`])}abc`),
    'length and chunks': (id) => `${head(id, ['Content-Length: 3', CHUNKED])}3\r\nabc\r\n0\r\n\r\n`,
    'chunks and length': (id) => `${head(id, [CHUNKED, 'Content-Length: 3'])}3\r\nabc\r\n0\r\n\r\n`,
    '101 interim responses': (id) => 'HTTP/1.1 103 E\r\nA: b\r\n\r\n'.repeat(101) + whole(id),
    '101 times 100': (id) => 'HTTP/1.1 100 C\r\n\r\n'.repeat(101) + whole(id),
    'an unsolicited 101': (id) => head(id, UPGRADE, 'HTTP/1.1 101 S') + POISON,
    'a 101 to a websocket': (id) => head(id, ['Upgrade: websocket', 'Connection: Upgrade'], 'HTTP/1.1 101 S'),
    'a 101 to nothing': (id) => head(id, [], 'HTTP/1.1 101 S') + POISON,
    'a folded line': (id) => whole(id, ['X: a\r\n b']),
    'a space before the colon': (id) => whole(id, ['X : a']),
    'a space in a name': (id) => whole(id, ['X Y: a']),
    'a NUL in a value': (id) => whole(id, ['X: a\0b']),
    'a line of 70 KiB': (id) => whole(id, [`X: ${'a'.repeat(70 * 1024)}`]),
    'a head of 80 KiB': (id) => whole(id, Array(80).fill(`X: ${'b'.repeat(1020)}`)),
  }),
  ...rows(saysAndEnds, refused('reset'), {
    'a close without a byte': () => '',
    'half a head and a close': (id) => head(id).slice(0, -3),
    'an interim response and a close': () => 'HTTP/1.1 103 E\r\n\r\n',
  }),
  ...rows(saysAndResets, refused('reset'), {
    'a reset without a byte': () => '',
    'half a head and a reset': (id) => head(id).slice(0, -3),
  }),
  { allowed: ['refused'], name: 'an early reset', early: true, play: (socket) => void socket.resetAndDestroy() },
];

const SIZES = ['zz', '-5', '0x5', '5 5', '+5', 'fffffffffffffffff', '', ' '];

/** Truncated responses: never to be taken for complete. */
export const HALVES: readonly Misbehaviour[] = [
  ...rows(saysAndEnds, CUT, {
    'half a length and a close': halfOf,
    'chunks without an end': (id) => inChunks(id, ''),
    'half a chunk and a close': (id) => `${head(id, [CHUNKED])}ffff\r\nid=${id};`,
    'half a trailer and a close': (id) => inChunks(id, '0\r\nX: y'),
    'a length without a body': (id) => head(id, ['Content-Length: 18446744073709551615']),
  }),
  ...rows(saysAndResets, BROKEN, {
    'half a length and a reset': halfOf,
    'half a chunk and a reset': (id) => `${head(id, [CHUNKED])}ffff\r\nid=${id};`,
    'until a reset': (id) => head(id) + textOf(id),
  }),
  ...rows(saysAndResets, EARLY_BROKEN, { 'early, until a reset': (id) => head(id) + textOf(id) }),
  ...rows(says, BROKEN, {
    ...each(SIZES, 'the chunk size', (size) => (id) => inChunks(id, `${size}\r\nabcde\r\n0\r\n\r\n`)),
    'an overlong chunk': (id) => `${head(id, [CHUNKED])}3\r\nabcdef\r\n0\r\n\r\n`,
  }),
];

/** Any outcome is allowed, but the response must be the client's own. */
const ANYTHING: readonly Misbehaviour[] = [
  ...rows(says, ANY, {
    'line endings before the response': (id) => `\r\n\r\n${whole(id)}`,
    '150 lines': (id) => whole(id, Array(150).fill('X-A: b')),
    'trailers of 70 KiB': (id) => inChunks(id, `0\r\nX: ${'a'.repeat(70_000)}\r\n\r\n`),
    'an extension of 100 KB': (id) => inChunks(id, `2;${'a'.repeat(100_000)}\r\nok\r\n0\r\n\r\n`),
  }),
  ...rows(saysAndEnds, ANY, {
    'bare line feeds': (id) => whole(id).replaceAll('\r\n', '\n'),
    'chunks from HTTP/1.0': (id) => `${head(id, [CHUNKED], 'HTTP/1.0 200 OK')}${chunks(id)}0\r\n\r\n`,
    'chunked and a tab': (id) => `${head(id, [`${CHUNKED}\t`])}${chunks(id)}0\r\n\r\n`,
  }),
];

/** Silence costs time: one in a hundred. */
export const SILENT: readonly Misbehaviour[] = [
  ...rows(says, refused('timeout'), {
    silence: () => '',
    'half a head and silence': (id) => head(id).slice(0, -3),
    'an interim response and silence': () => 'HTTP/1.1 103 E\r\nA: b\r\n\r\n',
  }),
  ...rows(says, CUT, {
    'half a length and silence': halfOf,
    'chunks and silence': (id) => inChunks(id, ''),
    'until silence': (id) => head(id) + textOf(id),
  }),
];

export const MISBEHAVIOURS: readonly Misbehaviour[] = [...ODD, ...NO_ANSWERS, ...HALVES, ...ANYTHING];
