// What was not sent waits for the upstream.
// An upstream that is not there yet, restarts or is busy. A request of which no byte was sent waits within bounds, and
// arrives once or never.
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { delivery, idsOf, numbers, patient, waiting } from '../support/deliveries/numbered.ts';
import { sendTo } from '../support/http/raw-client.ts';
import { untilAtRest, untilMetrics } from '../support/proxy/at-rest.ts';
import { test } from '../support/proxy/proxied.ts';
import { OK, startRawUpstream } from '../support/upstream/raw-upstream.ts';

const FAILED = 'upstream_failures_total{route="/notify",cause="connect"}';

describe.concurrent('an upstream that accepts no connections', () => {
  test('a port that refuses, then listens again: each request arrives once', async ({ raw: upstream, proxyTo }) => {
    const proxy = await proxyTo(upstream, patient({ connections: 4 }));
    await upstream.stop();
    const clients = await Promise.all(numbers(30).map((id) => sendTo(proxy, delivery(id))));
    await untilMetrics(proxy, ['requests_in_flight'], waiting(30));
    await upstream.listen();
    const responses = await Promise.all(clients.map((client) => client.response()));
    expect(responses.map(({ status }) => status)).toEqual(Array(30).fill(200));
    expect(idsOf(upstream)).toEqual(numbers(30));
    await untilAtRest(proxy);
    expect((await proxy.metrics()).get(`entrupy_proxy_${FAILED}`)).toBe(0);
  });

  test('a unix socket that appears later', async ({ directory, onTestFinished, proxyTo }) => {
    const path = join(directory, 'app.sock');
    const proxy = await proxyTo({ url: `unix://${path}` }, patient());
    const client = await sendTo(proxy, delivery(1));
    await untilMetrics(proxy, ['requests_in_flight'], waiting(1));
    const upstream = await startRawUpstream(path);
    onTestFinished(upstream.close);
    expect((await client.response()).status).toBe(200);
    expect(idsOf(upstream)).toEqual([1]);
  });

  test.for([
    ['refuses', 'http://127.0.0.1:1'],
    ['has no address', 'http://upstream.invalid:80'],
    ['has no socket', 'unix:///nonexistent/app.sock'],
  ] as const)('one that %s for longer than retryConnectFor: 502, and counted', async ([, url], { proxyTo }) => {
    const proxy = await proxyTo({ url }, patient({ retryConnectFor: '300ms' }));
    const client = await sendTo(proxy, delivery(1));
    const { status, body, lines } = await client.response();
    expect([status, body.toString(), lines.includes('Connection: close')]).toEqual([
      502,
      '{"error":"bad_gateway"}',
      true,
    ]);
    await untilAtRest(proxy);
    expect((await proxy.metrics()).get(`entrupy_proxy_${FAILED}`)).toBe(1);
  });

  test('a streamed body waits with its request, and arrives complete', async ({ raw: upstream, proxyTo }) => {
    const proxy = await proxyTo(upstream, patient());
    await upstream.stop();
    const received = upstream.nextChunked();
    const client = await sendTo(
      proxy,
      'POST /open/0 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n',
    );
    await untilMetrics(proxy, ['requests_in_flight'], waiting(1));
    await upstream.listen();
    await client.send('6\r\nsecond\r\n0\r\n\r\n');
    expect((await client.response()).status).toBe(200);
    expect((await received).replace(/\r\n[0-9a-f]+\r\n|^[0-9a-f]+\r\n|\r\n/g, '')).toBe('firstsecond');
  });

  test('what a client leaves during the wait is not sent later, holds nothing', async ({ raw: upstream, proxyTo }) => {
    const proxy = await proxyTo(upstream, patient({ connections: 2 }));
    await upstream.stop();
    const clients = await Promise.all(numbers(10).map((id) => sendTo(proxy, delivery(id))));
    await untilMetrics(proxy, ['requests_in_flight'], waiting(10));
    for (const client of clients.slice(1)) client.destroy();
    await untilMetrics(proxy, ['requests_in_flight'], waiting(1));
    await upstream.listen();
    expect((await clients[0]?.response())?.status).toBe(200);
    expect(idsOf(upstream)).toEqual([0]);
    await untilAtRest(proxy);
  });

  test('requests behind a waiting one are not started: its 502 ends the connection', async ({ proxyTo }) => {
    const proxy = await proxyTo({ url: 'http://127.0.0.1:1' }, patient({ connections: 1, retryConnectFor: '1s' }));
    const client = await sendTo(proxy, delivery(1) + numbers(9).map(delivery).join(''));
    const { status, lines } = await client.response();
    expect([status, lines.includes('Connection: close')]).toEqual([502, true]);
    expect((await client.rest()).length).toBe(0);
    const counted = [...(await proxy.metrics())].filter(([name]) => name.startsWith('entrupy_proxy_requests_total{'));
    expect(counted.reduce((sum, [, count]) => sum + count, 0)).toBe(1);
  });
});

describe.concurrent('an upstream that is busy', () => {
  test('gets upstream.connections requests at once at most; the others queue', async ({ raw: upstream, proxyTo }) => {
    let [now, most] = [0, 0];
    upstream.script((socket) => {
      most = Math.max(most, ++now);
      setTimeout(() => {
        now--;
        socket.write(OK);
      }, 5);
    });
    const proxy = await proxyTo(upstream, patient({ connections: 3 }));
    const clients = await Promise.all(numbers(40).map((id) => sendTo(proxy, delivery(id))));
    const responses = await Promise.all(clients.map((client) => client.response()));
    expect(responses.map(({ status }) => status)).toEqual(Array(40).fill(200));
    expect(most).toBe(3);
    expect(idsOf(upstream)).toEqual(numbers(40));
  });

  test('leaves no slot within retryConnectFor: 503, and nothing reaches it', async ({ raw: upstream, proxyTo }) => {
    upstream.script(() => {});
    const proxy = await proxyTo(upstream, patient({ connections: 1, retryConnectFor: '200ms', responseTimeout: '5s' }));
    const first = await sendTo(proxy, delivery(1));
    await untilMetrics(proxy, ['requests_in_flight'], waiting(1));
    const second = await sendTo(proxy, delivery(2));
    const { body, lines } = await second.response();
    expect([body.toString(), lines.includes('Connection: close')]).toEqual(['{"error":"overloaded"}', true]);
    expect(idsOf(upstream)).toEqual([1]);
    first.destroy();
    await untilAtRest(proxy);
    upstream.script((socket) => socket.write(OK));
    const third = await sendTo(proxy, delivery(3));
    expect((await third.response()).status).toBe(200);
    third.destroy();
  });
});
