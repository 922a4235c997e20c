// Bodies are bytes.
// Bodies that a text decoder would corrupt, with a length and in chunks, up to the last byte of maxBody. The bytes that
// were signed are the bytes that are verified and forwarded.
import { gzipSync } from 'node:zlib';
import { beforeEach, describe, expect, test } from 'vitest';
import { SECRET } from '../support/deliveries/signer.ts';
import { exchange, openClient, sendTo } from '../support/http/raw-client.ts';
import { delivery, request, signatureLine } from '../support/http/requests.ts';
import { shared } from '../support/proxy/shared.ts';
import { startUpstream } from '../support/upstream/upstream.ts';

const MAX_BODY = 256 * 1024;

// It echoes, so the response path is checked too.
const on = shared(() => startUpstream({ handle: ({ body }, response) => response.end(body) }), {
  routes: [
    { path: '/notify', maxBody: '256KiB' },
    { path: '/open', action: 'forward' },
  ],
});
beforeEach(() => {
  on.upstream.requests.length = 0;
});

const bytes = (count: number) => Buffer.from(Uint8Array.from({ length: count }, (_, i) => (i * 31 + (i >> 8)) & 0xff));

const BODIES: readonly (readonly [string, Buffer])[] = [
  ['nothing', Buffer.alloc(0)],
  ['one NUL', Buffer.from([0])],
  ['emoji', Buffer.from('👜✅ 🇯🇵')],
  ['CRLF', Buffer.from('a\r\nb\r\n\r\n')],
  ['a byte order mark', Buffer.from('\ufeff{"a":1}')],
  ['a UTF-16 byte order mark', Buffer.from([0xff, 0xfe, 0x61, 0x00])],
  ['NUL bytes', Buffer.from('a\0b\0\0c')],
  ['invalid UTF-8', Buffer.from([0xc3, 0x28, 0xed, 0xa0, 0x80, 0xff, 0xfe])],
  ['half of an emoji', Buffer.from('👜').subarray(1)],
  ['all 256 bytes', bytes(256)],
  ['gzip', gzipSync('{"event":"session.completed"}')],
  ['bytes that look like a chunk', Buffer.from('0\r\n\r\n')],
  ['bytes that look like a request', Buffer.from('POST /notify HTTP/1.1\r\nHost: a\r\n\r\n')],
  ['64 KiB and one byte', bytes(65_537)],
  ['exactly maxBody', bytes(MAX_BODY)],
];

const withLength = (body: Buffer, lines: readonly string[] = []) =>
  Buffer.from(delivery(body.toString('latin1'), SECRET, { lines }), 'latin1');

/** The head of a delivery whose body is framed like this. */
const headOf = (body: Buffer, ...framing: readonly string[]) =>
  request(['POST /notify HTTP/1.1', 'Host: a', signatureLine(body, SECRET), ...framing]);

/** In chunks of uneven sizes. */
function inChunks(body: Buffer): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0, size = 1; at < body.length; at += size, size = Math.min(size * 3, 50_000)) {
    const piece = body.subarray(at, at + size);
    pieces.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n'));
  }
  const head = Buffer.from(headOf(body, 'Transfer-Encoding: chunked'));
  return Buffer.concat([head, ...pieces, Buffer.from('0\r\n\r\n')]);
}

async function expectEcho(wire: Buffer, body: Buffer): Promise<void> {
  const response = await exchange(on.proxy.port, wire);
  expect(response.status).toBe(200);
  expect(response.body.equals(body)).toBe(true);
  expect(on.upstream.requests.map((request) => request.body.equals(body))).toEqual([true]);
  expect(on.upstream.requests[0]?.headers['content-length']).toBe(String(body.length));
}

describe.each(BODIES)('a body of %s', (_name, body) => {
  test('passes unchanged with a length', () => expectEcho(withLength(body), body));
  test('passes unchanged in chunks', () => expectEcho(inChunks(body), body));
  test('passes unchanged with Content-Encoding: gzip', () =>
    expectEcho(withLength(body, ['Content-Encoding: gzip']), body));

  test('is refused with its last byte changed', async () => {
    const wire = withLength(body.length === 0 ? Buffer.from('x') : body);
    wire[wire.length - 1] = (wire[wire.length - 1] ?? 0) ^ 1;
    const response = await exchange(on.proxy.port, wire);
    expect([response.status, response.body.toString()]).toEqual([401, '{"error":"unauthorized"}']);
    expect(on.upstream.requests).toEqual([]);
  });

  test('passes unchanged byte by byte', async () => {
    if (body.length > 300) return;
    const client = await openClient(on.proxy);
    for (const byte of withLength(body)) await client.send(Buffer.from([byte]));
    expect((await client.response()).status).toBe(200);
    client.destroy();
    expect(on.upstream.requests[0]?.body.equals(body)).toBe(true);
  });
});

test('a client that waits for its 100 gets it, then the body is verified', async () => {
  const body = Buffer.from('expected');
  const head = headOf(body, 'Expect: 100-continue', `Content-Length: ${body.length}`);
  const client = await sendTo(on.proxy, head);
  await client.bytes('HTTP/1.1 100 Continue\r\n\r\n'.length);
  await client.send(body);
  const response = await client.response();
  client.destroy();
  expect(response.informational.map(({ status }) => status)).toEqual([100]);
  expect([response.status, response.body.toString()]).toEqual([200, 'expected']);
});
