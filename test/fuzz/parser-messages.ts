// Consecutive messages, mutated like those of the wire fuzzer, and a last one that shows where each parser sees their end:
// requests, and responses by the grammar of RFC 9112.
import fc from 'fast-check';
import { forged, signed } from '../conformance/wire-case.ts';
import { get, request } from '../support/http/requests.ts';
import { fewMutations, type Mutation, mutate, mutationOf } from './wire-mutations.ts';
import { BASES } from './wire-requests.ts';

export interface ParserScript {
  readonly messages: readonly {
    readonly base: string;
    /** For a response: the request's method. */
    readonly to: string;
    readonly spoil: readonly Mutation[];
  }[];
  /** The offsets at which the bytes are split, each modulo their length. */
  readonly cuts: readonly number[];
  readonly closes: boolean;
}

const CHUNKED = ['POST /notify HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked'];
const UPGRADE = ['Connection: Upgrade', 'Upgrade: h2c'];

/** In addition to the wire fuzzer's: every production of the grammar once, and the special cases of node:http. */
const MORE: readonly string[] = [
  get('/'),
  get("/a%20b;c=d/!$&'()*+,=:@~?x=/?&y=[]{}|^%", ['X-A:b', 'X-B: \t c d \t', 'X-C:', 'X-D: \xe4\xf6\xfc\xff']),
  get('/x', ["!#$%&'*+-.^_`|~09AZaz: 1", 'Connection: keep-alive, X-A', 'Keep-Alive: timeout=5', 'TE: trailers']),
  get('/x', ['Connection: close']),
  get('/x').replace('HTTP/1.1', 'HTTP/1.0'),
  get('/x', ['Connection: keep-alive']).replace('HTTP/1.1', 'HTTP/1.0'),
  get('/x', ['Connection: keep-alive']).replace('HTTP/1.1', 'RTSP/1.0'),
  `\r\n\r\n${get('/x')}`,
  get('/x').replace('GET', 'HEAD'),
  get('a:80').replace('GET', 'CONNECT'),
  'GET /x\r\n\r\n',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  signed('', { lines: ['Content-Type: application/json'] }),
  request(CHUNKED, '3;a=b;c="d;\\"e";f\r\nabc\r\n00A\r\n0123456789\r\n0;x\r\n\r\n'),
  request(CHUNKED, '1\r\na\r\n2\r\nbc\r\n1\r\nd\r\n3\r\nefg\r\n0\r\n\r\n'),
  request([...CHUNKED, 'Trailer: X-Sum'], '1\r\na\r\n0\r\nX-Sum: \t1 \r\nX-B:\r\n\r\n'),
  request(CHUNKED, '1\r\na\r\n0\r\nConnection: close\r\n\r\n'),
  request([...CHUNKED, ...UPGRADE], '1\r\na\r\n0\r\n\r\n'),
  get('/x', UPGRADE),
  forged('abc', { lines: UPGRADE }),
  request(['PUT /x HTTP/1.1', 'Host: a', 'Content-Length: 12'], 'GET / HTTP/1'),
];
const BASE_REQUESTS = [...BASES.open.map(({ send }) => send).filter((send) => send.length < 5000), ...MORE];

const mostly = <T>(usual: readonly T[], odd: readonly T[]) =>
  fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...usual) }, { weight: 1, arbitrary: fc.constantFrom(...odd) });

const version = mostly(['HTTP/1.1'], ['HTTP/1.0', 'HTTP/2.0', 'HTTP/0.9', 'RTSP/1.0', 'ICE/1.0']);
const status = mostly(
  ['200', '201', '404', '503'],
  ['100', '101', '103', '199', '204', '205', '304', '099', '299', '600', '999'],
);
const reason = mostly([' OK', ' ', ''], [' \t ', ' All \xe4\xff', ' a\x01b', ' x'.repeat(50)]);
const LINES = [
  ...['X-A: b', 'x-a:c', 'X-B: \t c d \t', 'X-C:', 'X-D: \xe4\xf6\xfc\xff', 'Date: Tue, 15 Nov 1994 08:12:31 GMT'],
  ...['Connection: close', 'Connection: keep-alive', 'Connection: close\t', 'Connection: X-A, close', 'Trailer: X-Sum'],
  ...['Connection: Upgrade', 'Upgrade: websocket', 'Keep-Alive: timeout=5', 'Content-Encoding: gzip'],
  ...["!#$%&'*+-.^_`|~09AZaz: 1", 'Set-Cookie: a=b', 'Set-Cookie: c=d'],
];
const lines = fc.array(fc.constantFrom(...LINES), { maxLength: 5 });
const body = fc.constantFrom('', 'a', 'abc', 'HTTP/1.1 200 OK\r\n\r\n', '0\r\n\r\n', '\0\xff\r\n', 'x'.repeat(300));

