// Several requests in one go on one connection: each is either answered or not taken at all, whatever happens meanwhile.
// A delivery that arrived without an answer would be sent again, and processed twice.
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type LenientUpstream, startLenientUpstream } from '../support/lenient-upstream.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { openClient, type RawClient } from '../support/raw-client.ts';
import { values } from '../support/response-parser.ts';
import { sign } from '../support/signer.ts';

const SECRET = 'pipelining-secret-0123456789abcdef';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

let upstream: LenientUpstream;
let proxy: RunningProxy;
beforeEach(async () => {
  upstream = await startLenientUpstream();
  proxy = await startProxy({
    config: { upstream: { url: upstream.url }, routes: [{ path: '/notify' }], shutdown: { delay: '0s', grace: '3s' } },
    secrets: { current: SECRET },
  });
});
afterEach(async () => {
  await proxy?.stop();
  await upstream?.close();
});

function delivery(body: string): string {
  const head = ['POST /notify HTTP/1.1', 'Host: h', `Entrupy-Signature: ${sign(SECRET, body)}`];
  return [...head, `Content-Length: ${body.length}`, '', body].join('\r\n');
}

/** Has the upstream hold its answers until `count` requests are there; gives the sockets to answer on. */
function hold(count: number): Promise<Socket[]> {
  return new Promise((resolve) => {
    const held: Socket[] = [];
    upstream.answer(() => (socket) => {
      held.push(socket);
      if (held.length === count) resolve(held);
    });
  });
}

/** Reads answers until the connection ends. */
async function answers(client: RawClient): Promise<number[]> {
  const statuses: number[] = [];
  for (;;) {
    const response = await client.responseOrClose();
    if (response === null) return statuses;
    statuses.push(response.status);
    if (values(response.lines, 'connection').includes('close')) {
      expect((await client.rest()).length).toBe(0);
      return statuses;
    }
  }
}

test('in the order of the requests, whatever the order of the answers', async () => {
  const held = hold(2);
  const client = await openClient({ port: proxy.port });
  await client.send(delivery('first') + delivery('second'));
  const sockets = await held;
  const first = sockets[upstream.seen.findIndex(({ body }) => body.toString() === 'first')];
  for (const socket of sockets) if (socket !== first) socket.write(OK.replace('ok', 'b2'));
  first?.write(OK.replace('ok', 'a1'));
  expect((await client.response()).body.toString()).toBe('a1');
  expect((await client.response()).body.toString()).toBe('b2');
  client.destroy();
});

test.each(['drain', 'stop'])('in flight when a %s begins', async (how) => {
  const held = hold(3);
  const client = await openClient({ port: proxy.port });
  await client.send(delivery('1') + delivery('2') + delivery('3'));
  const sockets = await held;
  if (how === 'drain') {
    await fetch(`${proxy.adminUrl}/-/drain`, { method: 'POST' });
  } else {
    proxy.signal('SIGTERM');
    await proxy.waitForLog(({ msg }) => msg === 'stopping');
  }
  for (const socket of sockets) socket.write(OK);
  expect(await answers(client)).toEqual([200, 200, 200]);
  client.destroy();
});

test.each([
  ['a drain', ''],
  ['a request that says close', 'Connection: close\r\n'],
])('not taken after the answer that ends the connection: %s', async (_name, line) => {
  if (line === '') await fetch(`${proxy.adminUrl}/-/drain`, { method: 'POST' });
  const client = await openClient({ port: proxy.port });
  await client.send(delivery('1').replace('Host', `${line}Host`) + delivery('2') + delivery('3'));
  const statuses = await answers(client);
  client.destroy();
  expect(statuses.length).toBeGreaterThanOrEqual(1);
  expect(upstream.list().length).toBe(statuses.length);
});

test('a client that leaves takes all of its requests with it', async () => {
  const held = hold(2);
  const client = await openClient({ port: proxy.port });
  await client.send(delivery('1') + delivery('2'));
  const sockets = await held;
  const closed = sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)));
  client.destroy();
  await Promise.all(closed);
  const metrics = await proxy.metrics();
  expect(metrics.get('entrupy_proxy_requests_in_flight')).toBe(0);
});
