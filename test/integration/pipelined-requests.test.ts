// Several requests written at once on one connection: each is either answered or never processed. A delivery that
// reached the upstream without a response would be sent again, and processed twice.
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openClient, type RawClient } from '../support/http/raw-client.ts';
import { delivery } from '../support/http/requests.ts';
import { values } from '../support/http/response-parser.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { type LenientUpstream, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';

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

const signed = (body: string) => delivery(body, SECRET);

/** Makes the upstream hold each response; returns the next socket that waits for one. */
function holdAnswers(): () => Promise<Socket> {
  const held: Socket[] = [];
  const wanting: ((socket: Socket) => void)[] = [];
  upstream.answer(() => (socket) => {
    const next = wanting.shift();
    if (next === undefined) held.push(socket);
    else next(socket);
  });
  return () => {
    const socket = held.shift();
    return socket === undefined ? new Promise((resolve) => wanting.push(resolve)) : Promise.resolve(socket);
  };
}

/** Reads responses until the connection ends. */
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

test('one at a time: a request does not start before the previous response is out', async () => {
  const nextHeld = holdAnswers();
  const client = await openClient({ port: proxy.port });
  await client.send(signed('first') + signed('second'));
  const first = await nextHeld();
  // Another connection gets its response meanwhile, so there was time to start the second request here too.
  const other = await openClient({ port: proxy.port });
  await other.send(signed('other'));
  (await nextHeld()).write(OK.replace('ok', 'c3'));
  expect((await other.response()).body.toString()).toBe('c3');
  expect(upstream.seen.map(({ body }) => body.toString())).toEqual(['first', 'other']);
  first.write(OK.replace('ok', 'a1'));
  expect((await client.response()).body.toString()).toBe('a1');
  (await nextHeld()).write(OK.replace('ok', 'b2'));
  expect((await client.response()).body.toString()).toBe('b2');
  client.destroy();
  other.destroy();
});

test('up to maxHeader bytes behind a request are kept; more end the connection after the response', async () => {
  const nextHeld = holdAnswers();
  const client = await openClient({ port: proxy.port });
  const many = signed('x'.repeat(1000));
  await client.send(signed('first') + many.repeat(20));
  (await nextHeld()).write(OK);
  expect(await answers(client)).toEqual([200]);
  expect(upstream.seen.map(({ body }) => body.toString())).toEqual(['first']);
  client.destroy();
});

test.each(['drain', 'stop'])(
  'the one in flight when a %s begins is answered, the ones behind it are never started',
  async (how) => {
    const nextHeld = holdAnswers();
    const client = await openClient({ port: proxy.port });
    await client.send(signed('1') + signed('2') + signed('3'));
    const socket = await nextHeld();
    if (how === 'drain') {
      await fetch(`${proxy.adminUrl}/-/drain`, { method: 'POST' });
    } else {
      proxy.signal('SIGTERM');
      await proxy.waitForLog(({ msg }) => msg === 'stopping');
    }
    socket.write(OK);
    expect(await answers(client)).toEqual([200]);
    expect(upstream.list()).toHaveLength(1);
    client.destroy();
  },
);

test.each([
  ['a drain', ''],
  ['a request that says close', 'Connection: close\r\n'],
])('not processed after the response that ends the connection: %s', async (_name, line) => {
  if (line === '') await fetch(`${proxy.adminUrl}/-/drain`, { method: 'POST' });
  const client = await openClient({ port: proxy.port });
  await client.send(signed('1').replace('Host', `${line}Host`) + signed('2') + signed('3'));
  const statuses = await answers(client);
  client.destroy();
  expect(statuses.length).toBeGreaterThanOrEqual(1);
  expect(upstream.list().length).toBe(statuses.length);
});

test('when a client leaves, all of its requests end', async () => {
  const nextHeld = holdAnswers();
  const client = await openClient({ port: proxy.port });
  await client.send(signed('1') + signed('2'));
  const socket = await nextHeld();
  const closed = new Promise((resolve) => socket.once('close', resolve));
  client.destroy();
  await closed;
  const metrics = await proxy.metrics();
  expect(metrics.get('entrupy_proxy_requests_in_flight')).toBe(0);
  expect(upstream.list()).toHaveLength(1);
});
