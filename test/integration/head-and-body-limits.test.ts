// The limits of heads and bodies hold, and honest clients do not pay for others.
// The number of a head's lines, the time for heads and bodies, and the byte budget are limited. Slow clients make room,
// and honest deliveries are answered.
import { describe, expect } from 'vitest';
import { exchange, sendTo } from '../support/http/raw-client.ts';
import { untilAtRest, untilMetrics } from '../support/proxy/at-rest.ts';
import { expectServed, many, signed } from '../support/proxy/limited.ts';
import { test } from '../support/proxy/proxied.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

describe('heads', () => {
  test('of 100 lines pass, and more get 431', async ({ raw, proxyTo }) => {
    const proxy = await proxyTo(raw);
    for (const [more, status] of [
      [99, 200],
      [100, 431],
      [1499, 431],
    ] as const) {
      const response = await exchange(proxy.port, `GET /open/0 HTTP/1.1\r\nHost: h\r\n${'a:\r\n'.repeat(more)}\r\n`);
      expect([more, response.status]).toEqual([more, status]);
    }
    expect(raw.heads.map((head) => head.match(/^a:/gm)?.length)).toEqual([99]);
  });

  test('a drip has headersTimeout in all, and gets its 408', async ({ raw, proxyTo }) => {
    const proxy = await proxyTo(raw, { limits: { headersTimeout: '1s' } });
    const client = await sendTo(proxy, 'GET /open/0 HTTP/1.1\r\nHost: h\r\n');
    const drip = setInterval(() => client.socket.write('a: b\r\n'), 50);
    const response = await client.response().finally(() => clearInterval(drip));
    expect([response.status, response.body.toString()]).toEqual([408, '{"error":"header_timeout"}']);
  });
});

describe('verified bodies', () => {
  test('a drip has bodyTimeout in all, and gets its 408', async ({ raw, proxyTo }) => {
    const proxy = await proxyTo(raw, { limits: { bodyTimeout: '1s' } });
    const client = await sendTo(proxy, signed('x'.repeat(1000)));
    const drip = setInterval(() => client.socket.write('x'), 50);
    const response = await client.response().finally(() => clearInterval(drip));
    expect([response.status, response.body.toString()]).toEqual([408, '{"error":"body_timeout"}']);
    await untilAtRest(proxy);
  });

  test('a body in chunks of one byte is refused as soon as the pattern shows', async ({ raw, proxyTo }) => {
    const proxy = await proxyTo(raw);
    const client = await sendTo(proxy, `${signed('x', 'Transfer-Encoding: chunked')}${'1\r\nx\r\n'.repeat(100_000)}`);
    const response = await client.response();
    expect([response.status, response.body.toString()]).toEqual([400, '{"error":"bad_request"}']);
    expect(raw.heads).toEqual([]);
    client.destroy();
    await untilAtRest(proxy);
  });

  test('a budget full of slow bodies: the slowest gets 503, honest ones are served', async ({ streams, proxyTo }) => {
    const proxy = await proxyTo(streams, { limits: { bufferedBytes: '8MiB' } });
    const slow = await many(16, async () => {
      const client = await sendTo(proxy, signed(Buffer.alloc(MIB)));
      await client.send(Buffer.alloc(400 * KIB));
      return client;
    });
    await untilMetrics(proxy, ['buffered_bytes'], ([held = 0]) => held > 5 * MIB);
    const big = Buffer.alloc(MIB, 'honest');
    const responses = await many(4, async () => {
      const client = await sendTo(proxy, Buffer.concat([Buffer.from(signed(big)), big]));
      return client.response();
    });
    expect(responses.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    for (let count = 0; count < 10; count++) await expectServed(proxy);
    for (const client of slow) client.destroy();
    await untilAtRest(proxy);
  });

  test('buffered bytes never exceed bufferedBytes', async ({ streams, proxyTo }) => {
    const proxy = await proxyTo(streams, { limits: { bufferedBytes: '2MiB' } });
    const clients = await many(30, async () => {
      const client = await sendTo(proxy, signed(Buffer.alloc(MIB)));
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
