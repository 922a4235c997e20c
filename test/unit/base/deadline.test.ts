// A deadline that passed while the process stood still. And many askers share what is costly to make: nobody gets an old
// one.
import { expect, test } from 'vitest';
import { deadline, onePerTurn } from '../../../src/base/deadline.ts';
import { socketPair } from '../../support/machine/listening.ts';
import { standStill } from '../../support/machine/stand-still.ts';

test('what came while the process stood still is read before a deadline that passed meanwhile', async () => {
  const [client, accepted] = await socketPair();
  const { promise, resolve } = Promise.withResolvers<string>();
  const cancel = deadline(10, () => resolve('over'));
  client.once('data', () => {
    cancel();
    resolve('read');
  });
  accepted.write('answer');
  standStill(50);
  expect(await promise).toBe('read');
});

function counted() {
  let made = 0;
  return () => ++made;
}

test('it is made after the last of them has asked', async () => {
  let state = 'before';
  const ask = onePerTurn(() => state);
  const asked = ask();
  state = 'after';
  expect(await Promise.all([asked, ask()])).toEqual(['after', 'after']);
});

test('those who ask while one is being made share the next, which begins when it is done', async () => {
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const count = counted();
  const ask = onePerTurn(async () => {
    begun.resolve();
    await gate.promise;
    return count();
  });
  const first = ask();
  await begun.promise;
  const later = [ask(), ask()];
  gate.resolve();
  expect([await first, ...(await Promise.all(later))]).toEqual([1, 2, 2]);
});

test('a failure is told to all who asked, and to nobody after them', async () => {
  const count = counted();
  const ask = onePerTurn(() => {
    if (count() === 1) throw new Error('broken');
    return 'made';
  });
  expect(await Promise.allSettled([ask(), ask()])).toMatchObject([
    { reason: { message: 'broken' } },
    { status: 'rejected' },
  ]);
  expect(await ask()).toBe('made');
});
