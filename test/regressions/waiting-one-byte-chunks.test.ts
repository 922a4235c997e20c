// One-byte chunks that nobody takes hold little memory.
// Bug: a streamed request that waited for an upstream slot had no listener yet, so node kept 64 KiB of its body. In
// one-byte chunks that is 65,536 buffers: 13 MB of memory a request for 400 KB on the wire. A few hundred such requests
// ended the process.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openClient } from '../support/http/raw-client.ts';
import { untilMetrics } from '../support/proxy/at-rest.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { type RawUpstream, startRawUpstream } from '../support/upstream/raw-upstream.ts';

const MIB = 1024 * 1024;
const WAITING = 40;

let upstream: RawUpstream;
let proxy: RunningProxy;
beforeAll(async () => {
  upstream = await startRawUpstream();
  upstream.script(() => {});
  proxy = await startProxy({
    config: {
      upstream: { url: upstream.url, connections: 1, retryConnectFor: '20s' },
      unmatched: 'forward',
    },
    secrets: { current: 'one-byte-chunks-0123456789abcdef01234' },
  });
});
afterAll(async () => {
  await proxy?.stop();
  await upstream?.close();
});

test('while the only slot is taken', async () => {
  const first = await openClient({ port: proxy.port });
  await first.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  await expect.poll(() => upstream.heads.length).toBe(1);
  const before = await proxy.memory();
  const chunks = Buffer.from('1\r\nx\r\n'.repeat(65_536));
  const clients = [];
  for (let count = 0; count < WAITING; count++) {
    const client = await openClient({ port: proxy.port });
    await client.send('POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n');
    client.socket.write(chunks);
    clients.push(client);
  }
  await untilMetrics(proxy, ['requests_in_flight'], ([busy]) => busy === WAITING + 1);
  // Extra round trips, so the proxy has read everything that its sockets held.
  for (let round = 0; round < 20; round++) await proxy.metrics();
  const { peak } = await proxy.memory();
  for (const client of [first, ...clients]) client.destroy();
  expect(peak - before.rss).toBeLessThan(WAITING * 3 * MIB);
});
