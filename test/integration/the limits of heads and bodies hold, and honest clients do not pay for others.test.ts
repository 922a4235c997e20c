// Connections, heads, bodies, the byte budget and upstream slots are limited. When one runs out, slow and silent
// clients make room, and honest requests are answered.
import { afterEach, describe, expect, test } from 'vitest';
import { untilAtRest, untilMetrics } from '../support/at-rest.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { exchange, openClient, type RawClient } from '../support/raw-client.ts';
import { OK, type RawUpstream, startRawUpstream } from '../support/raw-upstream.ts';
import { values } from '../support/response-parser.ts';
import { sign } from '../support/signer.ts';
import { type StreamingUpstream, startStreamingUpstream } from '../support/streams.ts';

const SECRET = 'limits-hold-secret-0123456789abcdef';
const KIB = 1024;
const MIB = 1024 * KIB;
const GET = 'GET /open/0 HTTP/1.1\r\nHost: h\r\n\r\n';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function keep<T extends { close(): Promise<void> }>(upstream: T): T {
  cleanups.push(() => upstream.close());
  return upstream;
}
const rawUpstream = async (): Promise<RawUpstream> => keep(await startRawUpstream());
const streams = async (): Promise<StreamingUpstream> => keep(await startStreamingUpstream());

async function proxyTo(upstream: { url: string }, config: Record<string, object> = {}): Promise<RunningProxy> {
  const proxy = await startProxy({
    config: {
      routes: [{ path: '/notify' }, { path: '/open/*', action: 'forward' }],
      ...config,
      upstream: { url: upstream.url, ...config.upstream },
    },
    secrets: { current: SECRET },
  });
  cleanups.push(() => proxy.stop());
  return proxy;
}

const clientOf = (proxy: RunningProxy): Promise<RawClient> => openClient({ port: proxy.port });
const many = <T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => make(index)));

function signed(body: string | Buffer, framing = `Content-Length: ${body.length}`): string {
  return `POST /notify HTTP/1.1\r\nHost: h\r\nEntrupy-Signature: ${sign(SECRET, body)}\r\n${framing}\r\n\r\n`;
}

async function expectServed(proxy: RunningProxy): Promise<void> {
  const body = Buffer.from('{"honest":true}');
  const response = await exchange(proxy.port, Buffer.concat([Buffer.from(signed(body)), body]));
  expect(response.status).toBe(200);
}

