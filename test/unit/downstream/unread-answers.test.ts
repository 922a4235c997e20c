// Answers that nobody reads lie in the kernel, where Node does not see them: without a bound on their number a thousand
// of 1 MiB filled a container with 600 MiB.
import { once } from 'node:events';
import { connect, Socket } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ownAnswer } from '../../../src/core/answers.ts';
import type { Connection } from '../../../src/downstream/connection.ts';
import { Listener } from '../../../src/downstream/listener.ts';
import { UnreadAnswers } from '../../../src/downstream/unread-answers.ts';
import {
  connectionKey,
  greatestSendBuffer,
  lookAtQueues,
  peerKey,
  type SendQueues,
} from '../../../src/wire/socket-progress.ts';
import { LIMITS } from './fixtures.ts';

const onLinux = test.runIf(process.platform === 'linux');

const MOST = 4;
/** More than the client's kernel takes unread, less than what both kernels take: to Node it is sent. */
const LARGE = 'x'.repeat(1024 * 1024);
/** More than both take. */
const HUGE = LARGE.repeat(16);

let listener: Listener;
let port: number;
const clients: Socket[] = [];
beforeEach(async () => {
  listener = new Listener(
    { ...LIMITS, unreadAnswers: MOST },
    {
      onRequest: ({ reply, path }) => {
        if (path !== '/never') reply.sendOwn(ownAnswer(200, path === '/huge' ? HUGE : LARGE, []));
      },
      onRequestEnd() {},
    },
  );
  port = await listener.listen('127.0.0.1', 0);
});
afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
  listener.cutAll();
});

/** A client that asks and then reads, or does not. */
function ask(path: string, line = ''): Socket {
  const client = connect({ port, host: '127.0.0.1' });
  clients.push(client);
  client.on('error', () => {});
  client.write(`GET ${path} HTTP/1.1\r\nHost: h\r\n${line}\r\n`);
  return client;
}

/** Resolves once it has its answer. */
const untilRead = (reader: Socket) =>
  new Promise((resolve) => reader.on('data', () => reader.bytesRead > LARGE.length && resolve(null)));

const unread = async () => ofPort(port, await lookAtQueues({ remoteAddress: '127.0.0.1' })).length;

const ofPort = (local: number, queues: SendQueues) =>
  [...queues.keys()].filter((key) => key.split(' ')[1] === `${local}`);

onLinux('Not more of them stay than are allowed, and none of them hangs.', async () => {
  for (let asked = 0; asked < 3 * MOST; asked++) ask('/large').pause();
  await expect.poll(() => listener.connections).toBe(MOST);
  expect(listener.inFlight).toBe(0);
  await expect.poll(unread).toBe(MOST);
});

onLinux('Those whose answer was read stay, however many they are.', async () => {
  // One after another, since a busy machine may leave several of them without progress.
  const readers: Socket[] = [];
  for (let asked = 0; asked < 3 * MOST; asked++) {
    const reader = ask('/large');
    readers.push(reader);
    await untilRead(reader);
  }
  for (let asked = 0; asked < 2 * MOST; asked++) ask('/large').pause();
  await expect.poll(() => listener.connections).toBe(readers.length + MOST);
  expect(readers.every(({ destroyed }) => !destroyed)).toBe(true);
});

onLinux('One whose connection is closing counts, and does not outlive its end.', async () => {
  for (let asked = 0; asked < 3 * MOST; asked++) ask('/large', 'Connection: close\r\n').pause();
  await expect.poll(() => listener.connections).toBe(MOST);
  await expect.poll(unread).toBe(MOST);
  for (const client of clients) client.resume();
  await expect.poll(() => listener.connections).toBe(0);
  await expect.poll(unread).toBe(0);
});

onLinux('The queue of a connection is found by its ends, over IPv4 and IPv6.', async () => {
  for (const host of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) {
    const own = new Listener(
      { ...listener.limits, unreadAnswers: 100 },
      { onRequest: ({ reply }) => reply.sendOwn(ownAnswer(200, LARGE, [])), onRequestEnd() {} },
    );
    const ownPort = await own.listen(host === '::ffff:127.0.0.1' ? '::' : host, 0).catch(() => null);
    if (ownPort === null) continue; // a machine without IPv6
    const client = connect({ port: ownPort, host: host.replace('::ffff:', '') }).pause();
    clients.push(client);
    await once(client, 'connect');
    client.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    const key = peerKey(client);
    await expect.poll(() => own.connections).toBe(1);
    const [{ stream } = { stream: client }] = own.list();
    expect(connectionKey(stream)).toBe(key);
    await expect.poll(async () => ofPort(ownPort, await lookAtQueues(stream))).toEqual([key]);
    own.cutAll();
  }
});

onLinux('All queues are seen where there are more than one read of the table holds.', async () => {
  const most = 40;
  listener.cutAll();
  listener = new Listener({ ...LIMITS, unreadAnswers: most }, listener.handler);
  port = await listener.listen('127.0.0.1', 0);
  for (let asked = 0; asked < most; asked++) ask('/large').pause();
  await expect.poll(unread).toBe(most);
});

test('A reset while the half-close is under way still closes the connection.', async () => {
  const client = ask('/large').pause();
  await expect.poll(() => listener.connections).toBe(1);
  await expect.poll(() => listener.inFlight).toBe(0);
  const [connection] = listener.list();
  connection?.close();
  connection?.reset();
  await expect.poll(() => listener.connections).toBe(0);
  client.destroy();
});

test('Connections that have had many small answers, all of them read, are not reset.', async () => {
  const readers = Array.from({ length: 2 * MOST }, () => ask('/large'));
  await Promise.all(readers.map(untilRead));
  const ends: unknown[] = [];
  for (const reader of readers) reader.on('error', (error) => ends.push(error));
  for (const connection of listener.list()) connection.destroy();
  await expect.poll(() => readers.every(({ readableEnded, destroyed }) => readableEnded || destroyed)).toBe(true);
  expect(ends).toEqual([]);
});

onLinux('An answer that is cut while its client is behind leaves the kernel.', async () => {
  ask('/huge').pause();
  await expect.poll(unread).toBe(1);
  for (const connection of listener.list()) connection.destroy();
  await expect.poll(unread).toBe(0);
});

onLinux('So does one whose client asks again and departs.', async () => {
  const client = ask('/large').pause();
  await expect.poll(unread).toBe(1);
  client.end('GET /never HTTP/1.1\r\nHost: h\r\n\r\n');
  await expect.poll(() => listener.connections).toBe(0);
  await expect.poll(unread).toBe(0);
});

test('Less than an eighth of what may lie unread in all is not worth a look, nor are as many as may.', async () => {
  const least = (greatestSendBuffer() * MOST) / 8 / (MOST + 1);
  const progress = { mayBeUnread: true, unread: least - 1, readAt: 0, inKernel: 0, recordLook: vi.fn() };
  const one = { state: 'idle', since: 0, key: '', progress, stream: new Socket(), reset() {} } as unknown as Connection;
  const open = Array.from({ length: MOST + 1 }, () => one);
  const watch = (list: readonly Connection[]) => new UnreadAnswers(MOST, { list: () => list }).watch(0);
  watch(open);
  progress.unread = least * (MOST + 1);
  watch(open.slice(1));
  await lookAtQueues({});
  expect(progress.recordLook).not.toHaveBeenCalled();
  progress.unread = least + 1;
  watch(open);
  await expect.poll(() => progress.recordLook.mock.calls.length).toBe(open.length);
});
