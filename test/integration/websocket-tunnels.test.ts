// WebSockets through the proxy, with the `ws` package: what both ends see, what is recorded, how long a tunnel lives, and
// upstreams other than plain TCP. A stop gives their two ends `grace`, as any request, since only they know when they are done.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { describe, expect, test as plainTest } from 'vitest';
import { sendTo } from '../support/http/raw-client.ts';
import { test as base, eventually, starting } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { change, reload } from '../support/proxy/reloads.ts';
import { shared } from '../support/proxy/shared.ts';
import { enough } from '../support/runner/patience.ts';
import { createAuthority } from '../support/tls/certificates.ts';
import { AGREED, echoed, handshake, openWebSocket, startEcho } from '../support/websocket/client.ts';

const ROUTES = [
  { path: '/live', action: 'forward', upgrade: ['websocket'] },
  { path: '/ws/*', action: 'forward', upgrade: ['websocket'] },
];

const test = base
  /** As `startEcho`. */
  .extend('startEchoing', starting(startEcho))
  /** On a free loopback port. */
  .extend('echo', ({ startEchoing }) => startEchoing(createServer(), { url: 'http://127.0.0.1' }))
  .override(
    'proxyTo',
    ({ start }) =>
      ({ url }, config = {}, options = {}) =>
        start({ upstream: { url }, routes: ROUTES, log: { requests: 'all' }, ...config }, options),
  );

const liveOf = (proxy: RunningProxy) => `ws://127.0.0.1:${proxy.port}/live`;

const REQUESTS = 'entrupy_proxy_requests_total{route="/live",decision="forwarded",reason="none"}';

describe('with the ws package', () => {
  const on = shared(() => startEcho(createServer(), { url: 'http://127.0.0.1' }), {
    upstream: { retryConnectFor: '5m' }, // for 200 at once
    routes: ROUTES,
    log: { requests: 'all' },
  });

  plainTest('it is one request, recorded when the tunnel ends', async () => {
    const webSocket = await openWebSocket(liveOf(on.proxy));
    expect((await on.proxy.metrics()).get(REQUESTS)).toBe(0);
    webSocket.close();
    await once(webSocket, 'close');
    const line = await on.proxy.waitForLog(({ path }) => path === '/live');
    expect(line).toMatchObject({ method: 'GET', status: 101, decision: 'forwarded', reason: 'none' });
    const metrics = await on.proxy.metrics();
    expect(metrics.get(REQUESTS)).toBe(1);
    expect(metrics.get('entrupy_proxy_requests_in_flight')).toBe(0);
    expect(metrics.get('entrupy_proxy_upstream_responses_total{route="/live",code="1xx"}')).toBe(1);
  });

  plainTest('200 at once, more than there are upstream slots, leave slots for deliveries', async () => {
    const { proxy, upstream: echo } = on;
    await eventually(async () => (await proxy.metrics()).get('entrupy_proxy_connections'), 0);
    const webSockets = await Promise.all(Array.from({ length: 200 }, () => openWebSocket(liveOf(proxy))));
    const answers = await Promise.all(webSockets.map((webSocket, index) => echoed(webSocket, `number ${index}`)));
    expect(answers.map(String)).toEqual(webSockets.map((_, index) => `number ${index}`));
    const metrics = await proxy.metrics();
    expect(metrics.get('entrupy_proxy_requests_in_flight')).toBe(200);
    expect(metrics.get('entrupy_proxy_connections')).toBe(200);
    expect((await fetch(`${proxy.url}/live`)).status).toBe(426); // the echo server's response to a plain GET
    for (const webSocket of webSockets) webSocket.terminate();
    await Promise.all(webSockets.map((webSocket) => once(webSocket, 'close')));
    await expect.poll(() => echo.sockets.size).toBeLessThanOrEqual(1); // the kept-alive connection of the GET
  });
});

test.concurrent('half of the connections may be tunnels; one more gets 503 until one of them ends', async ({
  echo,
  proxyTo,
}) => {
  const proxy = await proxyTo(echo, { limits: { connections: 6 } });
  const open = () => openWebSocket(liveOf(proxy));
  const [first] = await Promise.all([open(), open(), open()]);
  await expect(open()).rejects.toThrow('503');
  first.terminate();
  await expect.poll(() => open().then(() => 'open', String)).toBe('open');
});

