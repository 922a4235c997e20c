// Connections are limited, and silent or slow ones make room.
// `limits.connections`, and how long a connection may live. When the limit is reached, silent, slow and idle
// connections make room for honest ones.

import { describe, expect } from 'vitest';
import { openClient, sendTo } from '../support/http/raw-client.ts';
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
