// No permit, no upstream: enforced at run time too, for values cast past the compiler. And which sockets carry what.

import { once } from 'node:events';
import { createServer, Socket } from 'node:net';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { type Permit, permitForward } from '../../../src/core/permit.ts';
import type { Exchange } from '../../../src/downstream/client-exchange.ts';
import type { SlotUser } from '../../../src/upstream/limiter.ts';
import type { Upstream } from '../../../src/upstream/upstream.ts';
import type { UpstreamConnection } from '../../../src/upstream/upstream-connection.ts';
import { UpstreamExchange } from '../../../src/upstream/upstream-exchange.ts';
import { testDirectory } from '../../support/machine/files.ts';
import { listening } from '../../support/machine/listening.ts';
import { waitFor } from '../../support/runner/wait-for.ts';
import { OK } from '../../support/upstream/lenient-upstream.ts';
import { AGREED, KEY } from '../../support/websocket/client.ts';
import { head } from '../core/fixtures.ts';
import { forwardOptions, LIVE, requesterOf, send, sink, startApp, upstreamAt } from './fixtures.ts';

test.each([
  ['none', null],
  ['an object shaped like a permit', { ...permitForward(LIVE), decision: 'accepted' }],
])('no request is sent with %s', async (_what, permit) => {
  const { app, upstream } = await startApp();
  const sendForged = () => new UpstreamExchange(permit as Permit, {} as Exchange, upstream, forwardOptions());
  expect(sendForged).toThrow('no permit');
  expect(await upstream.tryConnect(1000)).toBe(null);
  expect(app.seen).toEqual([]);
});

test('a permit to forward a request opens no tunnel, also where the upstream accepts a handshake', async () => {
  const { app, upstream } = await startApp();
  app.script((socket) => socket.write(AGREED));
  const lines = ['Host', 'h', 'Upgrade', 'websocket', 'Connection', 'Upgrade', 'Sec-WebSocket-Key', KEY];
  const handOver = vi.fn(() => 'dropped' as const);
  const requester = {
    ...requesterOf(head({ method: 'GET', lines })),
    clientConnection: { stream: new Socket(), handOver },
  };
  const { failure } = await send(upstream, { requester, lines }).end;
  expect(failure).toMatchObject({ cause: 'protocol' });
  expect(handOver).not.toHaveBeenCalled();
});

test('a socket that was in use while the TLS files changed is not used again', async () => {
  const { app, upstream } = await startApp();
  const used = new Set<Socket>();
  app.script((socket) => {
    used.add(socket);
    upstream.pool.replaceTls({ servername: `change ${used.size}` });
    socket.write(OK);
  });
  for (let sent = 0; sent < 2; sent++) await send(upstream, { patience: 5000 }).end;
  expect(used.size).toBe(2);
});

test('a request that finds no connection in its time has given its body to no socket', async () => {
  const { end } = send(upstreamAt('http://127.0.0.1:1'), { patience: 50 });
  expect(await end).toMatchObject({ failure: { cause: 'connect' }, memory: 'free' });
});

test('a request that was given up while its socket opened is never sent', async () => {
  const { app, upstream } = await startApp();
  app.script((socket) => socket.write(OK));
  const gone = send(upstream, { patience: 5000 });
  gone.exchange.evict();
  expect(await gone.end).toMatchObject({ failure: { side: 'client', reason: 'overloaded' }, memory: 'free' });
  await send(upstream, { patience: 5000 }).end;
  expect(app.seen).toHaveLength(1);
});

/** Bytes that are read from the upstream at once. */
const ONE_READ = 64 * 1024;

test('a request that waits for the socket of another does not get what the next read finds behind its answer', async () => {
  const { app, upstream } = await startApp(join(await testDirectory(), 'app'));
  const answer = `HTTP/1.1 200 OK\r\nContent-Length: ${ONE_READ - 42}\r\n\r\n`.padEnd(ONE_READ, 'x');
  const used = new Set<Socket>();
  app.script((socket) => {
    const late = 'HTTP/1.1 500 Late\r\nContent-Length: 0\r\n\r\n';
    socket.write(used.size === 0 ? `${answer}${late}` : OK);
    used.add(socket);
  });
  const statuses: number[] = [];
  const reply = () => sink({ begin: ({ status }) => statuses.push(status) });
  const ends = [0, 1].map(() => send(upstream, { reply: reply(), patience: 5000 }).end);
  await Promise.all(ends);
  expect([statuses, used.size]).toEqual([[200, 200], 2]);
});

