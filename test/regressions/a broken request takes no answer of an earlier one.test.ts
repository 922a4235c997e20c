// The story: the wire fuzzer pipelined a delivery and an upload with a bad chunk. The delivery was on its way to the
// upstream when the bad chunk came; the connection was cut, the sender got no answer, and would have delivered it again.
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { request, SECRET, signed } from '../conformance/wire-case.ts';
import { type LenientUpstream, startLenientUpstream } from '../support/lenient-upstream.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { openClient } from '../support/raw-client.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const UPLOAD = ['POST /open/x HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked'];
const FORGED = ['POST /notify HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked'];

let upstream: LenientUpstream;
let proxy: RunningProxy;
beforeEach(async () => {
  upstream = await startLenientUpstream();
  proxy = await startProxy({
    config: { upstream: { url: upstream.url }, routes: [{ path: '/notify' }, { path: '/open/*', action: 'forward' }] },
    secrets: { current: SECRET },
  });
});
afterEach(async () => {
  await proxy?.stop();
  await upstream?.close();
});

test.each([
  ['an upload with a bad chunk', request(UPLOAD, '5\r\nhello\r\nzz\r\n')],
  ['an upload whose first chunk is bad', request(UPLOAD, 'zz\r\n')],
  ['a delivery without a signature and with a bad chunk', request(FORGED, 'zz\r\n')],
  [
    'a signed delivery with a bad chunk',
    signed('abc').replace('Content-Length: 3\r\n\r\n', 'Transfer-Encoding: chunked\r\n\r\nzz\r\n'),
  ],
  ['bytes that are no request', '\x01\x02\r\n\r\n'],
])('%s', async (_name, broken) => {
  let held: Socket | undefined;
  upstream.answer(() => (socket) => {
    held = socket;
  });
  const client = await openClient({ port: proxy.port });
  await client.send(signed('first'));
  await expect.poll(() => upstream.list()).toEqual(['POST /notify first']);
  await client.send(broken);
  // The proxy has read it once it has answered another client that asked later.
  const other = await openClient({ port: proxy.port });
  await other.send('GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  await other.response();
  held?.write(OK);
  expect((await client.response()).body.toString()).toBe('ok');
  client.destroy();
});
