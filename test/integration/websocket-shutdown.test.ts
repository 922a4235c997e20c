// Stopping with WebSockets open. Only their two ends know when they are done, so they get `grace` like any request and
// are cut when it ends. The exit code is still that of a clean stop.
import { once } from 'node:events';
import { expect } from 'vitest';
import { sendTo } from '../support/http/raw-client.ts';
import { AGREED, echoed, handshake, openWebSocket } from '../support/websocket/client.ts';
import { liveOf, test } from '../support/websocket/tunnels.ts';

/** Longer than a test may take, so a stop that waits for it fails the test. */
const LONG = '2m';
const within = (grace: string) => ({ shutdown: { delay: '0s', grace } });

test('one that stays open is cut at the end of grace and counted, whether it reads or not', async ({
  echo,
  proxyTo,
}) => {
  const proxy = await proxyTo(echo, within('3s'));
  const deaf = await sendTo(proxy, handshake('/live'));
  await deaf.bytes(AGREED.length);
  deaf.socket.pause();
  for (const upstream of echo.webSockets.clients) upstream.send(Buffer.alloc(32 * 1024 * 1024));
  const webSocket = await openWebSocket(liveOf(proxy));
  const closed = once(webSocket, 'close');
  proxy.signal('SIGTERM');
  await proxy.waitForLog(({ msg }) => msg === 'stopping');
  expect((await echoed(webSocket, 'still there')).toString()).toBe('still there');
  expect((await closed)[0]).toBe(1006);
  expect(await proxy.exited).toEqual({ code: 0, signal: null });
  expect(await proxy.waitForLog(({ cut }) => cut !== undefined)).toMatchObject({ level: 'warn', cut: 2 });
  await expect.poll(() => echo.sockets.size).toBe(0);
  deaf.destroy();
});

test('during a drain they continue, and new ones are accepted; those that end within grace end the wait', async ({
  echo,
  proxyTo,
}) => {
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

test('an upstream that reads nothing and never closes does not delay the stop', async ({ raw, proxyTo }) => {
  raw.script((socket) => {
    socket.write(AGREED);
    socket.pause();
  });
  const proxy = await proxyTo(raw, within('1s'));
  const client = await sendTo(proxy, handshake('/live'));
  await client.bytes(AGREED.length);
  client.socket.write(Buffer.alloc(32 * 1024 * 1024));
  proxy.signal('SIGTERM');
  expect(await proxy.exited).toEqual({ code: 0, signal: null });
  client.destroy();
});
