// WebSockets end with the proxy.
// Stopping with WebSockets open. Only their two ends know when they are done, so they get `grace` like any request and
// are cut when it ends. The exit code is still that of a clean stop.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openClient } from '../support/http/raw-client.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { startRawUpstream } from '../support/upstream/raw-upstream.ts';
import { AGREED, type EchoUpstream, echoed, handshake, openWebSocket, startEcho } from '../support/websocket/client.ts';

let proxy: RunningProxy;
let echo: EchoUpstream;
const url = () => `ws://127.0.0.1:${proxy.port}/live`;

beforeEach(async () => {
  echo = await startEcho(createServer(), { url: 'http://127.0.0.1' });
});
afterEach(async () => {
  await proxy?.stop();
  await echo?.close();
});

/** Longer than a test may take, so a stop that waits for it fails the test. */
const LONG = '2m';

async function start(upstream: string, grace = '1s'): Promise<void> {
  proxy = await startProxy({
    config: {
      upstream: { url: upstream },
      routes: [{ path: '/live', action: 'forward', upgrade: ['websocket'] }],
      shutdown: { delay: '0s', grace },
      log: { requests: 'all' },
    },
    secrets: { current: 'web-socket-secret-0123456789abcdef' },
  });
}

test('one that stays open is cut at the end of grace and counted; the exit code is 0', async () => {
  await start(echo.url, '3s');
  const webSocket = await openWebSocket(url());
  const closed = once(webSocket, 'close');
  proxy.signal('SIGTERM');
  await proxy.waitForLog(({ msg }) => msg === 'stopping');
  expect((await echoed(webSocket, 'still there')).toString()).toBe('still there');
  expect((await closed)[0]).toBe(1006);
  expect(await proxy.exited).toEqual({ code: 0, signal: null });
  expect(await proxy.waitForLog(({ cut }) => cut !== undefined)).toMatchObject({ level: 'warn', cut: 1 });
  await expect.poll(() => echo.sockets.size).toBe(0);
});

test('one that ends within grace ends the wait', async () => {
  await start(echo.url, LONG);
  const webSocket = await openWebSocket(url());
  proxy.signal('SIGTERM');
  await proxy.waitForLog(({ msg }) => msg === 'stopping');
  webSocket.close();
  expect(await proxy.exited).toEqual({ code: 0, signal: null });
  expect(proxy.logs().find(({ cut }) => cut !== undefined && cut !== 0)).toBeUndefined();
});

test('a client that reads nothing does not delay the stop', async () => {
  await start(echo.url);
  const deaf = await openClient({ port: proxy.port });
  await deaf.send(handshake('/live'));
  await deaf.bytes(AGREED.length);
  deaf.socket.pause();
  for (const upstream of echo.webSockets.clients) upstream.send(Buffer.alloc(32 * 1024 * 1024));
  proxy.signal('SIGTERM');
  expect(await proxy.exited).toEqual({ code: 0, signal: null });
  deaf.destroy();
});

test('an upstream that reads nothing and never closes does not delay the stop', async () => {
  const deaf = await startRawUpstream();
  deaf.script((socket) => {
    socket.write(AGREED);
    socket.pause();
  });
  await start(deaf.url);
  const client = await openClient({ port: proxy.port });
  await client.send(handshake('/live'));
  await client.bytes(AGREED.length);
  client.socket.write(Buffer.alloc(32 * 1024 * 1024));
  proxy.signal('SIGTERM');
  expect(await proxy.exited).toEqual({ code: 0, signal: null });
  client.destroy();
  await deaf.close();
});

test('during a drain they continue, and new ones are accepted', async () => {
  await start(echo.url);
  const webSocket = await openWebSocket(url());
  await fetch(`${proxy.adminUrl}/-/drain`, { method: 'POST' });
  const other = await openWebSocket(url());
  for (const one of [webSocket, other]) {
    expect((await echoed(one, 'x')).toString()).toBe('x');
    one.terminate();
  }
});
