// Deliveries with a missing, repeated or look-alike signature, with Expect, the order of all checks, and limits as the client
// sees them: declared and counted sizes, heads that are too large or too slow, bodies that stall.
import { get, request } from '../../support/http/requests.ts';
import {
  closing,
  delivered,
  forged,
  gated,
  methodRefused,
  refusal,
  routeRejected,
  served,
  signatureLine,
  signed,
  tooLarge,
  unauthorized,
  type WireCase,
} from '../wire-case.ts';

const RIGHT = signatureLine('abc');
const noLiveSecret = refusal(503);
const post = (lines: readonly string[]) => forged('abc', { lines });

const SIGNATURES: readonly WireCase[] = [
  unauthorized('no signature', post([])),
  unauthorized('two equal signatures', post([RIGHT, RIGHT])),
  unauthorized('a wrong one, then the right one', post(['Entrupy-Signature: SHA256:x', RIGHT])),
  unauthorized('the right one, then an empty one', post([RIGHT, 'Entrupy-Signature:'])),
  unauthorized('one in two spellings', post([RIGHT, RIGHT.toLowerCase()])),
  unauthorized('a look-alike with a dot, alone', post([RIGHT.replace('Entrupy-', 'Entrupy.')])),
  unauthorized('the right one and a look-alike with a dot', post([RIGHT, 'entrupy.signature: x'])),
  unauthorized('an empty look-alike', post([RIGHT, 'Entrupy.Signature:'])),
  served('a look-alike on an open route', get('/open', ['Entrupy.Signature: x']), 'GET /open'),
  served('two signatures on an open route', get('/open', [RIGHT, RIGHT]), 'GET /open', {
    lines: ['Host: a', RIGHT, RIGHT],
  }),
  delivered('no signature, reported', post([]), { on: 'report' }),
  delivered('two signatures, reported', post([RIGHT, RIGHT]), { on: 'report' }),
  served(
    'another method, reported',
    request(['PUT /notify HTTP/1.1', 'Host: a', 'Content-Length: 1'], 'x'),
    'PUT /notify x',
    { on: 'report' },
  ),
  gated('an underscore look-alike, reported', post(['Entrupy_Signature: x']), 'report'),
  gated('bad framing, reported', post(['Content-Length: 3']), 'report'),
];

const EXPECT: readonly WireCase[] = [
  delivered('Expect on a signed request', signed('abc', { lines: ['Expect: 100-continue'] }), {
    informational: [100],
    lines: ['Host: a', RIGHT, 'Content-Length: 3'],
  }),
  delivered('Expect in another case', signed('abc', { lines: ['expect: 100-Continue'] }), {
    informational: [100],
  }),
  closing(
    unauthorized(
      'Expect on an unsigned request: no 100',
      request(['POST /notify HTTP/1.1', 'Host: a', 'Expect: 100-continue', 'Content-Length: 3']),
    ),
  ),
  closing(
    tooLarge(
      'Expect on an oversized body: no 100',
      signed('a'.repeat(17), { lines: ['Expect: 100-continue'] }),
      'small',
    ),
  ),
  gated(
    'Expect with bad framing: no 100',
    request(['POST /open HTTP/1.1', 'Host: a', 'Expect: 100-continue', 'Content-Length: 03']),
  ),
  gated('another expectation', signed('abc', { lines: ['Expect: 200-ok'] })),
  gated('two expectations', signed('abc', { lines: ['Expect: 100-continue, x'] })),
];

/** The order of the checks: gate, route, method, live secret, signature, declared length. */
const ORDER: readonly WireCase[] = [
  noLiveSecret('no live secret, signed', signed('abc'), 'unready'),
  noLiveSecret('no live secret, unsigned', post([]), 'unready'),
  noLiveSecret('no live secret, two signatures', post([RIGHT, RIGHT]), 'unready'),
  noLiveSecret('no live secret, too large', signed('a'.repeat(17)), 'unready'),
  methodRefused('no live secret, another method', request(['PUT /notify HTTP/1.1', 'Host: a']), 'unready'),
  routeRejected('no live secret, a rejected route', get('/gone'), 'unready'),
  served('no live secret, an open route', get('/open'), 'GET /open', { on: 'unready' }),
  served('no live secret, reported', forged('abc', { target: '/reported' }), 'POST /reported abc', { on: 'unready' }),
  gated('no live secret, a bad target', get('/notify#x'), 'unready'),
  unauthorized('unsigned and too large', forged('a'.repeat(17)), 'small'),
  methodRefused('another method, unsigned and too large', forged('a'.repeat(17)).replace('POST', 'PUT'), 'small'),
];

const chunked = (body: string, chunks: string) =>
  request(['POST /notify HTTP/1.1', 'Host: a', signatureLine(body), 'Transfer-Encoding: chunked'], chunks);
const headTooLarge = refusal(431);
const timedOut = refusal(408);
const SIXTEEN = '0123456789abcdef';

const LIMITS: readonly WireCase[] = [
  served('exactly maxBody', signed(SIXTEEN), `POST /notify ${SIXTEEN}`, { on: 'small' }),
  served('exactly maxBody, in chunks', chunked(SIXTEEN, `10\r\n${SIXTEEN}\r\n0\r\n\r\n`), `POST /notify ${SIXTEEN}`, {
    on: 'small',
  }),
  tooLarge('one byte over, declared', signed(`${SIXTEEN}g`), 'small'),
  tooLarge('one byte over, counted', chunked(`${SIXTEEN}g`, `11\r\n${SIXTEEN}g\r\n0\r\n\r\n`), 'small'),
  served('an open route has no maxBody', forged(`${SIXTEEN}g`, { target: '/open' }), `POST /open ${SIXTEEN}g`, {
    on: 'small',
  }),
  closing(
    tooLarge(
      'a length of petabytes',
      request(['POST /notify HTTP/1.1', 'Host: a', signatureLine('x'), 'Content-Length: 999999999999999'], 'x'),
      'small',
    ),
  ),
  served('a head of 100 lines', get('/open', Array(99).fill('a:')), 'GET /open'),
  closing(headTooLarge('a head of 101 lines', get('/open', Array(100).fill('a:')))),
  closing(headTooLarge('an oversized head', get('/open', [`X-A: ${'a'.repeat(3000)}`]), 'small')),
  closing(timedOut('a head that never ends', 'GET /open HTTP/1.1\r\nHost: a\r\n', 'small')),
  closing(timedOut('a request line that never ends', 'GET /op', 'small')),
  { ...closing(timedOut('a HEAD that never ends', 'HEAD /open HTTP/1.1\r\n', 'small')), head: true },
  closing(timedOut('a signed body that never ends', signed('abc').slice(0, -1), 'small')),
  closing(timedOut('signed chunks that never end', chunked('abc', '3\r\nabc\r\n'), 'small')),
];

export const DELIVERIES: readonly WireCase[] = [...SIGNATURES, ...EXPECT, ...ORDER, ...LIMITS];
