// Limits as the client sees them: declared and counted sizes, heads that are too large or too slow, bodies that stall.
import { get, request } from '../../support/http/requests.ts';
import { closing, forged, refusal, served, signatureLine, signed, tooLarge, type WireCase } from '../wire-case.ts';

const chunked = (body: string, chunks: string) =>
  request(['POST /notify HTTP/1.1', 'Host: a', signatureLine(body), 'Transfer-Encoding: chunked'], chunks);
const headTooLarge = refusal(431);
const timedOut = refusal(408);
const SIXTEEN = '0123456789abcdef';

export const LIMITS: readonly WireCase[] = [
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