describe('connections', () => {
  test('over the limit a new connection replaces one that never sent a complete head', async () => {
    const proxy = await proxyTo(await rawUpstream(), { limits: { connections: 8 } });
    const silent = await many(8, async (index) => {
      const client = await clientOf(proxy);
      await client.send(index % 2 === 0 ? 'GET /open' : '\r\n');
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

  test('a client that leaves within a head is counted: a request exists from its first byte on', async () => {
    const proxy = await proxyTo(await rawUpstream());
    const client = await clientOf(proxy);
    await client.send(`${GET}GET /open`); // one read: with the response to the first, the second has begun
    expect((await client.response()).status).toBe(200);
    client.socket.resetAndDestroy();
    const series = 'requests_total{route="unmatched",decision="rejected",reason="client_closed"}';
    await untilMetrics(proxy, [series], ([left]) => left === 1);
  });

  test('over the limit a body that hardly moves makes room: 408, and recorded as the proxy’s doing', async () => {
    const proxy = await proxyTo(await rawUpstream(), { limits: { connections: 4 } });
    const slow = await many(4, async () => {
      const client = await clientOf(proxy);
      await client.send(`${signed('x'.repeat(1000))}x`);
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

  test('then the one that is idle longest; never one with a request in flight', async () => {
    const upstream = await rawUpstream();
    upstream.script((socket, { head }) => (head.startsWith('GET') ? undefined : void socket.write(OK)));
    const proxy = await proxyTo(upstream, { limits: { connections: 3 } });
    const busy = await clientOf(proxy);
    await busy.send(GET);
    await expect.poll(() => upstream.heads.length).toBe(1);
    const idle = await clientOf(proxy);
    await idle.send(`${signed('{}')}{}`);
    expect((await idle.response()).status).toBe(200);
    const busyToo = await clientOf(proxy);
    await busyToo.send(GET);
    await expect.poll(() => upstream.heads.length).toBe(3);
    await expectServed(proxy);
    expect((await idle.rest()).length).toBe(0);

    const third = await clientOf(proxy);
    await third.send(GET);
    await expect.poll(() => upstream.heads.length).toBe(5);
    const refused = await clientOf(proxy);
    expect((await refused.rest()).length).toBe(0);
    for (const socket of upstream.sockets) socket.write(OK);
    for (const client of [busy, busyToo, third]) expect((await client.response()).status).toBe(200);
    for (const client of [busy, busyToo, third]) client.destroy();
  });

  test('one that sends only line endings is closed, though it is never idle', async () => {
    const proxy = await proxyTo(await rawUpstream(), {
      listen: { keepAlive: '1s' },
      limits: { headersTimeout: '1s' },
    });
    const client = await clientOf(proxy);
    await client.send(GET);
    expect((await client.response()).status).toBe(200);
    const drip = setInterval(() => client.socket.write('\r\n'), 100);
    await client.rest().finally(() => clearInterval(drip));
  });

  test('one older than connectionAge gets Connection: close with its next response', async () => {
    const proxy = await proxyTo(await rawUpstream(), { limits: { connectionAge: '1s' } });
    const client = await clientOf(proxy);
    await client.send(GET);
    expect(values((await client.response()).lines, 'connection')).toEqual([]);
    await new Promise((resolve) => setTimeout(resolve, 1050)); // past connectionAge
    await client.send(GET);
    expect(values((await client.response()).lines, 'connection')).toEqual(['close']);
    await client.rest();
  });
});

describe('heads', () => {
  test.each([
    ['100 lines', 99, 200],
    ['101 lines', 100, 431],
    ['1,500 lines', 1499, 431],
  ])('of %s', async (_name, more, status) => {
    const upstream = await rawUpstream();
    const proxy = await proxyTo(upstream);
    const response = await exchange(proxy.port, `GET /open/0 HTTP/1.1\r\nHost: h\r\n${'a:\r\n'.repeat(more)}\r\n`);
    expect(response.status).toBe(status);
    const [head = ''] = upstream.heads;
    expect(head.match(/^a:/gm)?.length ?? 0).toBe(status === 200 ? more : 0);
  });

  test('a drip has headersTimeout in all, and gets its 408', async () => {
    const proxy = await proxyTo(await rawUpstream(), { limits: { headersTimeout: '1s' } });
    const client = await clientOf(proxy);
    await client.send('GET /open/0 HTTP/1.1\r\nHost: h\r\n');
    const drip = setInterval(() => client.socket.write('a: b\r\n'), 50);
    const response = await client.response().finally(() => clearInterval(drip));
    expect([response.status, response.body.toString()]).toEqual([408, '{"error":"header_timeout"}']);
  });
});

describe('verified bodies', () => {
  test('a drip has bodyTimeout in all, and gets its 408', async () => {
    const proxy = await proxyTo(await rawUpstream(), { limits: { bodyTimeout: '1s' } });
    const client = await clientOf(proxy);
    await client.send(signed('x'.repeat(1000)));
    const drip = setInterval(() => client.socket.write('x'), 50);
    const response = await client.response().finally(() => clearInterval(drip));
    expect([response.status, response.body.toString()]).toEqual([408, '{"error":"body_timeout"}']);
    await untilAtRest(proxy);
  });

  test('a body in chunks of one byte is refused as soon as the pattern shows', async () => {
    const upstream = await rawUpstream();
    const proxy = await proxyTo(upstream);
    const client = await clientOf(proxy);
    await client.send(`${signed('x', 'Transfer-Encoding: chunked')}${'1\r\nx\r\n'.repeat(100_000)}`);
    const response = await client.response();
    expect([response.status, response.body.toString()]).toEqual([400, '{"error":"bad_request"}']);
    expect(upstream.heads).toEqual([]);
    client.destroy();
    await untilAtRest(proxy);
  });

  test('the budget is full of slow bodies: the slowest gets 503, honest ones are served', async () => {
    const proxy = await proxyTo(await streams(), { limits: { bufferedBytes: '8MiB' } });
    const slow = await many(16, async () => {
      const client = await clientOf(proxy);
      await client.send(signed(Buffer.alloc(MIB)));
      await client.send(Buffer.alloc(400 * KIB));
      return client;
    });
    await untilMetrics(proxy, ['buffered_bytes'], ([held = 0]) => held > 5 * MIB);
    const big = Buffer.alloc(MIB, 'honest');
    const responses = await many(4, async () => {
      const client = await clientOf(proxy);
      await client.send(Buffer.concat([Buffer.from(signed(big)), big]));
      return client.response();
    });
    expect(responses.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    for (let count = 0; count < 10; count++) await expectServed(proxy);
    for (const client of slow) client.destroy();
    await untilAtRest(proxy);
  });

  test('buffered bytes never exceed bufferedBytes', async () => {
    const proxy = await proxyTo(await streams(), { limits: { bufferedBytes: '2MiB' } });
    const clients = await many(30, async () => {
      const client = await clientOf(proxy);
      await client.send(signed(Buffer.alloc(MIB)));
      client.socket.write(Buffer.alloc(MIB - 1));
      return client;
    });
    for (let count = 0; count < 20; count++) {
      const metrics = await proxy.metrics();
      expect(metrics.get('entrupy_proxy_buffered_bytes')).toBeLessThanOrEqual(2 * MIB);
    }
    await expectServed(proxy);
    for (const client of clients) client.destroy();
    await untilAtRest(proxy);
  });
});

describe('upstream slots', () => {
  const slots = { connections: 4, retryConnectFor: '4s' };

  test('slow uploads, however many, do not lock the others out', async () => {
    const proxy = await proxyTo(await streams(), { upstream: slots });
    const slow = await many(20, async () => {
      const client = await clientOf(proxy);
      await client.send('POST /open/x HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nx');
      const drip = setInterval(() => client.socket.write('x'), 100);
      client.socket.once('close', () => clearInterval(drip));
      return client;
    });
    await untilMetrics(proxy, ['requests_in_flight'], ([busy = 0]) => busy >= 20);
    for (let count = 0; count < 10; count++) await expectServed(proxy);
    for (const client of slow) client.destroy();
    await untilAtRest(proxy);
  });

  test('unread downloads do not lock the others out', async () => {
    const proxy = await proxyTo(await streams(), { upstream: slots });
    const deaf = await many(12, async () => {
      const client = await clientOf(proxy);
      client.socket.pause();
      await client.send(`GET /open/${64 * MIB} HTTP/1.1\r\nHost: h\r\n\r\n`);
      return client;
    });
    await untilMetrics(proxy, ['requests_in_flight'], ([busy = 0]) => busy >= 12);
    for (let count = 0; count < 5; count++) await expectServed(proxy);
    for (const client of deaf) client.destroy();
    await untilAtRest(proxy);
  });

  test('a slow upstream gets its time, and no client is dropped for it', async () => {
    const upstream = await rawUpstream();
    upstream.script(() => {});
    const proxy = await proxyTo(upstream, { upstream: { connections: 1, retryConnectFor: '4s' } });
    const first = await clientOf(proxy);
    await first.send(GET);
    await expect.poll(() => upstream.heads.length).toBe(1);
    const second = await clientOf(proxy);
    await second.send(GET);
    await new Promise((resolve) => setTimeout(resolve, 2500)); // longer than a slow client would get
    for (const socket of upstream.sockets) socket.write(OK);
    expect((await first.response()).status).toBe(200);
    await expect.poll(() => upstream.heads.length).toBe(2);
    for (const socket of upstream.sockets) socket.write(OK);
    expect((await second.response()).status).toBe(200);
    for (const client of [first, second]) client.destroy();
  });
});
