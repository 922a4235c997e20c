// Verified requests have upstream slots that nobody else can take.
// Unverified requests get at most three quarters of `upstream.connections`, so a delivery goes through however slow
// they are. With one connection, the two kinds share it.
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openClient, type RawClient } from '../support/http/raw-client.ts';
import { delivery } from '../support/http/requests.ts';
import { expectSlotsFree, untilAtRest } from '../support/proxy/at-rest.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { type LenientUpstream, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';

const SECRET = 'upstream-share-secret-0123456789abcdef';
const BODY = '{"event":1}';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

const signed = delivery(BODY, SECRET);
/** Kinds of unverified request; the upstream is slow with each. */
const UNVERIFIED = {
  'without a body': 'GET /open HTTP/1.1\r\nHost: h\r\n\r\n',
  'with a body': 'POST /open HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nslow',
  reported: 'POST /report HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nslow',
} as const;

let upstream: LenientUpstream;
/** Sockets whose request is not yet answered. */
let held: Socket[];
let clients: RawClient[];
let proxy: RunningProxy | undefined;
beforeEach(async () => {
  [held, clients] = [[], []];
  upstream = await startLenientUpstream();
  upstream.answer(({ target }) => (target === '/notify' ? OK : (socket) => void held.push(socket)));
});
afterEach(async () => {
  for (const client of clients) client.destroy();
  await proxy?.stop();
  await upstream.close();
});

async function start(connections: number, retryConnectFor: string): Promise<RunningProxy> {
  proxy = await startProxy({
    config: {
      upstream: { url: upstream.url, connections, retryConnectFor },
      routes: [{ path: '/notify' }, { path: '/report', mode: 'report' }, { path: '/open', action: 'forward' }],
    },
    secrets: { current: SECRET },
  });
  return proxy;
}

async function ask({ port }: RunningProxy, bytes: string): Promise<RawClient> {
  const client = await openClient({ port });
  clients.push(client);
  await client.send(bytes);
  return client;
}

const askMany = (to: RunningProxy, bytes: string, count: number) =>
  Promise.all(Array.from({ length: count }, () => ask(to, bytes)));
const statuses = (asked: readonly RawClient[]) =>
  Promise.all(asked.map(async (client) => (await client.response()).status));
const seen = (target: string) => upstream.seen.filter((request) => request.target === target).length;

describe.each(Object.entries(UNVERIFIED))('slow unverified requests %s', (_name, bytes) => {
  const target = bytes.split(' ')[1] ?? '';
  test.each([
    [8, 6],
    [4, 3],
    [2, 1],
  ])('of %i connections, take at most %i', async (connections, share) => {
    const running = await start(connections, '500ms');
    const slow = await askMany(running, bytes, share);
    await expect.poll(() => held.length).toBe(share);
    const waiting = await askMany(running, bytes, 3);
    // As many at once as there are connections left, repeatedly.
    for (let round = 0; round < 5; round++) {
      const deliveries = await askMany(running, signed, connections - share);
      expect(await statuses(deliveries)).toEqual(deliveries.map(() => 200));
    }
    expect(await statuses(waiting)).toEqual([503, 503, 503]);
    expect(seen(target)).toBe(share);
    for (const socket of held) socket.write(OK);
    expect(await statuses(slow)).toEqual(slow.map(() => 200));
  });
});

test('a waiting unverified request gets the slot of one that ends, before its wait is over', async () => {
  const running = await start(4, '10s');
  const slow = await askMany(running, UNVERIFIED['with a body'], 3);
  await expect.poll(() => held.length).toBe(3);
  const waiting = await ask(running, UNVERIFIED['with a body']);
  expect(await statuses(await askMany(running, signed, 1))).toEqual([200]);
  expect(seen('/open')).toBe(3);
  held[0]?.write(OK);
  await expect.poll(() => held.length).toBe(4);
  for (const socket of held.slice(1)) socket.write(OK);
  expect(await statuses([...slow, waiting])).toEqual([200, 200, 200, 200]);
  await untilAtRest(running);
  upstream.answer(() => OK);
  await expectSlotsFree(running, { slots: 3, target: '/open' });
});

test('verified and unverified requests share a single connection', async () => {
  const running = await start(1, '10s');
  const slow = await ask(running, UNVERIFIED['without a body']);
  await expect.poll(() => held.length).toBe(1);
  const delivery = await ask(running, signed);
  held[0]?.write(OK);
  expect(await statuses([slow, delivery])).toEqual([200, 200]);
});
