// Pipelined requests, mutated like those of the wire fuzzer, and a last one that shows where each parser sees their
// end.
import fc from 'fast-check';
import { forged, signed } from '../conformance/wire-case.ts';
import { get, request } from '../support/http/requests.ts';
import { fewMutations, type Mutation, mutate, mutationOf } from './wire-mutations.ts';
import { BASES } from './wire-requests.ts';

export interface Script {
  readonly messages: readonly { readonly base: string; readonly spoil: readonly Mutation[] }[];
  /** The offsets at which the bytes are split, each modulo their length. */
  readonly cuts: readonly number[];
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

/** Ends in nothing that the bytes before it could need: an unfinished body swallows it, in both parsers. */
const CANARY = get('/canary');

export const script: fc.Arbitrary<Script> = fc.record({
  messages: fc.array(
    fc.record({
      base: fc.constantFrom(...BASE_REQUESTS),
      spoil: fewMutations(mutationOf([' RTSP/1.0\r\n', 'CONNECT a:1 HTTP/1.1\r\n', ' \t\r\n'])),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  cuts: fc.array(fc.nat(1 << 18), { maxLength: 6 }),
});

export function bytesOf({ messages }: Script): Buffer {
  return Buffer.from(messages.map(({ base, spoil }) => spoil.reduce(mutate, base)).join('') + CANARY, 'latin1');
}
