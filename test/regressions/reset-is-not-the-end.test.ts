// A reset is not the end of a body that lasts until the close.
// Bug: when a body is neither counted nor chunked, undici 8.13.1 treats a reset as its end (a workaround for macOS in
// its onHttpSocketError). The proxy ended the response as if complete, and a client took half a document for all of it.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openClient } from '../support/http/raw-client.ts';
import { parseResponse } from '../support/http/response-parser.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { type RawUpstream, startRawUpstream } from '../support/upstream/raw-upstream.ts';

let upstream: RawUpstream;
let proxy: RunningProxy;
beforeAll(async () => {
  upstream = await startRawUpstream();
  proxy = await startProxy({
    config: { upstream: { url: upstream.url }, unmatched: 'forward' },
    secrets: { current: 'reset-is-not-the-end-0123456789abcdef' },
  });
});
afterAll(async () => {
  await proxy?.stop();
  await upstream?.close();
});

test.each([
  ['1.1', 'chunked, without its last chunk'],
  ['1.0', 'until the close, which is a reset'],
])('HTTP/%s: the client can tell (%s)', async (version) => {
  upstream.script((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhalf of it', () => {
      setImmediate(() => socket.resetAndDestroy());
    });
  });
  const client = await openClient({ port: proxy.port });
  let failed = false;
  client.socket.once('error', () => {
    failed = true;
  });
  await client.send(`GET / HTTP/${version}\r\nHost: h\r\n\r\n`);
  const bytes = await client.rest();
  if (version === '1.1') expect(parseResponse(bytes, { ended: true })).toBe(null);
  else expect(failed).toBe(true);
});
