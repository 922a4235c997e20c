// An upstream that is not there yet, restarts or is busy. A request of which no byte was sent waits within bounds. A
// request that may have been processed is never sent again. A client that leaves frees everything that it held.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { untilAtRest, untilMetrics } from '../support/at-rest.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { openClient, type RawClient } from '../support/raw-client.ts';
import { OK, type RawUpstream, startRawUpstream } from '../support/raw-upstream.ts';
import { sign } from '../support/signer.ts';

const SECRET = 'waits-for-the-upstream-secret-0123456789';
const FAILED = 'upstream_failures_total{route="/notify",cause="connect"}';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function upstreamHere(path?: string): Promise<RawUpstream> {
  const upstream = await startRawUpstream(path);
  cleanups.push(() => upstream.close());
  return upstream;
}

async function proxyTo(url: string, settings: object = {}, limits: object = {}): Promise<RunningProxy> {
  const proxy = await startProxy({
    config: {
      upstream: { url, keepAlive: '30s', ...settings },
      routes: [{ path: '/notify' }, { path: '/open', action: 'forward' }],
      limits,
    },
    secrets: { current: SECRET },
  });
  cleanups.push(() => proxy.stop());
  return proxy;
}

/** A delivery with its own number, so the upstream can tell deliveries apart. */
function delivery(id: number): string {
  const body = `{"id":${id}}`;
  return (
    `POST /notify HTTP/1.1\r\nHost: h\r\nX-Id: ${id}\r\nEntrupy-Signature: ${sign(SECRET, body)}\r\n` +
    `Content-Length: ${body.length}\r\n\r\n${body}`
  );
}

async function send(proxy: RunningProxy, bytes: string): Promise<RawClient> {
  const client = await openClient({ port: proxy.port });
  await client.send(bytes);
  return client;
}

const idsOf = (upstream: RawUpstream) =>
  upstream.heads.map((head) => Number(/^X-Id: (\d+)/m.exec(head)?.[1])).sort((a, b) => a - b);

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);
const waiting = (count: number) => (found: readonly number[]) => found[0] === count;

