// A body that found no room never reaches the upstream.
// A streaming body that finds no room in the byte budget while it waits for a slot gets 503. It must not wait on: with
// its bytes gone, the upstream would get an empty body that looks whole.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openClient } from '../support/http/raw-client.ts';
import { untilAtRest } from '../support/proxy/at-rest.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { OK, type RawUpstream, startRawUpstream } from '../support/upstream/raw-upstream.ts';

let upstream: RawUpstream;
let proxy: RunningProxy;
beforeAll(async () => {
  upstream = await startRawUpstream();
  proxy = await startProxy({
    config: {
      upstream: { url: upstream.url, connections: 1 },
      unmatched: 'forward',
      limits: { maxBody: '1KiB', bufferedBytes: '1KiB' },
    },
    secrets: { current: 'no-room-secret-0123456789abcdef' },
  });
});
afterAll(async () => {
  await proxy?.stop();
  await upstream?.close();
});

test.each([
  ['at once', ['']],
  ['in its last piece', ['3\r\nabc\r\n', '']],
])('%s', async (_when, pieces) => {
  upstream.heads.length = 0;
  const held = Promise.withResolvers<() => void>();
  upstream.script((socket) => held.resolve(() => socket.write(OK)));
  const holder = await openClient({ port: proxy.port });
  await holder.send('GET /holds-the-only-slot HTTP/1.1\r\nHost: h\r\n\r\n');
  const finish = await held.promise;
  upstream.script((socket) => socket.write(OK));
  const client = await openClient({ port: proxy.port });
  await client.send('POST /open HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n');
  for (const piece of pieces) await client.send(piece);
  await client.send(`7d0\r\n${'x'.repeat(2000)}\r\n0\r\n\r\n`);
  expect(await client.response()).toMatchObject({ status: 503, body: Buffer.from('{"error":"overloaded"}') });
  finish();
  expect((await holder.response()).status).toBe(200);
  for (const one of [client, holder]) one.destroy();
  await untilAtRest(proxy);
  expect(upstream.heads.map((head) => head.split('\r\n')[0])).toEqual(['GET /holds-the-only-slot HTTP/1.1']);
});