/** An open connection that nothing uses, and the upstream's end of it. */
async function unused(upstream: Upstream) {
  const connection = upstream.pool.open('verified', 'requests');
  await new Promise<unknown>((onOpen) => {
    connection.user = { onOpen, onData() {}, onEnd() {}, onClose() {}, tick() {} };
  });
  connection.user = null;
  return connection;
}

test('an idle socket is closed once the upstream ends its side', async () => {
  const { app, upstream } = await startApp();
  const { socket } = await unused(upstream);
  await waitFor(() => {
    for (const other of app.sockets()) other.end();
    expect(socket.destroyed).toBe(true);
  });
});

test.each<[string, boolean, (connection: UpstreamConnection) => unknown]>([
  ['nothing is left to do', true, () => {}],
  ['is paused', false, ({ socket }) => socket.pause()],
  ['has something to write', false, ({ socket }) => socket.write(Buffer.alloc(32 * 1024 * 1024))],
  ['has a user', false, (connection) => Object.assign(connection, { user: { onClose() {} } })],
  ['is within a message', false, ({ parser }) => parser.read(Buffer.from('H'), 0)],
  ['is behind a message', false, ({ parser }) => parser.read(Buffer.from(OK), 0)],
  ['has ended', false, ({ socket }) => socket.destroy()],
])('a socket on which %s becomes idle: %s', async (_what, becomes, change) => {
  const { upstream } = await startApp();
  const connection = await unused(upstream);
  change(connection);
  upstream.pool.release(connection, performance.now());
  expect(upstream.pool.acquire('verified', performance.now()) === connection).toBe(becomes);
  expect(connection.socket.destroyed).toBe(!becomes);
});

test('what an upstream wrote while its socket was paused is no answer to the next request', async () => {
  const server = createServer((socket) => socket.write(OK));
  const { port, close } = await listening(server);
  onTestFinished(close);
  const upstream = upstreamAt(`http://127.0.0.1:${port}`);
  const written = once(server, 'connection');
  const connection = upstream.pool.open('verified', 'requests');
  connection.socket.pause();
  await Promise.all([written, once(connection.socket, 'connect')]);
  const first = waiter({});
  upstream.acquireSlot(first);
  const next = new Promise((resolve) => {
    const acquired = () => resolve(upstream.pool.acquire('verified', performance.now()));
    upstream.acquireSlot(waiter({ acquired, patience: 5000 }));
  });
  upstream.release(first, connection);
  expect(await next).toBe(null);
});

const waiter = (changes: Partial<SlotUser>): SlotUser => ({
  ...{ place: -1, kind: 'verified', startedAt: performance.now(), patience: 0 },
  ...{ acquired() {}, stalledFor: () => 0, evict() {}, giveUp() {} },
  ...changes,
});

test('the socket of a tunnel ends with a failed write, also while its client reads nothing', async () => {
  const { app, upstream } = await startApp();
  const mib = Buffer.alloc(1024 * 1024);
  app.script((socket) => socket.write(mib));
  const connection = upstream.pool.open('unverified', 'tunnel');
  upstream.pool.detach(connection);
  const { socket } = connection;
  socket.write('GET / HTTP/1.1\r\n\r\n');
  await expect.poll(() => socket.readableLength).toBeGreaterThanOrEqual(socket.readableHighWaterMark);
  for (const other of app.sockets()) other.resetAndDestroy(); // which nothing reads
  await waitFor(() => {
    socket.write('x');
    expect(socket.destroyed).toBe(true);
  });
});

const HOUR_MS = 3_600_000;

test('an upstream that takes nothing is given up only once looks at the queue of the kernel have shown it', async () => {
  const begun = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    socket
      .on('error', () => {})
      .once('data', () => {
        socket.pause();
        begun.resolve();
      });
  });
  const { port, close } = await listening(server);
  const upstream = upstreamAt(`http://127.0.0.1:${port}`);
  onTestFinished(close);
  const lines = ['Host', 'h', 'X-Long', 'x'.repeat(16 * 1024 * 1024)];
  const onEnd = vi.fn();
  const { exchange, end } = send(upstream, { lines, idleTimeout: HOUR_MS });
  void end.then(onEnd);
  await begun.promise;
  let now = performance.now();
  const tick = () => {
    now += 2 * HOUR_MS;
    exchange.tick(now);
  };
  for (let ticks = 0; ticks < 5; ticks++) tick(); // without a pause in which a look could end
  await nextTurn();
  expect(onEnd).not.toHaveBeenCalled();
  await waitFor(() => {
    tick();
    expect(onEnd).toHaveBeenCalled();
  });
  expect((await end).failure).toMatchObject({ cause: 'timeout' });
});
