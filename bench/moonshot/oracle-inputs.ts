// What the oracle is asked about: requests that both parsers take, spoilt as the wire fuzzer spoils them, with a request behind them
// that shows where each parser believes that they end.
import fc from 'fast-check';
import { get, request, signed } from '../../test/conformance/wire-case.ts';
import { type Mutation, mutate, mutation } from '../../test/fuzz/wire-mutations.ts';
import { BASES } from '../../test/fuzz/wire-requests.ts';

export interface Input {
  readonly bytes: Buffer;
  /** The same bytes, cut at random places. */
  readonly pieces: readonly Buffer[];
}

const CHUNKED = ['POST /notify HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked'];

/** Beside the wire fuzzer's own: every production of the grammar once. */
const MORE: readonly string[] = [
  get('/'),
  get("/a%20b;c=d/!$&'()*+,=:@~?x=/?&y=[]{}|^%", ['X-A:b', 'X-B: \t c d \t', 'X-C:', 'X-D: \xe4\xf6\xfc\xff']),
  get('/x', ["!#$%&'*+-.^_`|~09AZaz: 1", 'Connection: keep-alive, X-A', 'Keep-Alive: timeout=5', 'TE: trailers']),
  get('/x', ['Connection: close']),
  get('/x').replace('HTTP/1.1', 'HTTP/1.0'),
  `\r\n\r\n${get('/x')}`,
  get('/x').replace('GET', 'HEAD'),
  signed('', { lines: ['Content-Type: application/json'] }),
  request(CHUNKED, '3;a=b;c="d;\\"e";f\r\nabc\r\n00A\r\n0123456789\r\n0;x\r\n\r\n'),
  request([...CHUNKED, 'Trailer: X-Sum'], '1\r\na\r\n0\r\nX-Sum: \t1 \r\nX-B:\r\n\r\n'),
  request(['PUT /x HTTP/1.1', 'Host: a', 'Content-Length: 12'], 'GET / HTTP/1'),
];

const BASE_REQUESTS = [...BASES.open.map(({ send }) => send).filter((send) => send.length < 5000), ...MORE];

/** Ends in nothing that the input could need: an unfinished body swallows it, and so both parsers must. */
const CANARY = get('/canary');

interface Script {
  readonly requests: readonly { readonly base: string; readonly spoil: readonly Mutation[] }[];
  readonly splits: readonly number[];
}

const script: fc.Arbitrary<Script> = fc.record({
  requests: fc.array(
    fc.record({
      base: fc.constantFrom(...BASE_REQUESTS),
      spoil: fc.oneof(
        { weight: 2, arbitrary: fc.constant<Mutation[]>([]) },
        { weight: 3, arbitrary: fc.array(mutation, { minLength: 1, maxLength: 3 }) },
      ),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  splits: fc.array(fc.nat(1 << 18), { maxLength: 6 }),
});

/** `count` inputs, always the same ones for a seed. */
export function inputs(seed: number, count: number): Input[] {
  return fc.sample(script, { seed, numRuns: count }).map(({ requests, splits }) => {
    const text = requests.map(({ base, spoil }) => spoil.reduce(mutate, base)).join('') + CANARY;
    const bytes = Buffer.from(text, 'latin1');
    const cuts = [...new Set(splits.map((at) => at % (bytes.length + 1)))].sort((a, b) => a - b);
    const pieces = [0, ...cuts].map((from, index) => bytes.subarray(from, cuts[index] ?? bytes.length));
    return { bytes, pieces: pieces.filter(({ length }) => length > 0) };
  });
}
