// A client may have its whole answer before the proxy knows it. What it sends then is its next request: none of it is
// lost, it counts in the byte budget, and it waits for no longer than a second.
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { ByteBudget } from '../../../src/bodies/budget.ts';
import { ownAnswer } from '../../../src/core/answers.ts';
import { Listener } from '../../../src/downstream/listener.ts';
import { connectOver, LIMITS, limitsOver, type Over } from './fixtures.ts';

const KIB = 1024;
const MIB = KIB * KIB;
/** More than both kernels take: the proxy knows that its client has it only once that reads. */
const LARGE = 'x'.repeat(16 * MIB);
const FIRST = 'GET /large HTTP/1.1\r\nHost: h\r\n\r\n';
const SIZE = 60_000;
const NEXT = `POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: ${SIZE}\r\n\r\n${'n'.repeat(SIZE)}`;
/** What Node reads on once a socket is paused. */
const READ_AHEAD = 128 * KIB;
/** What one connection may hold: less than `maxHeader`, a read, and what Node reads on. */
const MOST = LIMITS.maxHeader + 64 * KIB + READ_AHEAD;

let listener: Listener;
let budget: ByteBudget;
const clients: Socket[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
  listener.cutAll();
});

/** A listener with this byte budget, and a client that has asked for an answer, does not read it, and sends `more`. */
async function start(over: Over, limit: number, more = NEXT): Promise<Socket> {
  budget = new ByteBudget(limit);
  listener = new Listener(
    limitsOver(over),
    {
      onRequest: ({ reply, path }) => reply.sendOwn(ownAnswer(200, path === '/large' ? LARGE : path, [])),
      onRequestEnd() {},
    },
    budget,
  );
  const client = await connectOver(over, await listener.listen('127.0.0.1', 0));
  clients.push(client);
  client.write(FIRST);
  await expect.poll(() => listener.list().some(({ exchange }) => exchange?.reply.allowsNext)).toBe(true);
  client.write(more);
  return client;
}

/** Reads on, up to the end of the connection. */
async function readAll(client: Socket): Promise<{ large: number; small: number }> {
  const pieces: Buffer[] = [];
  client.on('data', (piece: Buffer) => pieces.push(piece));
  await once(client, 'end');
  const text = Buffer.concat(pieces).toString('latin1');
  const [, ...answers] = text.split('HTTP/1.1 200 OK\r\n');
  return {
    large: answers.filter((answer) => answer.endsWith(LARGE)).length,
    small: answers.filter((answer) => answer.endsWith('/small')).length,
  };
}

/** Resolves once the next request is held, which then waits for longer than a second, as a busy machine may need. */
async function untilHeld(): Promise<void> {
  while (budget.used === 0) await nextTurn();
  onlyConnection().deadline = Number.POSITIVE_INFINITY;
}

const onlyConnection = () => {
  const [connection] = listener.list();
  if (connection === undefined) throw new Error('no connection');
  return connection;
};

describe.each(['TCP', 'TLS'] as const)('over %s', (over) => {
  test('whatever a client sends, no more is held than the budget counts, and that is bounded', async () => {
    await start(over, MIB, NEXT.repeat(40));
    await untilHeld();
    const { stream } = onlyConnection();
    await expect.poll(() => stream.readableLength).toBeGreaterThanOrEqual(stream.readableHighWaterMark);
    // Over TLS the bytes read are those on the wire, so some more than are held.
    expect(stream.bytesRead - FIRST.length).toBeLessThanOrEqual(budget.used);
    expect(stream.readableLength).toBeLessThanOrEqual(READ_AHEAD);
    expect(budget.used).toBeLessThanOrEqual(MOST);
  });

  test('a client that does not read its answer within a second is read again, and gets that answer alone', async () => {
    const client = await start(over, MIB);
    await expect.poll(() => budget.used).toBeGreaterThan(0);
    await expect.poll(() => onlyConnection().mustClose()).toBe(true);
    expect(budget.used).toBe(0);
    expect(onlyConnection().stream.isPaused()).toBe(false);
    expect(await readAll(client)).toEqual({ large: 1, small: 0 });
  });

  test('without room in the budget nothing is held, and the connection ends in order behind the answer', async () => {
    const client = await start(over, MOST - READ_AHEAD);
    while (!onlyConnection().mustClose()) {
      expect(budget.used).toBe(0);
      await sleep(1);
    }
    expect(await readAll(client)).toEqual({ large: 1, small: 0 });
  });

  test('a body that needs the room gets it', async () => {
    await start(over, MIB);
    await expect.poll(() => budget.used).toBeGreaterThan(0);
    const body = { buffered: 0, rate: () => Number.POSITIVE_INFINITY, fail() {} };
    expect(budget.reserve(budget.most, body)).toBe(true);
    expect(budget.used).toBe(budget.most);
    expect(onlyConnection().mustClose()).toBe(true);
  });

  test('a client that leaves meanwhile leaves nothing behind', async () => {
    const client = await start(over, MIB);
    await expect.poll(() => budget.used).toBeGreaterThan(0);
    client.destroy();
    await expect.poll(() => listener.connections).toBe(0);
    expect(budget.used).toBe(0);
  });
});
