// Deadlines after the process stood still: suspended, or on a machine that was.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { TickedSet } from '../../../src/wire/connection-deadlines.ts';
import { socketPair } from '../../support/machine/listening.ts';

/** Three ticks. */
const STANDSTILL_MS = 750;

const standStill = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STANDSTILL_MS);

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
