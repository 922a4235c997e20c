// Bytes of streams hold little memory while they wait.
import { describe, expect, test } from 'vitest';
import { sendTo } from '../support/http/raw-client.ts';
import { untilAtRest, untilMetrics } from '../support/proxy/at-rest.ts';
import { shared } from '../support/proxy/shared.ts';
import { OK, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';

const CHUNKED_POST = 'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n';
const MIB = 1024 * 1024;

describe('while the only slot is taken', () => {
  const on = shared(startLenientUpstream, {
    upstream: { connections: 1, retryConnectFor: '20s' },
    unmatched: 'forward',
  });

  // Bug: a streamed request that waited for an upstream slot had no listener yet, so node kept 64 KiB of its body. In one-byte
  // chunks that is 65,536 buffers: 13 MB of memory a request for 400 KB on the wire. A few hundred ended the process.
  test('one-byte chunks that nobody takes hold little memory', async () => {
    const WAITING = 40;
    on.upstream.script(() => {});
    const first = await sendTo(on.proxy, 'GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    await expect.poll(() => on.upstream.seen.length).toBe(1);
    const before = await on.proxy.memory();
    const chunks = Buffer.from('1\r\nx\r\n'.repeat(65_536));
    const clients = [];
    for (let count = 0; count < WAITING; count++) {
      const client = await sendTo(on.proxy, CHUNKED_POST);
      client.socket.write(chunks);
      clients.push(client);
    }
    await untilMetrics(on.proxy, ['requests_in_flight'], ([busy]) => busy === WAITING + 1);
    // Extra round trips, so the proxy has read everything that its sockets held.
    for (let round = 0; round < 20; round++) await on.proxy.metrics();
    const { peak } = await on.proxy.memory();
    for (const client of [first, ...clients]) client.destroy();
    expect(peak - before.rss).toBeLessThan(WAITING * 3 * MIB);
  });
});

describe('with room for 1 KiB', () => {
  const on = shared(startLenientUpstream, {
    upstream: { connections: 1 },
    unmatched: 'forward',
    limits: { maxBody: '1KiB', bufferedBytes: '1KiB' },
  });

  // A streaming body that finds no room in the byte budget while it waits for a slot must not wait on: with its bytes gone,
  // the upstream would get an empty body that looks whole.
  test.each([
    ['at once', ['']],
    ['in its last piece', ['3\r\nabc\r\n', '']],
  ])('a body that finds no room %s gets 503, and stays here', async (_when, pieces) => {
    on.upstream.seen.length = 0;
    const held = Promise.withResolvers<() => void>();
    on.upstream.script((socket) => held.resolve(() => socket.write(OK)));
    const holder = await sendTo(on.proxy, 'GET /holds-the-only-slot HTTP/1.1\r\nHost: h\r\n\r\n');
    const finish = await held.promise;
    on.upstream.script((socket) => socket.write(OK));
    const client = await sendTo(on.proxy, CHUNKED_POST);
    for (const piece of pieces) await client.send(piece);
    await client.send(`7d0\r\n${'x'.repeat(2000)}\r\n0\r\n\r\n`);
    expect(await client.response()).toMatchObject({ status: 503, body: Buffer.from('{"error":"overloaded"}') });
    finish();
    expect((await holder.response()).status).toBe(200);
    for (const one of [client, holder]) one.destroy();
    await untilAtRest(on.proxy);
    expect(on.upstream.list()).toEqual(['GET /holds-the-only-slot']);
    expect(on.upstream.leftovers()).toEqual([]);
  });
});
