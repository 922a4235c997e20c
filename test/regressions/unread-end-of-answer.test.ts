// A client that leaves the end of its answer unread is let go.
// Bug: a timeout ran only while the upstream was being held back. Once the upstream had sent everything, a client that
// never read the rest kept its connection and its in-flight request for as long as it liked.
import { afterAll, beforeAll, test } from 'vitest';
import { openClient } from '../support/http/raw-client.ts';
import { untilAtRest, untilMetrics } from '../support/proxy/at-rest.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { type StreamingUpstream, startStreamingUpstream } from '../support/upstream/streams.ts';

const MIB = 1024 * 1024;

let upstream: StreamingUpstream;
let proxy: RunningProxy;
beforeAll(async () => {
  upstream = await startStreamingUpstream();
  proxy = await startProxy({
    config: { upstream: { url: upstream.url, idleTimeout: '1s' }, unmatched: 'forward' },
    secrets: { current: 'unread-end-of-answer-0123456789abcdef' },
  });
});
afterAll(async () => {
  await proxy?.stop();
  await upstream?.close();
});

test('it is cut after idleTimeout, as during the body', async () => {
  const client = await openClient({ port: proxy.port });
  client.socket.pause();
  // Responses that fill the buffers of both sockets; the last one ends while it is still in the proxy's buffer.
  await client.send(`GET /${MIB} HTTP/1.1\r\nHost: h\r\n\r\n`.repeat(12));
  await untilMetrics(proxy, ['connections'], ([open]) => open === 1);
  await untilMetrics(proxy, ['connections'], ([open]) => open === 0);
  await untilAtRest(proxy);
  client.destroy();
});
