// Limits as the client sees them: declared and counted sizes, heads that are too large or too slow, bodies that stall.

import { get, request } from '../../support/http/requests.ts';
import { forged, row, signatureLine, signed, type WireCase } from '../wire-case.ts';

const chunked = (body: string, chunks: string) =>
  request(['POST /notify HTTP/1.1', 'Host: a', signatureLine(body), 'Transfer-Encoding: chunked'], chunks);
const SIXTEEN = '0123456789abcdef';

export const LIMITS: readonly WireCase[] = [
  row('exactly maxBody', signed(SIXTEEN), { on: 'small', status: [200], upstream: [`POST /notify ${SIXTEEN}`] }),
  row('exactly maxBody, in chunks', chunked(SIXTEEN, `10\r\n${SIXTEEN}\r\n0\r\n\r\n`), {
    on: 'small',
    status: [200],
    upstream: [`POST /notify ${SIXTEEN}`],
  }),
  row('one byte over, declared', signed(`${SIXTEEN}g`), { on: 'small', status: [413], upstream: [] }),
  row('one byte over, counted', chunked(`${SIXTEEN}g`, `11\r\n${SIXTEEN}g\r\n0\r\n\r\n`), {
    on: 'small',
    status: [413],
    upstream: [],
  }),
  row(
    'one byte over, in small chunks',
    chunked(`${SIXTEEN}g`, `${[...SIXTEEN, 'g'].map((c) => `1\r\n${c}\r\n`).join('')}0\r\n\r\n`),
    { on: 'small', status: [413], upstream: [] },
  ),
  row('an open route has no maxBody', forged(`${SIXTEEN}g`, { target: '/open' }), {
    on: 'small',
    status: [200],
    upstream: [`POST /open ${SIXTEEN}g`],
  }),
  row(
    'a length of petabytes',
    request(['POST /notify HTTP/1.1', 'Host: a', signatureLine('x'), 'Content-Length: 999999999999999'], 'x'),
    { on: 'small', status: [413], upstream: [], closes: true },
  ),
  row('an oversized head', get('/open', [`X-A: ${'a'.repeat(3000)}`]), {
    on: 'small',
    status: [431],
    upstream: [],
    closes: true,
  }),
  row('an oversized target', get(`/open/${'a'.repeat(3000)}`), {
    on: 'small',
    status: [431],
    upstream: [],
    closes: true,
  }),
  row('a head that never ends', 'GET /open HTTP/1.1\r\nHost: a\r\n', {
    on: 'small',
    status: [408],
    upstream: [],
    closes: true,
  }),
  row('a request line that never ends', 'GET /op', { on: 'small', status: [408], upstream: [], closes: true }),
  row('a signed body that never ends', signed('abc').slice(0, -1), {
    on: 'small',
    status: [408],
    upstream: [],
    closes: true,
  }),
  row('signed chunks that never end', chunked('abc', '3\r\nabc\r\n'), {
    on: 'small',
    status: [408],
    upstream: [],
    closes: true,
  }),
];
