// One-byte chunks that nobody takes hold little memory.
// Bug: a streamed request that waited for an upstream slot had no listener yet, so node kept 64 KiB of its body. In
// one-byte chunks that is 65,536 buffers: 13 MB of memory a request for 400 KB on the wire. A few hundred such requests
// ended the process.
import { beforeAll, expect, test } from 'vitest';
import { sendTo } from '../support/http/raw-client.ts';
import { untilMetrics } from '../support/proxy/at-rest.ts';
import { shared } from '../support/proxy/shared.ts';
import { startRawUpstream } from '../support/upstream/raw-upstream.ts';

const MIB = 1024 * 1024;
const WAITING = 40;

const on = shared(startRawUpstream, { upstream: { connections: 1, retryConnectFor: '20s' }, unmatched: 'forward' });
beforeAll(() => {
  on.upstream.script(() => {});
});

test('while the only slot is taken', async () => {
  const first = await sendTo(on.proxy, 'GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  await expect.poll(() => on.upstream.heads.length).toBe(1);
  const before = await on.proxy.memory();
  const chunks = Buffer.from('1\r\nx\r\n'.repeat(65_536));
  const clients = [];
  for (let count = 0; count < WAITING; count++) {
    const client = await sendTo(on.proxy, 'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n');
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