const chunked = fc
  .record({
    pieces: fc.array(fc.constantFrom('a', 'bc', '\r\n', '0\r\n\r\n', 'y'.repeat(40)), { maxLength: 5 }),
    size: fc.constantFrom('', ';a', ';a=b;c="d;\\"e"'),
    zeros: fc.constantFrom('', '0', '0000'),
    trailers: fc.constantFrom('', 'X-Sum: \t1 \r\n', 'X-A:\r\nX-B: c\r\n', 'Connection: close\r\n'),
  })
  .map(({ pieces, size, zeros, trailers }) => {
    const chunks = pieces.map((piece) => `${zeros}${piece.length.toString(16)}${size}\r\n${piece}\r\n`);
    return `${chunks.join('')}0${size}\r\n${trailers}\r\n`;
  });

/** The line that frames a body, and the body as it is sent. */
const framed = fc.oneof(
  body.map((body) => ({ line: `Content-Length: ${body.length}`, rest: body })),
  chunked.map((rest) => ({ line: 'Transfer-Encoding: chunked', rest })),
  chunked.map((rest) => ({ line: 'Transfer-Encoding: gzip, chunked', rest })),
  chunked.map((rest) => ({ line: 'Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked', rest })),
  body.map((rest) => ({ line: 'Transfer-Encoding: gzip', rest })),
  body.map((rest) => ({ line: 'Content-Length: 18446744073709551615', rest })),
  body.map((rest) => ({ line: 'X-Framing: none', rest })),
  fc.constant({ line: 'Content-Length: 3', rest: '' }),
);

const response = fc
  .record({ version, status, reason, lines, framed, at: fc.nat(5) })
  .map(({ version, status, reason, lines, framed: { line, rest }, at }) => {
    const all = lines.toSpliced(at % (lines.length + 1), 0, line);
    return [`${version} ${status}${reason}`, ...all, '', rest].join('\r\n');
  });

const interim = fc.constantFrom(
  ...['HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n'],
  ...['HTTP/1.1 102 \r\nContent-Length: 5\r\n\r\n', 'HTTP/1.1 101 Odd\r\n\r\n', '\r\n'],
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
);

/** Each ends in nothing that the bytes before it could need: an unfinished body swallows it, in both parsers. */
const CANARIES = { request: get('/canary'), response: 'HTTP/1.1 299 Canary\r\nContent-Length: 0\r\n\r\n' } as const;

const scriptOf = (base: fc.Arbitrary<string>, to: fc.Arbitrary<string>, tokens: readonly string[]) =>
  fc.record({
    messages: fc.array(fc.record({ base, to, spoil: fewMutations(mutationOf(tokens)) }), {
      minLength: 1,
      maxLength: 3,
    }),
    cuts: fc.array(fc.nat(1 << 18), { maxLength: 6 }),
    closes: fc.boolean(),
  });

export const SCRIPTS: Readonly<Record<'request' | 'response', fc.Arbitrary<ParserScript>>> = {
  request: scriptOf(fc.constantFrom(...BASE_REQUESTS), fc.constant(''), [
    ...[' RTSP/1.0\r\n', 'CONNECT a:1 HTTP/1.1\r\n', ' \t\r\n'],
  ]),
  response: scriptOf(
    fc.oneof({ weight: 4, arbitrary: response }, { weight: 1, arbitrary: interim }),
    mostly(['GET', 'POST'], ['HEAD', 'OPTIONS']),
    [
      ...['HTTP/1.1 200 OK\r\n\r\n', 'HTTP/1.1 204 \r\n', 'HTTP/1.0 200 OK\r\n', 'HTTP/1.1 100 Continue\r\n\r\n'],
      ...['HTTP/1.1', ' 304 ', ' 101 ', ' 204\r\n', 'Connection: close \t\r\n', 'Transfer-Encoding: chunked, gzip\r\n'],
      ...[' \t\r\n', 'Transfer-Encoding:\r\n'],
    ],
  ),
};

export function bytesOf(type: 'request' | 'response', { messages }: ParserScript): Buffer {
  return Buffer.from(messages.map(({ base, spoil }) => spoil.reduce(mutate, base)).join('') + CANARIES[type], 'latin1');
}
