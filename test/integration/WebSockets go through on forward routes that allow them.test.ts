// WebSockets through the proxy, with the `ws` package and as raw bytes. Only the handshake may be rewritten.

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import { createAuthority } from '../support/certificates.ts';
import { type LenientUpstream, startLenientUpstream } from '../support/lenient-upstream.ts';
import { type ProxyOptions, type RunningProxy, startProxy } from '../support/proxy.ts';
import { openClient } from '../support/raw-client.ts';
import { AGREED, type EchoUpstream, echoed, handshake, KEY, openWebSocket, startEcho } from '../support/web-socket.ts';

const ROUTES = [
  { path: '/live', action: 'forward', upgrade: ['websocket'] },
  { path: '/ws/*', action: 'forward', upgrade: ['websocket'] },
];
const REQUESTS = 'entrupy_proxy_requests_total{route="/live",decision="forwarded",reason="none"}';

let proxy: RunningProxy;
let echo: EchoUpstream;
let lenient: LenientUpstream;
const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(url: string, config: object = {}, more: Partial<ProxyOptions> = {}): Promise<void> {
  proxy = await startProxy({
    config: { upstream: { url }, routes: ROUTES, log: { requests: 'all' }, ...config },
    secrets: { current: 'web-socket-secret-0123456789abcdef' },
    ...more,
  });
  closers.push(proxy.stop);
}

async function startEchoing(): Promise<void> {
  echo = await startEcho(createServer(), { url: 'http://127.0.0.1' });
  closers.push(echo.close);
}

/** Resolves once the number has not changed for a second. */
async function untilSteady(read: () => number): Promise<void> {
  const seen: number[] = [];
  const steady = () => seen.push(read()) > 10 && new Set(seen.slice(-10)).size === 1;
  await expect.poll(steady, { interval: 100, timeout: 15_000 }).toBe(true);
}

const url = () => `ws://127.0.0.1:${proxy.port}/live`;