test.concurrent('a reload allows and forbids them; open ones outlive all limits', async ({ echo, proxyTo }) => {
  const routes = [{ path: '/live', action: 'forward' }];
  const config = {
    upstream: { url: echo.url, idleTimeout: '1s', responseTimeout: '1s', keepAlive: '1s' },
    limits: { connectionAge: '2s' },
    listen: { keepAlive: '2s' },
    routes,
  };
  // The variable chooses another code path of http-proxy-3, which changes nothing.
  const proxy = await proxyTo(echo, config, { env: { FORCE_FETCH_PATH: 'true' } });
  await expect(openWebSocket(liveOf(proxy))).rejects.toThrow('426');
  await reload(proxy, (text) => text.replace('action: forward', 'action: forward\n    upgrade: [websocket]'));
  const webSocket = await openWebSocket(liveOf(proxy));
  await change(proxy, () => ({ routes }));
  await expect(openWebSocket(liveOf(proxy))).rejects.toThrow('426');
  expect((await echoed(webSocket, 'still')).toString()).toBe('still');
  // A connection without a tunnel is ended meanwhile.
  const idle = await sendTo(proxy, 'GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n');
  await idle.rest();
  expect((await echoed(webSocket, 'alive')).toString()).toBe('alive');
  webSocket.terminate();
});

describe('to other upstreams', () => {
  test('over TLS on both sides, never with a name of the client’s', async ({ directory, startEchoing, proxyTo }) => {
    const authority = createAuthority(directory, 'ca');
    const { certFile, keyFile } = authority.issue('upstream', { names: ['DNS:app.internal', 'DNS:evil.example'] });
    const server = createTlsServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) });
    const asked: unknown[] = [];
    server.on('secureConnection', (socket) => asked.push(socket.servername));
    const echo = await startEchoing(server, { url: 'https://127.0.0.1' });
    const tls = { caFile: authority.caFile, serverName: 'app.internal' };
    const proxy = await proxyTo(echo, { upstream: { url: echo.url, tls }, listen: { tls: { certFile, keyFile } } });
    const client = {
      ca: readFileSync(authority.caFile),
      servername: 'app.internal',
      headers: { Host: 'evil.example' },
    };
    const url = liveOf(proxy).replace('ws:', 'wss:');
    const webSocket = await openWebSocket(url, client);
    expect((await echoed(webSocket, Buffer.alloc(100_000, 1))).length).toBe(100_000);
    expect(asked).toEqual(['app.internal']);
    webSocket.terminate();

    // With another name in its certificate: 502, and nothing is sent.
    const other = authority.issue('other', { names: ['DNS:evil.example'] });
    server.setSecureContext({ cert: readFileSync(other.certFile), key: readFileSync(other.keyFile) });
    await expect(openWebSocket(url, client)).rejects.toThrow('502');
    expect(asked).toHaveLength(1);
  });
});

/** Longer than a test may take, so a stop that waits for it fails the test. */
const LONG = '5m';
const within = (grace: string) => ({ shutdown: { delay: '0s', grace } });

test.concurrent('one that stays open is cut at grace’s end, whether both sides read or not', async ({
  echo,
  proxyTo,
}) => {
  const proxy = await proxyTo(echo, within(enough(2)));
  const deaf = await sendTo(proxy, handshake('/live'));
  await deaf.bytes(AGREED.length);
  deaf.socket.pause();
  for (const upstream of echo.webSockets.clients) upstream.send(Buffer.alloc(32 * 1024 * 1024));
  const webSocket = await openWebSocket(liveOf(proxy));
  const closed = once(webSocket, 'close');
  const known = new Set(echo.sockets);
  const pouring = await sendTo(proxy, handshake('/live'));
  await pouring.bytes(AGREED.length);
  for (const socket of echo.sockets) if (!known.has(socket)) socket.pause();
  pouring.socket.write(Buffer.alloc(32 * 1024 * 1024));
  proxy.signal('SIGTERM');
  await proxy.waitForLog(({ msg }) => msg === 'stopping');
  expect((await echoed(webSocket, 'still there')).toString()).toBe('still there');
  expect((await closed)[0]).toBe(1006);
  expect(await proxy.exited).toEqual({ code: 0, signal: null });
  expect(await proxy.waitForLog(({ cut }) => cut !== undefined)).toMatchObject({ level: 'warn', cut: 3 });
  expect(proxy.logs().at(-1)).toMatchObject({ msg: 'stopped', cut: 3 });
  for (const one of [deaf, pouring]) one.destroy();
  for (const socket of echo.sockets) socket.resume();
  await eventually(() => echo.sockets.size, 0);
});

test.concurrent('a drain keeps them, and accepts new ones; the last one ends the wait', async ({ echo, proxyTo }) => {
  const proxy = await proxyTo(echo, within(LONG));
  const webSocket = await openWebSocket(liveOf(proxy));
  await fetch(`${proxy.adminUrl}/-/drain`, { method: 'POST' });
  const other = await openWebSocket(liveOf(proxy));
  proxy.signal('SIGTERM');
  await proxy.waitForLog(({ msg }) => msg === 'stopping');
  for (const one of [webSocket, other]) {
    expect((await echoed(one, 'x')).toString()).toBe('x');
    one.close();
  }
  expect(await proxy.exited).toEqual({ code: 0, signal: null });
  expect(proxy.logs().find(({ cut }) => cut !== undefined && cut !== 0)).toBeUndefined();
});
