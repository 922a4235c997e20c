// Slow clients do not keep the upstream slots from others.
// `upstream.connections` limits the requests at the upstream. Clients that send or read slowly do not occupy its slots,
// and nobody is dropped because the upstream is slow.

import { describe, expect } from 'vitest';
import { openClient, sendTo } from '../support/http/raw-client.ts';
import { untilAtRest, untilMetrics } from '../support/proxy/at-rest.ts';
import { expectServed, GET, many } from '../support/proxy/limited.ts';
import { test } from '../support/proxy/proxied.ts';
import { OK } from '../support/upstream/raw-upstream.ts';

const MIB = 1024 * 1024;

describe('upstream slots', () => {
  const slots = { connections: 4, retryConnectFor: '4s' };

  test('slow uploads, however many, do not lock the others out', async ({ streams, proxyTo }) => {
    const proxy = await proxyTo(streams, { upstream: slots });
    const slow = await many(20, async () => {
      const client = await sendTo(proxy, 'POST /open/x HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nx');
      const drip = setInterval(() => client.socket.write('x'), 100);
      client.socket.once('close', () => clearInterval(drip));
      return client;
    });
    await untilMetrics(proxy, ['requests_in_flight'], ([busy = 0]) => busy >= 20);
    for (let count = 0; count < 10; count++) await expectServed(proxy);
    for (const client of slow) client.destroy();
    await untilAtRest(proxy);
  });

  test('unread downloads do not lock the others out', async ({ streams, proxyTo }) => {
    const proxy = await proxyTo(streams, { upstream: slots });
    const deaf = await many(12, async () => {
      const client = await openClient(proxy);
      client.socket.pause();
      await client.send(`GET /open/${64 * MIB} HTTP/1.1\r\nHost: h\r\n\r\n`);
      return client;
    });
    await untilMetrics(proxy, ['requests_in_flight'], ([busy = 0]) => busy >= 12);
    for (let count = 0; count < 5; count++) await expectServed(proxy);
    for (const client of deaf) client.destroy();
    await untilAtRest(proxy);
  });

  test('a slow upstream gets its time, and no client is dropped for it', async ({ raw, proxyTo }) => {
    raw.script(() => {});
    const proxy = await proxyTo(raw, { upstream: { connections: 1, retryConnectFor: '4s' } });
    const first = await sendTo(proxy, GET);
    await expect.poll(() => raw.heads.length).toBe(1);
    const second = await sendTo(proxy, GET);
    await new Promise((resolve) => setTimeout(resolve, 2500)); // longer than a slow client would get
    for (const socket of raw.sockets) socket.write(OK);
    expect((await first.response()).status).toBe(200);
    await expect.poll(() => raw.heads.length).toBe(2);
    for (const socket of raw.sockets) socket.write(OK);
    expect((await second.response()).status).toBe(200);
    for (const client of [first, second]) client.destroy();
  });
});
