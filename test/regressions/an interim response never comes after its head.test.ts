// The story: the wire fuzzer pipelined two deliveries, the second with `Expect: 100-continue`, and once in 3,600 times read
// `HTTP/1.1 200 OK … HTTP/1.1 100 Continue … ok`: the body of the second answer began with the interim response. node keeps
// what is written on a response that waits its turn, and puts the head before it when the first piece of body is a Buffer.
// A client would take `HT` for the body and the rest for the next answer.
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { get, SECRET, signed } from '../conformance/wire-case.ts';
import { type LenientUpstream, type SeenRequest, startLenientUpstream } from '../support/lenient-upstream.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { openClient } from '../support/raw-client.ts';

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

/** The upstream gives `second` at once and holds its first answer until the second one has surely passed the proxy. */
function holdTheFirst(second: string): void {
  let held: Socket | undefined;
  upstream.answer((request: SeenRequest) => {
    if (request.target === '/open/first') return (socket) => (held = socket);
    if (request.target === '/open/third') {
      held?.write(OK);
      return OK;
    }
    return second;
  });
}

test('one of the upstream, on an answer that waits its turn', async () => {
  holdTheFirst(HINTS + OK);
  const client = await openClient({ port: proxy.port });
  await client.send(get('/open/first') + get('/open/second'));
  await expect.poll(() => upstream.list()).toHaveLength(2);
  await expect.poll(async () => (await proxy.metrics()).get(COUNT)).toBe(1);
  await openThird();
  expect((await client.response()).body.toString()).toBe('ok');
  const second = await client.response();
  expect(second.informational.map(({ status }) => status)).toEqual([103]);
  expect(second.body.toString()).toBe('ok');
  client.destroy();
});

test('one of ours, on an answer that waits its turn', async () => {
  holdTheFirst(OK);
  const client = await openClient({ port: proxy.port });
  await client.send(get('/open/first') + signed('abc', { lines: ['Expect: 100-continue'] }));
  await expect.poll(() => upstream.list()).toHaveLength(2);
  await openThird();
  expect((await client.response()).body.toString()).toBe('ok');
  const second = await client.response();
  expect(second.informational.map(({ status }) => status)).toEqual([100]);
  expect(second.body.toString()).toBe('ok');
  client.destroy();
});

const COUNT = 'entrupy_proxy_upstream_responses_total{route="/open/*",code="1xx"}';

/** Lets the first answer go. By then the second has come: it was asked for before, on the same loopback. */
async function openThird(): Promise<void> {
  const other = await openClient({ port: proxy.port });
  await other.send(get('/open/third'));
  await other.response();
  other.destroy();
}
