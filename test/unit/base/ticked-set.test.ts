// Deadlines after the process stood still: suspended, or on a machine that was.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { TickedSet } from '../../../src/base/ticked-set.ts';
import { socketPair } from '../../support/machine/listening.ts';
import { standStill } from '../../support/machine/stand-still.ts';

/** Three ticks. */
const STANDSTILL_MS = 750;

function onTick(tick: (now: number) => void): void {
  const set = new TickedSet<{ tick(now: number): void }>();
  const member = { tick };
  set.add(member);
  onTestFinished(() => set.delete(member));
}

test('what came while the process stood still is read before a deadline is looked at', async () => {
  const [near, far] = await socketPair();
  const order: string[] = [];
  near.on('data', () => order.push('data'));
  onTick(() => order.push('tick'));
  // From here timers are due before sockets are read.
  await nextTurn();
  order.length = 0;
  far.write('an answer in time');
  standStill(STANDSTILL_MS);
  await expect.poll(() => order).toContain('tick');
  expect(order[0]).toBe('data');
});

test('a standstill between the timer of a tick and its checks makes nothing late', async () => {
  const times: number[] = [];
  onTick((now) => times.push(now));
  let stoodAt = 0;
  setTimeout(() => {
    stoodAt = performance.now();
    standStill(STANDSTILL_MS);
  }, 250);
  standStill(STANDSTILL_MS); // both timers are overdue then: they run in one turn, the one of the tick first
  await expect.poll(() => times).not.toEqual([]);
  expect(times[0]).toBeLessThanOrEqual(stoodAt);
});
