// A request that may have been processed is never sent again, whatever the upstream does. A client that leaves ends its
// request upstream and frees everything that it held.
import { describe, expect } from 'vitest';
import { delivery, idsOf, numbers, patient, waiting } from '../support/deliveries/numbered.ts';
import { sendTo } from '../support/http/raw-client.ts';
import { untilAtRest, untilMetrics } from '../support/proxy/at-rest.ts';
import { test } from '../support/proxy/proxied.ts';
import { OK } from '../support/upstream/raw-upstream.ts';

describe('a request that may have been processed is not resent', () => {
  test('a keep-alive connection closes under the next request: 502, sent once', async ({ raw: upstream, proxyTo }) => {
    const proxy = await proxyTo(upstream, patient({ connections: 1 }));
    const client = await sendTo(proxy, delivery(1));
    expect((await client.response()).status).toBe(200);
    upstream.script((socket) => socket.destroy());
    await client.send(delivery(2));
    expect((await client.response()).status).toBe(502);
    expect(idsOf(upstream)).toEqual([1, 2]);
    client.destroy();
  });

  test('GET too: the proxy does not know what a GET does', async ({ raw: upstream, proxyTo }) => {
    const proxy = await proxyTo(upstream, patient({ connections: 1 }));
    upstream.script((socket) => socket.resetAndDestroy());
    const client = await sendTo(proxy, 'GET /open/0 HTTP/1.1\r\nHost: h\r\n\r\n');
    expect((await client.response()).status).toBe(502);
    expect(upstream.heads).toHaveLength(1);
    client.destroy();
  });

  test('a restart: 502 for those in flight, 200 for those that wait, none twice', async ({
    raw: upstream,
    proxyTo,
  }) => {
    upstream.script(() => {});
    const proxy = await proxyTo(upstream, patient({ connections: 2 }));
    const inFlight = await Promise.all(numbers(2).map((id) => sendTo(proxy, delivery(id))));
    await expect.poll(() => upstream.heads.length).toBe(2);
    const later = await Promise.all([2, 3, 4].map((id) => sendTo(proxy, delivery(id))));
    await untilMetrics(proxy, ['requests_in_flight'], waiting(5));
    await upstream.stop();
    for (const client of inFlight) expect((await client.response()).status).toBe(502);
    upstream.script((socket) => socket.write(OK));
    await upstream.listen();
    for (const client of later) expect((await client.response()).status).toBe(200);
    expect(idsOf(upstream)).toEqual([0, 1, 2, 3, 4]);
    await untilAtRest(proxy);
  });

  test('an upstream that closes idle sockets loses nothing over keepAlive', async ({ raw: upstream, proxyTo }) => {
    upstream.script((socket) => {
      socket.write(OK);
      socket.setTimeout(300, () => socket.destroy());
    });
    const proxy = await proxyTo(upstream, patient({ keepAlive: '30ms' }));
    const client = await sendTo(proxy, delivery(0));
    expect((await client.response()).status).toBe(200);
    for (const id of numbers(20)) {
      await new Promise((resolve) => setTimeout(resolve, 15 + (id % 10) * 31)); // close to both timeouts
      await client.send(delivery(id + 1));
      expect((await client.response()).status).toBe(200);
    }
    expect(idsOf(upstream)).toEqual(numbers(21));
    client.destroy();
  });
});

describe('a client that leaves', () => {
  test.for([
    ['before the head', (_: unknown) => {}],
    [
      'within the body',
      (socket: { write(text: string): void }) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart'),
    ],
  ] as const)('%s frees its slot and ends the upstream request', async ([, script], { raw: upstream, proxyTo }) => {
    upstream.script(script);
    const proxy = await proxyTo(upstream, patient({ connections: 1 }));
    const client = await sendTo(proxy, delivery(1));
    await expect.poll(() => upstream.heads.length).toBe(1);
    const [socket] = upstream.sockets;
    const closed = new Promise((resolve) => socket?.once('end', resolve).once('close', resolve));
    client.destroy();
    await closed;
    await untilAtRest(proxy);
    upstream.script((next) => next.write(OK));
    const next = await sendTo(proxy, delivery(2));
    expect((await next.response()).status).toBe(200);
    next.destroy();
  });
});