describe('with the ws package', () => {
  beforeEach(async () => {
    await startEchoing();
    await start(echo.url);
  });

  test('text and binary, both ways, until either side closes with its own code', async () => {
    const webSocket = await openWebSocket(url());
    expect((await echoed(webSocket, 'grüße')).toString()).toBe('grüße');
    expect(await echoed(webSocket, Buffer.from([0, 255, 13, 10]))).toEqual(Buffer.from([0, 255, 13, 10]));
    for (const upstream of echo.webSockets.clients) upstream.close(4321, 'enough');
    const [code, reason] = await once(webSocket, 'close');
    expect([code, String(reason)]).toEqual([4321, 'enough']);

    const other = await openWebSocket(url());
    const closed = once([...echo.webSockets.clients].at(-1) as WebSocket, 'close');
    other.close(4000, 'bye');
    expect((await closed)[0]).toBe(4000);
  });

  test('many frames of 1 MiB at once arrive whole and in order', async () => {
    const webSocket = await openWebSocket(url());
    const frames = Array.from({ length: 20 }, () => randomBytes(1024 * 1024));
    const back: Buffer[] = [];
    const all = new Promise<void>((resolve) => {
      webSocket.on('message', (frame: Buffer) => {
        if (back.push(frame) === frames.length) resolve();
      });
    });
    for (const frame of frames) webSocket.send(frame);
    await all;
    expect(Buffer.concat(back).equals(Buffer.concat(frames))).toBe(true);
    webSocket.terminate();
  });

  test('200 at once, more than there are upstream slots, leave slots for deliveries', async () => {
    const webSockets = await Promise.all(Array.from({ length: 200 }, () => openWebSocket(url())));
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

  test('the subprotocol and the extensions are what client and upstream agree on', async () => {
    const webSocket = await openWebSocket(url(), ['first', 'second']);
    expect(webSocket.protocol).toBe('second');
    expect(webSocket.extensions).toContain('permessage-deflate');
    expect((await echoed(webSocket, 'x'.repeat(50_000))).length).toBe(50_000);
    webSocket.terminate();
  });

  test('it is one request, recorded when the tunnel ends', async () => {
    const webSocket = await openWebSocket(url());
    expect((await proxy.metrics()).get(REQUESTS)).toBe(0);
    webSocket.close();
    await once(webSocket, 'close');
    const line = await proxy.waitForLog(({ path }) => path === '/live');
    expect(line).toMatchObject({ method: 'GET', status: 101, decision: 'forwarded', reason: 'none' });
    const metrics = await proxy.metrics();
    expect(metrics.get(REQUESTS)).toBe(1);
    expect(metrics.get('entrupy_proxy_requests_in_flight')).toBe(0);
    expect(metrics.get('entrupy_proxy_upstream_responses_total{route="/live",code="1xx"}')).toBe(1);
  });
});

describe('as raw bytes', () => {
  beforeEach(async () => {
    lenient = await startLenientUpstream();
    closers.push(lenient.close);
    lenient.answer(() => AGREED);
    await start(lenient.url);
  });

  test.each(['/live?', '/ws/./a//b/%2e/c%2Fd?x=1?&&y=%zz', '/ws/a;b=1/?'])(
    'the target %s arrives as sent',
    async (target) => {
      const client = await openClient({ port: proxy.port });
      await client.send(handshake(target));
      await client.bytes(AGREED.length);
      expect(lenient.seen.map(({ requestLine }) => requestLine)).toEqual([`GET ${target} HTTP/1.1`]);
      client.destroy();
    },
  );

  test('Host and every end-to-end header arrive as sent; hop-by-hop headers are dropped', async () => {
    const client = await openClient({ port: proxy.port });
    const sent = ['Host: h', 'X-Odd-CASE: \xe9', 'X-Twice: 1', 'X-Twice: 2', 'Cookie: a=1', 'Entrupy-Signature: x'];
    const hopByHop = ['TE: trailers', 'Keep-Alive: 5', 'Proxy-Connection: x', 'X-Named: 1', 'Connection: X-Named'];
    await client.send(handshake('/live', { lines: [...sent.slice(1), ...hopByHop] }));
    await client.bytes(AGREED.length);
    const own = ['Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${KEY}`, 'connection: Upgrade', 'upgrade: websocket'];
    expect([...(lenient.seen[0]?.lines ?? [])].sort()).toEqual([...sent, ...own].sort());
    client.destroy();
  });

  test('the headers of the 101 arrive as sent too', async () => {
    const lines = ['X-Odd-CASE: \xe9', 'Set-Cookie: a=1', 'Set-Cookie: b=2', 'Keep-Alive: 5', 'X-Empty: '];
    lenient.answer(() => (socket) => {
      socket.end(AGREED.replace('\r\n\r\n', `\r\n${lines.join('\r\n')}\r\n\r\nhello`), 'latin1');
    });
    const client = await openClient({ port: proxy.port });
    await client.send(handshake('/live'));
    const head = (await client.rest()).toString('latin1').split('\r\n');
    expect(head).toEqual(
      expect.arrayContaining(['X-Odd-CASE: \xe9', 'Set-Cookie: a=1', 'Set-Cookie: b=2', 'X-Empty: ']),
    );
    expect(head.some((line) => /^(?:keep-alive|date|server):/i.test(line))).toBe(false);
    expect(head.at(-1)).toBe('hello');
    client.destroy();
  });

  test('bytes sent with the handshake reach the upstream in order, once it has accepted', async () => {
    const got: Buffer[] = [];
    const agree = Promise.withResolvers<() => void>();
    lenient.answer(() => (socket) => {
      socket.removeAllListeners('data').on('data', (piece: Buffer) => got.push(piece));
      agree.resolve(() => socket.write(AGREED));
    });
    const client = await openClient({ port: proxy.port });
    await client.send(`${handshake('/live')}early, `);
    const now = await agree.promise;
    await client.send('later, ');
    expect(got).toEqual([]);
    now();
    await client.bytes(AGREED.length);
    await client.send('last');
    await expect.poll(() => Buffer.concat(got).toString()).toBe('early, later, last');
    client.destroy();
  });

  test('a client that sends more than maxHeader before the 101 gets no tunnel: bytes would be missing in it', async () => {
    const closed = Promise.withResolvers<void>();
    lenient.answer(() => (socket) => {
      socket.once('close', () => closed.resolve());
      socket.write(AGREED);
    });
    const client = await openClient({ port: proxy.port });
    // In one write, so that the proxy has read too much before it asks the upstream.
    await client.send(`${handshake('/live')}${'x'.repeat(32 * 1024)}`);
    await closed.promise;
    expect((await client.response()).status).toBe(400);
    expect(await client.rest()).toEqual(Buffer.alloc(0));
  });

  test('a connection that has carried other requests can upgrade', async () => {
    lenient.answer(({ lines }) =>
      lines.some((line) => /^upgrade/i.test(line)) ? AGREED : 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    );
    const client = await openClient({ port: proxy.port });
    await client.send('GET /live HTTP/1.1\r\nHost: h\r\n\r\n');
    expect((await client.response()).status).toBe(200);
    await client.send(handshake('/live'));
    expect((await client.bytes(AGREED.length)).toString()).toMatch(/^HTTP\/1\.1 101 /);
    client.destroy();
  });

  test.each(['WebSocket', 'WEBSOCKET'])('Upgrade: %s', async (spelling) => {
    const client = await openClient({ port: proxy.port });
    await client.send(handshake('/live').replace('Upgrade: websocket', `Upgrade: ${spelling}`));
    expect((await client.bytes(AGREED.length)).toString()).toMatch(/^HTTP\/1\.1 101 /);
    client.destroy();
  });

  test('a client that does not read slows the upstream down and does not fill our memory', async () => {
    const total = 256 * 1024 * 1024;
    const piece = Buffer.alloc(1024 * 1024);
    let sent = 0;
    lenient.answer(() => (socket) => {
      socket.write(AGREED);
      const more = () => {
        while (sent < total) {
          sent += piece.length;
          if (!socket.write(piece)) return void socket.once('drain', more);
        }
        socket.end();
      };
      more();
    });
    const client = await openClient({ port: proxy.port });
    await client.send(handshake('/live'));
    await client.bytes(AGREED.length);
    client.socket.pause();
    const before = await proxy.memory();
    await untilSteady(() => sent);
    expect(sent).toBeLessThan(64 * 1024 * 1024);
    expect((await proxy.memory()).peak - before.rss).toBeLessThan(48 * 1024 * 1024);
    client.destroy();
  });
});

describe('to other upstreams', () => {
  test('over a unix socket', async () => {
    const path = join(tmpdir(), `entrupy-ws-${process.pid}-${randomBytes(4).toString('hex')}.sock`);
    echo = await startEcho(createServer(), { url: `unix://${path}`, path });
    closers.push(echo.close);
    await start(echo.url);
    const webSocket = await openWebSocket(url());
    expect((await echoed(webSocket, 'unix')).toString()).toBe('unix');
    webSocket.terminate();
  });

  test('over TLS on both sides, never with a name that the client chose', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'entrupy-ws-'));
    closers.push(() => rm(directory, { recursive: true }));
    const authority = createAuthority(directory, 'ca');
    const { certFile, keyFile } = authority.issue('upstream', { names: ['DNS:app.internal', 'DNS:evil.example'] });
    const server = createTlsServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) });
    const asked: unknown[] = [];
    server.on('secureConnection', (socket) => asked.push(socket.servername));
    echo = await startEcho(server, { url: 'https://127.0.0.1' });
    closers.push(echo.close);
    const tls = { caFile: authority.caFile, serverName: 'app.internal' };
    await start(echo.url, { upstream: { url: echo.url, tls }, listen: { tls: { certFile, keyFile } } });
    const client = {
      ca: readFileSync(authority.caFile),
      servername: 'app.internal',
      headers: { Host: 'evil.example' },
    };
    const webSocket = await openWebSocket(url().replace('ws:', 'wss:'), [], client);
    expect((await echoed(webSocket, Buffer.alloc(100_000, 1))).length).toBe(100_000);
    expect(asked).toEqual(['app.internal']);
    webSocket.terminate();
  });

  test('over TLS with an unexpected certificate: 502, and nothing is sent', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'entrupy-ws-'));
    closers.push(() => rm(directory, { recursive: true }));
    const authority = createAuthority(directory, 'ca');
    const { certFile, keyFile } = authority.issue('upstream', { names: ['DNS:evil.example'] });
    const server = createTlsServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) });
    echo = await startEcho(server, { url: 'https://127.0.0.1' });
    closers.push(echo.close);
    const tls = { caFile: authority.caFile, serverName: 'app.internal' };
    await start(echo.url, { upstream: { url: echo.url, tls } });
    const client = await openClient({ port: proxy.port });
    await client.send(handshake('/live').replace('Host: h', 'Host: evil.example'));
    expect((await client.response()).status).toBe(502);
    client.destroy();
  });
});

