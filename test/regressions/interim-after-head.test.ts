// An interim response never comes after its head.
// Bug, found by the wire fuzzer: it pipelined two deliveries, the second with `Expect: 100-continue`, and once in 3,600
// times read `HTTP/1.1 200 OK … HTTP/1.1 100 Continue … ok`. The body of the second response began with the interim
// response. node keeps what is written on a queued response, and puts the head before it when the first piece of body
// is a Buffer. A client would read `HT` as the body and the rest as the next response.
// Requests are now answered one at a time, so no response is queued. This test shows that none is ever mixed up.
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SECRET, signed } from '../conformance/wire-case.ts';
import { openClient } from '../support/http/raw-client.ts';
import { get } from '../support/http/requests.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { type LenientUpstream, type SeenRequest, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const HINTS = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n';

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

/** Answers the first request once the client has sent the second. */
function holdTheFirst(second: string): () => void {
  let held: Socket | undefined;
  upstream.answer((request: SeenRequest) => {
    if (request.target === '/open/first') return (socket) => (held = socket);
    return second;
  });
  return () => held?.write(OK);
}

test('an interim response of the upstream, on the second of two pipelined requests', async () => {
  const answerFirst = holdTheFirst(HINTS + OK);
  const client = await openClient({ port: proxy.port });
  await client.send(get('/open/first') + get('/open/second'));
  await expect.poll(() => upstream.list()).toHaveLength(1);
  answerFirst();
  expect((await client.response()).body.toString()).toBe('ok');
  const second = await client.response();
  expect(second.informational.map(({ status }) => status)).toEqual([103]);
  expect(second.body.toString()).toBe('ok');
  client.destroy();
});

test('our own 100 Continue, on the second of two pipelined requests', async () => {
  const answerFirst = holdTheFirst(OK);
  const client = await openClient({ port: proxy.port });
  await client.send(get('/open/first') + signed('abc', { lines: ['Expect: 100-continue'] }));
  await expect.poll(() => upstream.list()).toHaveLength(1);
  answerFirst();
  expect((await client.response()).body.toString()).toBe('ok');
  const second = await client.response();
  expect(second.informational.map(({ status }) => status)).toEqual([100]);
  expect(second.body.toString()).toBe('ok');
  client.destroy();
});
