// The lenient upstream takes anything.
// The conformance tables are only as good as the upstream and the client that observe them. Without the proxy, the lenient
// upstream must fall for every kind of smuggling, and the client's parser must refuse everything that breaks the RFC.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sendTo } from '../support/http/raw-client.ts';
import { get, request } from '../support/http/requests.ts';
import { parseResponse } from '../support/http/response-parser.ts';
import { type LenientUpstream, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';
import { forged } from './wire-case.ts';

let upstream: LenientUpstream;
beforeAll(async () => {
  upstream = await startLenientUpstream();
});
afterAll(() => upstream?.close());

const ATTACK = forged('forged');
const open = (framing: readonly string[], body: string) =>
  request(['POST /open HTTP/1.1', 'Host: a', ...framing], body);

test.each([
  ['CL.TE', open([`Content-Length: ${5 + ATTACK.length}`, 'Transfer-Encoding: chunked'], `0\r\n\r\n${ATTACK}`)],
  ['TE.TE', open(['Content-Length: 200', 'Transfer-Encoding: xchunked'], `0\r\n\r\n${ATTACK}`)],
  ['an underscore', open(['Transfer_Encoding: chunked'], `0\r\n\r\n${ATTACK}`)],
  ['a folded line', open(['X-A: b', ' Transfer-Encoding: chunked'], `0\r\n\r\n${ATTACK}`)],
  ['a length that is not a number', open(['Content-Length: none'], ATTACK)],
  ['two lengths', open(['Content-Length: 0', `Content-Length: ${ATTACK.length}`], ATTACK)],
  ['bare LF', `POST /open HTTP/1.1\nHost: a\n\n${ATTACK}`],
  ['no version', `GET /open\r\n\r\n${ATTACK}`],
  ['pipelining', get('/open') + ATTACK],
])('it falls for %s', async (_name, bytes) => {
  upstream.seen.length = 0;
  const client = await sendTo(upstream, bytes);
  await client.response();
  await client.response();
  client.destroy();
  expect(upstream.list()[1]).toBe('POST /notify forged');
  expect(upstream.seen[1]?.raw.toString('latin1')).toBe(ATTACK);
});

test('an incomplete request is left over', async () => {
  const client = await sendTo(upstream, `${get('/open')}POST /notify HTTP/1.1\r\n`);
  await client.response();
  client.destroy();
  expect(upstream.leftovers().map(String)).toEqual(['POST /notify HTTP/1.1\r\n']);
});

test.each([
  ['bare LF', 'HTTP/1.1 200 OK\nContent-Length: 0\n\r\n\r\n'],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
  ['a folded header', 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n'],
  ['a length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['a bad chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n'],
])('the parser refuses %s', (_name, text) => {
  expect(() => parseResponse(Buffer.from(text))).toThrow();
});
