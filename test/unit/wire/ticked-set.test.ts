// Deadlines after the process stood still: suspended, or on a machine that was.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { TickedSet } from '../../../src/wire/connections.ts';

/** Three ticks. */
const STANDSTILL_MS = 750;

const standStill = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STANDSTILL_MS);

async function socketPair(): Promise<[Socket, Socket]> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [far] = (await once(server, 'connection')) as [Socket];
  onTestFinished(() => {
    for (const socket of [near, far]) socket.destroy();
    server.close();
  });
  return [near, far];
}

function tickedBy(order: string[]): TickedSet<{ tick(): void }> {
  const set = new TickedSet<{ tick(): void }>();
  const member = { tick: () => void order.push('tick') };
  set.add(member);
  onTestFinished(() => set.delete(member));
  return set;
}

test('what came while the process stood still is read before a deadline is looked at', async () => {
  const [near, far] = await socketPair();
  const order: string[] = [];
  near.on('data', () => order.push('data'));
  tickedBy(order);
  // From here timers are due before sockets are read.
  await nextTurn();
  order.length = 0;
  far.write('an answer in time');
  standStill();
  await expect.poll(() => order).toContain('tick');
  expect(order[0]).toBe('data');
});