test('a reload can allow and forbid them; open ones stay', async () => {
  await startEchoing();
  await start(echo.url, { routes: [{ path: '/live', action: 'forward' }] });
  await expect(openWebSocket(url())).rejects.toThrow('426');
  const text = readFileSync(proxy.configFile, 'utf8');
  await writeFile(proxy.configFile, text.replace('action: forward', 'action: forward\n    upgrade: [websocket]'));
  await fetch(`${proxy.adminUrl}/-/reload`, { method: 'POST' });
  const webSocket = await openWebSocket(url());
  await writeFile(proxy.configFile, text);
  await fetch(`${proxy.adminUrl}/-/reload`, { method: 'POST' });
  await expect(openWebSocket(url())).rejects.toThrow('426');
  expect((await echoed(webSocket, 'still')).toString()).toBe('still');
  webSocket.terminate();
});

test('FORCE_FETCH_PATH, which switches http-proxy-3 to another code path, changes nothing', async () => {
  await startEchoing();
  await start(echo.url, {}, { env: { FORCE_FETCH_PATH: 'true' } });
  const webSocket = await openWebSocket(url());
  expect((await echoed(webSocket, 'x')).toString()).toBe('x');
  webSocket.terminate();
});

test('a tunnel outlives limits.connectionAge, listen.keepAlive and the idle timeouts', async () => {
  await startEchoing();
  await start(echo.url, {
    upstream: { url: echo.url, idleTimeout: '200ms', responseTimeout: '200ms', keepAlive: '100ms' },
    limits: { connectionAge: '1s' },
    listen: { keepAlive: '1s' },
  });
  const webSocket = await openWebSocket(url());
  // A connection without a tunnel is ended meanwhile.
  const idle = await openClient({ port: proxy.port });
  await idle.send('GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n');
  await idle.rest();
  expect((await echoed(webSocket, 'alive')).toString()).toBe('alive');
  webSocket.terminate();
});
