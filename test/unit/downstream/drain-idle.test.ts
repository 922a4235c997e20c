// A close that crosses a request loses it: an idle connection ends when its next request is least likely, and never with
// one that has arrived but is not read yet, as when the process stood still.
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ownAnswer } from '../../../src/core/answers.ts';
import { isIdle, leastLikely } from '../../../src/downstream/drain-idle.ts';
import { Listener } from '../../../src/downstream/listener.ts';
import { standStill } from '../../support/machine/stand-still.ts';
import { connectOver, limitsOver, type Over } from './fixtures.ts';

const CLIENTS = 20;
const REQUEST = 'GET /open HTTP/1.1\r\nHost: h\r\n\r\n';
/** Milliseconds. */
const DELAY = 200;
/** Long enough for a slow machine to come between two ends. */
const LONG_DELAY = 5000;

describe('leastLikely', () => {
  const since = (milliseconds: number) => ({ since: milliseconds });

  test.for([
    ['two', 2, [1, 2]],
    ['more than there are', 9, [1, 2, 3, 4, 5]],
    ['none', 0, []],
  ] as const)('takes neither the newest nor, while it can, the oldest: %s of five', ([, count, chosen]) => {
    const idle = [since(3), since(5), since(1), since(2), since(4)];
    expect(leastLikely(idle, count).map((connection) => connection.since)).toEqual(chosen);
  });
});

test.for([
  ['idle', 9999, true],
  ['silent', 8999, true],
  ['silent', 9001, false],
  ['tls', 0, false],
  ['request', 0, false],
] as const)('%s since %i ms, at 10000 ms: counts as idle: %s', ([state, since, counts]) => {
  expect(isIdle({ state, since }, 10_000)).toBe(counts);
});

let listener: Listener;
let clients: readonly Client[];

/** A connection, and all that has come on it. */
interface Client {
  readonly socket: Socket;
  readonly ended: Promise<unknown>;
  received: string;
}

async function open(over: Over, port: number): Promise<Client> {
  const socket = await connectOver(over, port);
  const client: Client = { socket, ended: once(socket, 'end'), received: '' };
  client.ended.catch(() => {});
  socket.on('data', (piece) => {
    client.received += piece;
  });
  return client;
}

const states = () => new Set(listener.list().map(({ state }) => state));

/** A listener with idle clients, each of which has had one request. */
async function start(over: Over): Promise<void> {
  listener = new Listener(limitsOver(over), {
    onRequest: ({ reply }) => reply.sendOwn(ownAnswer(200, 'served', [])),
    onRequestEnd() {},
  });
  const port = await listener.listen('127.0.0.1', 0);
  clients = await Promise.all(Array.from({ length: CLIENTS }, () => open(over, port)));
  for (const { socket } of clients) socket.write(REQUEST);
  await expect.poll(() => clients.every(({ received }) => received.endsWith('served'))).toBe(true);
  await expect.poll(states).toEqual(new Set(['idle']));
}

function end(): void {
  for (const { socket } of clients) socket.destroy();
  listener.cutAll();
}

/**
 * Each client sends a request, and the proxy's event loop stands still for so long that its timers are overdue. Before it
 * looks at its sockets again it runs those.
 */
function askAndStandStill(milliseconds: number): void {
  for (const client of clients) {
    client.received = '';
    client.socket.write(REQUEST);
  }
  standStill(milliseconds);
}

/** Until the clients have seen each end that the listener has begun. Those that have not ended stay in `clients`. */
async function untilClientsKnow(): Promise<void> {
  const isOpen = ({ socket }: Client) => !socket.readableEnded;
  const idle = () => listener.list().filter(({ state }) => state === 'idle');
  while (idle().length < clients.filter(isOpen).length) await nextTurn();
  clients = clients.filter(isOpen);
}

async function expectAllServed(): Promise<void> {
  await expect
    .poll(() => clients.map(({ received }) => received.endsWith('served')))
    .toEqual(Array(clients.length).fill(true));
}

describe.for(['TCP', 'TLS'] as const)(
  '%s: requests that came while the process stood still are answered, in spite of',
  (over) => {
    beforeEach(() => start(over));
    afterEach(end);

    test('the late part of a drain', async () => {
      let delay = LONG_DELAY;
      const drain = async () => {
        listener.startDraining(delay);
        await Promise.race(clients.map(({ ended }) => ended));
        await untilClientsKnow();
      };
      await drain();
      // On a busy machine the late part may be over before this test goes on.
      for (; clients.length === 0; await drain()) {
        end();
        await start(over);
        delay *= 2;
      }
      askAndStandStill(delay * 0.4);
      await expectAllServed();
      for (const { received } of clients) expect(received).toContain('Connection: close\r\n');
      await Promise.all(clients.map(({ ended }) => ended));
    });

    test('the end of the keep-alive time', async () => {
      // In one turn, so that none ends before its client has asked: the checks of this turn are as of an earlier time.
      await nextTurn();
      for (const connection of listener.list()) connection.deadline = performance.now();
      askAndStandStill(500);
      await expectAllServed();
    });

    test('the stop', async () => {
      const stopped = listener.stopAccepting();
      while (listener.port !== 0) await nextTurn();
      askAndStandStill(500);
      await expectAllServed();
      await stopped;
    });
  },
);

describe('A drain', () => {
  beforeEach(() => start('TCP'));
  afterEach(end);

  test('all idle connections have ended by the end of the delay', async () => {
    listener.startDraining(DELAY);
    await Promise.all(clients.map(({ ended }) => ended));
  });
});
