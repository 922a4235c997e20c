// Connections are limited, and silent or slow ones make room.
// `limits.connections`, and how long a connection may live. When the limit is reached, silent, slow and idle
// connections make room for honest ones; so do they where few files may be open, and on the admin port.
import { readFile } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { deliver } from '../support/deliveries/deliver.ts';
import { openClient, type RawClient, sendTo } from '../support/http/raw-client.ts';
import { get } from '../support/http/requests.ts';
import { values } from '../support/http/response-parser.ts';
import { untilAtRest, untilMetrics } from '../support/proxy/at-rest.ts';
import { expectServed, GET, many, signed } from '../support/proxy/limited.ts';
import { test } from '../support/proxy/proxied.ts';
import { OK } from '../support/upstream/raw-upstream.ts';

describe('connections', () => {
  test('over the limit a new connection replaces one that never sent a complete head', async ({ raw, proxyTo }) => {
    const proxy = await proxyTo(raw, { limits: { connections: 8 } });
    const silent = await many(8, async (index) => {
      const client = await sendTo(proxy, index % 2 === 0 ? 'GET /open' : '\r\n');
      return client;
    });
    await untilMetrics(proxy, ['connections'], ([open]) => open === 8);
    for (let count = 0; count < 4; count++) await expectServed(proxy);
    await silent[0]?.rest(); // the oldest is gone
    for (const client of silent) client.destroy();
    await untilAtRest(proxy);
    const series = 'requests_total{route="unmatched",decision="rejected",reason="header_timeout"}';
    await untilMetrics(proxy, [series], ([ended = 0]) => ended >= 1);
  });

  test('a client that leaves within a head is counted: it has begun a request', async ({ raw, proxyTo }) => {
    const proxy = await proxyTo(raw);
    const client = await sendTo(proxy, `${GET}GET /open`); // one read: with the response to the first, the second has begun
    expect((await client.response()).status).toBe(200);
    client.socket.resetAndDestroy();
    const series = 'requests_total{route="unmatched",decision="rejected",reason="client_closed"}';
    await untilMetrics(proxy, [series], ([left]) => left === 1);
  });

  test('over the limit a body that hardly moves makes room: 408, recorded as ours', async ({ raw, proxyTo }) => {
    const proxy = await proxyTo(raw, { limits: { connections: 4 } });
    const slow = await many(4, async () => {
      const client = await sendTo(proxy, `${signed('x'.repeat(1000))}x`);
      return client;
    });
    await untilMetrics(proxy, ['requests_in_flight'], ([busy]) => busy === 4);
    await expect.poll(() => expectServed(proxy).then(() => 'served', String), { interval: 200 }).toBe('served');
    const refused = await Promise.race(slow.map((client) => client.response()));
    expect([refused.status, refused.body.toString()]).toEqual([408, '{"error":"body_timeout"}']);
    const series = 'requests_total{route="/notify",decision="rejected",reason="body_timeout"}';
    await untilMetrics(proxy, [series], ([ended = 0]) => ended >= 1);
    for (const client of slow) client.destroy();
  });

  test('then the one that is idle longest; never one with a request in flight', async ({ raw, proxyTo }) => {
    raw.script((socket, { head }) => (head.startsWith('GET') ? undefined : void socket.write(OK)));
    const proxy = await proxyTo(raw, { limits: { connections: 3 } });
    const busy = await sendTo(proxy, GET);
    await expect.poll(() => raw.heads.length).toBe(1);
    const idle = await sendTo(proxy, `${signed('{}')}{}`);
    expect((await idle.response()).status).toBe(200);
    const busyToo = await sendTo(proxy, GET);
    await expect.poll(() => raw.heads.length).toBe(3);
    await expectServed(proxy);
    expect((await idle.rest()).length).toBe(0);

    const third = await sendTo(proxy, GET);
    await expect.poll(() => raw.heads.length).toBe(5);
    const refused = await openClient(proxy);
    expect((await refused.rest()).length).toBe(0);
    for (const socket of raw.sockets) socket.write(OK);
    for (const client of [busy, busyToo, third]) expect((await client.response()).status).toBe(200);
    for (const client of [busy, busyToo, third]) client.destroy();
  });

  test('one that sends only line endings is closed, though it is never idle', async ({ raw, proxyTo }) => {
    const proxy = await proxyTo(raw, {
      listen: { keepAlive: '1s' },
      limits: { headersTimeout: '1s' },
    });
    const client = await sendTo(proxy, GET);
    expect((await client.response()).status).toBe(200);
    const drip = setInterval(() => client.socket.write('\r\n'), 100);
    await client.rest().finally(() => clearInterval(drip));
  });

  test('one older than connectionAge gets Connection: close with its next response', async ({ raw, proxyTo }) => {
    const proxy = await proxyTo(raw, { limits: { connectionAge: '1s' } });
    const opened = performance.now();
    const client = await openClient(proxy);
    let answered: readonly string[] = [];
    for (let at = 0; answered.length === 0; at += 300) {
      await new Promise((resolve) => setTimeout(resolve, at)); // past connectionAge in the end
      await client.send(GET);
      answered = values((await client.response()).lines, 'connection');
      if (performance.now() < opened + 1000) expect(answered).toEqual([]);
    }
    expect(answered).toEqual(['close']);
    await client.rest();
  });
});

const FILES = 128;

test.skipIf(process.platform !== 'linux')(
  'a process that may open fewer files than limits.connections needs takes fewer connections, and says so',
  async ({ start }) => {
    const proxy = await start({}, { openFiles: FILES });
    expect(await readFile(`/proc/${proxy.pid}/limits`, 'utf8')).toMatch(new RegExp(`Max open files +${FILES} `));
    await proxy.waitForLog(({ key, problem }) => key === 'limits.connections' && /ulimit/.test(String(problem)));
    const silent = await many(2 * FILES, () => openClient(proxy));
    await untilMetrics(proxy, ['connections'], ([open]) => open === FILES / 2);
    expect(await deliver(proxy, 'a')).toBe(200);
    expect((await fetch(`${proxy.adminUrl}/livez`)).status).toBe(200);
    for (const client of silent) client.destroy();
  },
);

const LIVEZ = get('/livez');
/** More than half of the connections that the admin port takes. */
const CROWD = 33;

async function keptBy(client: RawClient): Promise<boolean> {
  await client.send(LIVEZ);
  const { status, lines } = await client.response();
  expect(status).toBe(200);
  return !lines.includes('Connection: close');
}

test('a crowded admin port ends each connection after its answer, to leave room for probes', async ({ start }) => {
  const { adminPort: port } = await start();
  const scraper = await openClient({ port });
  expect(await keptBy(scraper)).toBe(true);
  const crowd = await many(CROWD, async () => {
    const client = await sendTo({ port }, 'GET /');
    return client;
  });
  // They are accepted one by one; until then the scraper stays.
  await expect.poll(() => keptBy(scraper)).toBe(false);
  expect(await scraper.rest()).toEqual(Buffer.alloc(0));
  for (const client of crowd) client.destroy();
  await expect
    .poll(async () => {
      const client = await openClient({ port });
      const kept = await keptBy(client);
      client.destroy();
      return kept;
    })
    .toBe(true);
});