describe('an upstream that accepts no connections', () => {
  test('a port that refuses, then listens again: each request arrives once', async () => {
    const upstream = await upstreamHere();
    const proxy = await proxyTo(upstream.url, { connections: 4 });
    await upstream.stop();
    const clients = await Promise.all(numbers(30).map((id) => send(proxy, delivery(id))));
    await untilMetrics(proxy, ['requests_in_flight'], waiting(30));
    await upstream.listen();
    const responses = await Promise.all(clients.map((client) => client.response()));
    expect(responses.map(({ status }) => status)).toEqual(Array(30).fill(200));
    expect(idsOf(upstream)).toEqual(numbers(30));
    await untilAtRest(proxy);
    expect((await proxy.metrics()).get(`entrupy_proxy_${FAILED}`)).toBe(0);
  });

  test('a unix socket that appears later', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'entrupy-proxy-socket-'));
    cleanups.push(() => rm(directory, { recursive: true }));
    const path = join(directory, 'app.sock');
    const proxy = await proxyTo(`unix://${path}`);
    const client = await send(proxy, delivery(1));
    await untilMetrics(proxy, ['requests_in_flight'], waiting(1));
    const upstream = await upstreamHere(path);
    expect((await client.response()).status).toBe(200);
    expect(idsOf(upstream)).toEqual([1]);
  });

  test.each([
    ['refuses', 'http://127.0.0.1:1'],
    ['has no address', 'http://upstream.invalid:80'],
    ['has no socket', 'unix:///nonexistent/app.sock'],
  ])('one that %s for longer than retryConnectFor: 502, and counted', async (_name, url) => {
    const proxy = await proxyTo(url, { retryConnectFor: '300ms' });
    const client = await send(proxy, delivery(1));
    const response = await client.response();
    expect([response.status, response.body.toString()]).toEqual([502, '{"error":"bad_gateway"}']);
    await untilAtRest(proxy);
    expect((await proxy.metrics()).get(`entrupy_proxy_${FAILED}`)).toBe(1);
  });

  test('a streamed body waits with its request, and arrives complete', async () => {
    const upstream = await upstreamHere();
    const proxy = await proxyTo(upstream.url);
    await upstream.stop();
    const received = new Promise<string>((resolve) => {
      upstream.script((socket, { body }) => {
        let text = body.toString();
        const look = () => {
          if (text.endsWith('\r\n0\r\n\r\n')) resolve(text);
          else return;
          socket.write(OK);
        };
        socket.on('data', (piece) => {
          text += piece;
          look();
        });
        look();
      });
    });
    const client = await send(
      proxy,
      'POST /open HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n',
    );
    await untilMetrics(proxy, ['requests_in_flight'], waiting(1));
    await upstream.listen();
    await client.send('6\r\nsecond\r\n0\r\n\r\n');
    expect((await client.response()).status).toBe(200);
    expect((await received).replace(/\r\n[0-9a-f]+\r\n|^[0-9a-f]+\r\n|\r\n/g, '')).toBe('firstsecond');
  });

  test('the request of a client that leaves during the wait is not sent later, and holds nothing', async () => {
    const upstream = await upstreamHere();
    const proxy = await proxyTo(upstream.url, { connections: 2 });
    await upstream.stop();
    const clients = await Promise.all(numbers(10).map((id) => send(proxy, delivery(id))));
    await untilMetrics(proxy, ['requests_in_flight'], waiting(10));
    for (const client of clients.slice(1)) client.destroy();
    await untilMetrics(proxy, ['requests_in_flight'], waiting(1));
    await upstream.listen();
    expect((await clients[0]?.response())?.status).toBe(200);
    expect(idsOf(upstream)).toEqual([0]);
    await untilAtRest(proxy);
  });

  test('requests behind a waiting one are not started: its 502 ends the connection', async () => {
    const proxy = await proxyTo('http://127.0.0.1:1', { connections: 1, retryConnectFor: '1s' });
    const client = await send(proxy, delivery(1) + numbers(9).map(delivery).join(''));
    const { status, lines } = await client.response();
    expect([status, lines.includes('Connection: close')]).toEqual([502, true]);
    expect((await client.rest()).length).toBe(0);
    const counted = [...(await proxy.metrics())].filter(([name]) => name.startsWith('entrupy_proxy_requests_total{'));
    expect(counted.reduce((sum, [, count]) => sum + count, 0)).toBe(1);
  });
});

describe('an upstream that is busy', () => {
  test('gets no more than upstream.connections requests at once; the others queue', async () => {
    const upstream = await upstreamHere();
    let [now, most] = [0, 0];
    upstream.script((socket) => {
      most = Math.max(most, ++now);
      setTimeout(() => {
        now--;
        socket.write(OK);
      }, 5);
    });
    const proxy = await proxyTo(upstream.url, { connections: 3 });
    const clients = await Promise.all(numbers(40).map((id) => send(proxy, delivery(id))));
    const responses = await Promise.all(clients.map((client) => client.response()));
    expect(responses.map(({ status }) => status)).toEqual(Array(40).fill(200));
    expect(most).toBe(3);
    expect(idsOf(upstream)).toEqual(numbers(40));
  });

  test('leaves no slot within retryConnectFor: 503, and the request never reaches it', async () => {
    const upstream = await upstreamHere();
    upstream.script(() => {});
    const proxy = await proxyTo(upstream.url, { connections: 1, retryConnectFor: '200ms', responseTimeout: '5s' });
    const first = await send(proxy, delivery(1));
    await untilMetrics(proxy, ['requests_in_flight'], waiting(1));
    const second = await send(proxy, delivery(2));
    expect((await second.response()).body.toString()).toBe('{"error":"overloaded"}');
    expect(idsOf(upstream)).toEqual([1]);
    first.destroy();
    await untilAtRest(proxy);
    upstream.script((socket) => socket.write(OK));
    const third = await send(proxy, delivery(3));
    expect((await third.response()).status).toBe(200);
    third.destroy();
  });
});

