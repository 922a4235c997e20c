// A body that streams: it ends once, and the byte budget counts what it holds while it waits for a slot.
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test, vi } from 'vitest';
import { ByteBudget } from '../../../src/bodies/budget.ts';
import { type BodyExchange, StreamedBody } from '../../../src/upstream/streamed-body.ts';
import type { ConnectionUser, UpstreamConnection } from '../../../src/upstream/upstream-connection.ts';
import { listening } from '../../support/machine/listening.ts';
import { head } from '../core/fixtures.ts';
import { forwardOptions, requesterOf, upstreamAt } from './fixtures.ts';

const KIB = 1024;
const CHUNKED = 'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n';
/** Bytes after which a body asks for a slot. */
const ENOUGH = 16 * KIB;

/** A body that asks `exchange` for a slot. No test waits as long as it may. */
function streamed(changes: Partial<BodyExchange>, budget = new ByteBudget(1024 * KIB)): StreamedBody {
  const exchange: BodyExchange = {
    startedAt: performance.now(),
    giveUp() {},
    askForSlot() {},
    written() {},
    ...changes,
  };
  const body = new StreamedBody(requesterOf(head({})), exchange, forwardOptions({ budget }));
  onTestFinished(() => body.stop());
  body.askWithin(60_000);
  return body;
}

function give(body: StreamedBody, bytes: number, state: 'body' | 'ended'): void {
  body.receive({ piece: Buffer.alloc(bytes, 'x'), pieces: 1, state, trailers: [] });
}

/** An open connection, and all that the app gets by it. */
async function connect(): Promise<{ connection: UpstreamConnection; arrived: Promise<string> }> {
  const app = createServer();
  const { port, close } = await listening(app);
  onTestFinished(close);
  const arrived = once(app, 'connection').then(([socket]) => text(socket as Socket));
  const connection = upstreamAt(`http://127.0.0.1:${port}`).pool.open('unverified', 'requests');
  await new Promise<unknown>((onOpen) => {
    const user: ConnectionUser = { onOpen, onData() {}, onEnd() {}, onClose() {}, tick() {} };
    connection.user = user;
  });
  return { connection, arrived };
}

test('a body that gets its slot as its last piece comes ends once', async () => {
  const { connection, arrived } = await connect();
  const written = vi.fn();
  const body = streamed({
    written,
    askForSlot: () => {
      connection.writer.head(CHUNKED, 'chunked');
      body.sendOn(connection);
    },
  });
  give(body, ENOUGH, 'ended');
  expect(written).toHaveBeenCalledOnce();
  connection.socket.end();
  expect(await arrived).toBe(`${CHUNKED}4000\r\n${'x'.repeat(ENOUGH)}\r\n0\r\n\r\n`);
});

test('a body that comes in steps needs no more room than its bytes', () => {
  const budget = new ByteBudget(ENOUGH);
  const giveUp = vi.fn();
  const body = streamed({ giveUp }, budget);
  for (let step = 0; step < 16; step++) give(body, KIB, 'body');
  expect(giveUp).not.toHaveBeenCalled();
  expect(budget.used).toBe(ENOUGH);
  give(body, 1, 'body');
  expect(giveUp).toHaveBeenCalled();
  expect(budget.used).toBe(0);
});

test('a body of a large piece behind a small one gives all of its room back', () => {
  const budget = new ByteBudget(1024 * KIB);
  const body = streamed({}, budget);
  give(body, KIB, 'body');
  give(body, 64 * KIB, 'body');
  expect(budget.used).toBe(65 * KIB);
  body.stop();
  expect(budget.used).toBe(0);
  const large = { buffered: 0, rate: () => 0, fail() {} };
  expect(budget.reserve(budget.most, large)).toBe(true);
  expect(budget.reserve(65 * KIB, large)).toBe(false);
});
