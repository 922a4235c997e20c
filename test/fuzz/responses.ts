// Consecutive responses, built by the grammar of RFC 9112 and mutated, and a last one that shows where each parser sees
// their end.
import fc from 'fast-check';
import { fewMutations, type Mutation, mutate, mutationOf } from './wire-mutations.ts';

interface ResponseScript {
  readonly messages: readonly {
    readonly base: string;
    /** The request's method. */
    readonly to: string;
    readonly spoil: readonly Mutation[];
  }[];
  /** The offsets at which the bytes are split, each modulo their length. */
  readonly cuts: readonly number[];
  readonly closes: boolean;
}

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

const spoilt = mutationOf([
  ...['HTTP/1.1 200 OK\r\n\r\n', 'HTTP/1.1 204 \r\n', 'HTTP/1.0 200 OK\r\n', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ...['HTTP/1.1', ' 304 ', ' 101 ', ' 204\r\n', 'Connection: close \t\r\n', 'Transfer-Encoding: chunked, gzip\r\n'],
  ...[' \t\r\n', 'Transfer-Encoding:\r\n'],
]);

/** Ends in nothing that the bytes before it could need. */
const CANARY = 'HTTP/1.1 299 Canary\r\nContent-Length: 0\r\n\r\n';

export const responseScript: fc.Arbitrary<ResponseScript> = fc.record({
  messages: fc.array(
    fc.record({
      base: fc.oneof({ weight: 4, arbitrary: response }, { weight: 1, arbitrary: interim }),
      to: mostly(['GET', 'POST'], ['HEAD', 'OPTIONS']),
      spoil: fewMutations(spoilt),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  cuts: fc.array(fc.nat(1 << 18), { maxLength: 6 }),
  closes: fc.boolean(),
});

export function bytesOf({ messages }: ResponseScript): Buffer {
  return Buffer.from(messages.map(({ base, spoil }) => spoil.reduce(mutate, base)).join('') + CANARY, 'latin1');
}