describe('a request that may have been processed is not resent', () => {
  test('a keep-alive connection closes under the next request: 502, sent once', async () => {
    const upstream = await upstreamHere();
    const proxy = await proxyTo(upstream.url, { connections: 1 });
    const client = await send(proxy, delivery(1));
    expect((await client.response()).status).toBe(200);
    upstream.script((socket) => socket.destroy());
    await client.send(delivery(2));
    expect((await client.response()).status).toBe(502);
    expect(idsOf(upstream)).toEqual([1, 2]);
    client.destroy();
  });

  test('GET too: the proxy does not know what a GET does', async () => {
    const upstream = await upstreamHere();
    const proxy = await proxyTo(upstream.url, { connections: 1 });
    upstream.script((socket) => socket.resetAndDestroy());
    const client = await send(proxy, 'GET /open HTTP/1.1\r\nHost: h\r\n\r\n');
    expect((await client.response()).status).toBe(502);
    expect(upstream.heads).toHaveLength(1);
    client.destroy();
  });

  test('a restart: 502 for those in flight, 200 for those that wait, none sent twice', async () => {
    const upstream = await upstreamHere();
    upstream.script(() => {});
    const proxy = await proxyTo(upstream.url, { connections: 2 });
    const inFlight = await Promise.all(numbers(2).map((id) => send(proxy, delivery(id))));
    await expect.poll(() => upstream.heads.length).toBe(2);
    const later = await Promise.all([2, 3, 4].map((id) => send(proxy, delivery(id))));
    await untilMetrics(proxy, ['requests_in_flight'], waiting(5));
    await upstream.stop();
    for (const client of inFlight) expect((await client.response()).status).toBe(502);
    upstream.script((socket) => socket.write(OK));
    await upstream.listen();
    for (const client of later) expect((await client.response()).status).toBe(200);
    expect(idsOf(upstream)).toEqual([0, 1, 2, 3, 4]);
    await untilAtRest(proxy);
  });

  test('an upstream that closes idle connections loses no request while upstream.keepAlive is shorter', async () => {
    const upstream = await upstreamHere();
    upstream.script((socket) => {
      socket.write(OK);
      socket.setTimeout(60, () => socket.destroy());
    });
    const proxy = await proxyTo(upstream.url, { keepAlive: '30ms' });
    const client = await send(proxy, delivery(0));
    expect((await client.response()).status).toBe(200);
    for (const id of numbers(40)) {
      await new Promise((resolve) => setTimeout(resolve, 15 + (id % 10) * 5)); // close to both timeouts
      await client.send(delivery(id + 1));
      expect((await client.response()).status).toBe(200);
    }
    expect(idsOf(upstream)).toEqual(numbers(41));
    client.destroy();
  });
});

describe('a client that leaves', () => {
  test.each([
    ['before the head', (_: unknown) => {}],
    [
      'within the body',
      (socket: { write(text: string): void }) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart'),
    ],
  ])('%s frees its slot and ends the upstream request', async (_name, script) => {
    const upstream = await upstreamHere();
    upstream.script(script);
    const proxy = await proxyTo(upstream.url, { connections: 1 });
    const client = await send(proxy, delivery(1));
    await expect.poll(() => upstream.heads.length).toBe(1);
    const [socket] = upstream.sockets;
    const closed = new Promise((resolve) => socket?.once('end', resolve).once('close', resolve));
    client.destroy();
    await closed;
    await untilAtRest(proxy);
    upstream.script((next) => next.write(OK));
    const next = await send(proxy, delivery(2));
    expect((await next.response()).status).toBe(200);
    next.destroy();
  });
});
