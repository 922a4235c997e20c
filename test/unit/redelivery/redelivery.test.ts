// What redelivery does while its store hangs, its memory is spent, or an equal event comes.
import { mkdir, readdir, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Deferrable } from '../../../src/redelivery/failure-edge.ts';
import type { Redelivery } from '../../../src/redelivery/redelivery.ts';
import { eventually } from '../../support/proxy/proxied.ts';
import type { App } from '../../support/redelivery/redelivery.ts';
import { policyOf, test, VALUE } from './fixtures.ts';

test('a client waits for a store that hangs no longer than a second, and what is stored late is sent', async ({
  app,
  start,
  delivery,
}) => {
  const hung = Promise.withResolvers<void>();
  const redelivery = await start((store) => ({
    add: async (...given) => {
      await hung.promise;
      return store.add(...given);
    },
  }));
  expect(await redelivery.defer(delivery('event'), '500')).toBe('passes');
  expect(redelivery.failures).toBe(1);
  hung.resolve();
  await eventually(() => app.bodies(), ['event']);
});

test('a store that hangs holds a quarter of the budget at most, from the first, and the budget counts it', async ({
  app,
  budget,
  start,
  delivery,
}) => {
  const hung = Promise.withResolvers<void>();
  let calls = 0;
  const redelivery = await start((store) => ({
    add: async (...given) => {
      calls++;
      await hung.promise;
      return store.add(...given);
    },
  }));
  const large = ['a', 'b', 'c', 'd'].map((each) => each.repeat(budget.limit / 8));
  const told = await Promise.all(large.map((each) => redelivery.defer(delivery(each), '500')));
  expect(told).toEqual(Array(4).fill('passes'));
  expect([calls, redelivery.failures, budget.used]).toEqual([2, 4, budget.limit / 4]);
  expect(await redelivery.defer(delivery('small'), '500')).toBe('passes');
  expect([calls, redelivery.failures, budget.used]).toEqual([2, 5, budget.limit / 4]);
  hung.resolve();
  await eventually(() => app.bodies().sort(), large.slice(0, 2));
  expect(await redelivery.defer(delivery('small'), '500')).toBe('stored');
  await eventually(() => budget.used, 0);
});

test('bodies at work stay within a quarter of the budget, and wait while fresh ones need it all', async ({
  app,
  budget,
  start,
  delivery,
}) => {
  const redelivery = await start(() => ({}));
  const texts = Array.from({ length: 9 }, (_, at) => `${at}`.padEnd(100_000));
  const used: number[] = [];
  app.answer = () => (_request, response) => {
    used.push(budget.used);
    setTimeout(() => response.end('ok'), 20);
  };
  const fresh = budget.limit / 2;
  budget.reserveSpare(fresh);
  budget.limit = fresh + 4096;
  for (const text of texts) expect(await redelivery.defer(delivery(text), '500')).toBe('stored');
  expect(redelivery.deliverNow(null)).toBe(texts.length);
  expect(budget.used).toBe(fresh);
  budget.limit = 1_048_576;
  budget.release(fresh);
  await eventually(() => redelivery.totals().waiting.deliveries, 0);
  expect(new Set(app.bodies())).toEqual(new Set(texts));
  expect(Math.max(...used)).toBeLessThanOrEqual(budget.limit / 4);
  expect(budget.used).toBe(0);
});

/** Stores it, and waits until the app has failed to take it once more. */
async function deferAndFail(
  { app, redelivery }: { app: App; redelivery: Redelivery },
  event: Deferrable,
): Promise<void> {
  app.answer = () => 500;
  expect(await redelivery.defer(event, '500')).toBe('stored');
  const tried = () => [...redelivery.list()].map(({ attempts, busy }) => attempts > 0 && !busy);
  await eventually(tried, [true]);
}

test('what was taken, and whose removal fails, does not stand for an equal event that comes', async ({
  app,
  results,
  start,
  delivery,
}) => {
  let fails = true;
  const redelivery = await start((store) => ({
    remove: async (claim) => {
      if (fails) throw new Error('not now');
      return store.remove(claim);
    },
  }));
  expect(await redelivery.defer(delivery('event'), '500')).toBe('stored');
  await eventually(() => redelivery.failures, 1);
  expect(app.requests).toHaveLength(1);
  expect(await redelivery.defer(delivery('event'), '500')).toBe('stored');
  fails = false;
  await eventually(() => redelivery.totals().waiting.deliveries, 0);
  expect(app.requests).toHaveLength(2);
  expect(results).toEqual(['delivered', 'delivered']);
});

test('what a removed secret verified does not stand for an equal event that comes', async ({
  app,
  results,
  rules,
  start,
  delivery,
}) => {
  const other = 'redelivery-secret-of-another-one';
  rules.policy = policyOf(['current', VALUE], ['other', other]);
  const redelivery = await start(() => ({}));
  await deferAndFail({ app, redelivery }, delivery('event'));
  rules.policy = policyOf(['other', other]);
  expect(await redelivery.defer(delivery('event', { value: other }), '500')).toBe('stored');
  app.answer = () => 200;
  redelivery.deliverNow(null);
  await eventually(() => results, ['delivered']);
});

test('what has spent much of its window does not stand for an equal event that comes', async ({
  app,
  budget,
  start,
  delivery,
}) => {
  const redelivery = await start(() => ({}));
  await deferAndFail({ app, redelivery }, delivery('event', { age: 3_000_000 }));
  const fresh = delivery('event');
  expect(await redelivery.defer(fresh, '500')).toBe('stored');
  expect([...redelivery.list()].map(({ at }) => at)).toEqual([fresh.at]);
  // That one has all of its own before it.
  await eventually(() => [...redelivery.list()].map(({ attempts, busy }) => attempts > 0 && !busy), [true]);
  expect(await redelivery.defer(delivery('event'), '500')).toBe('stored');
  expect([...redelivery.list()].map(({ at }) => at)).toEqual([fresh.at]);
  expect(budget.used).toBe(0);
});

test('what is dropped just as an equal event comes is counted, and that one is stored', async ({
  directory,
  results,
  start,
  delivery,
}) => {
  const redelivery = await start((store) => ({
    add: async (id, record, over) => {
      const added = await store.add(id, record, over);
      if (added === 'known') await rm(join(directory, 'deferred', id));
      return added;
    },
  }));
  for (const event of [delivery('event'), delivery('event')])
    expect(await redelivery.defer(event, '500')).toBe('stored');
  expect(results).toEqual(['dropped']);
  await eventually(() => results, ['dropped', 'delivered']);
});

test('one that is over the limits is told, takes no memory, and holds up nothing', async ({
  directory,
  app,
  budget,
  results,
  start,
  delivery,
}) => {
  const file = join(directory, 'deferred', `${'0'.repeat(16)}-${'0'.repeat(32)}`);
  await mkdir(join(directory, 'deferred'), { mode: 0o700 });
  await writeFile(file, '', { mode: 0o600 });
  await truncate(file, 8 * budget.limit);
  const before = Date.now() / 1000 - 100;
  await utimes(file, before, before);
  const redelivery = await start(() => ({}));
  await eventually(() => redelivery.totals().unverified.deliveries, 1);
  expect(results).toEqual(['unverified']);
  expect(await redelivery.defer(delivery('event'), '500')).toBe('stored');
  await eventually(() => app.bodies(), ['event']);
});

test('what the budget can never hold is not promised', async ({ budget, start, delivery }) => {
  const redelivery = await start(() => ({}));
  expect(await redelivery.defer(delivery('x'.repeat(budget.most)), '500')).toBe('passes');
  expect(redelivery.failures).toBe(1);
  expect([...redelivery.list()]).toEqual([]);
});

test('what can not be read goes an hour after its window, by the time of its file: another replica may still send it', async ({
  directory,
  results,
  start,
}) => {
  const [old = '', over = '', young = ''] = ['a', 'b', 'c'].map((each) => `${each.repeat(16)}-${each.repeat(32)}`);
  await mkdir(join(directory, 'deferred'), { mode: 0o700 });
  for (const id of [old, over, young]) await writeFile(join(directory, 'deferred', id), 'unfit');
  const touch = (id: string, hours: number) => {
    const then = Date.now() / 1000 - hours * 3600;
    return utimes(join(directory, 'deferred', id), then, then);
  };
  await touch(old, 3);
  await touch(over, 1.5);
  const redelivery = await start(() => ({}));
  const waiting = () => [...redelivery.list()].filter(({ busy }) => !busy).map(({ id, state }) => `${id} ${state}`);
  await eventually(() => waiting().sort(), [`${over} unverified`, `${young} unverified`]);
  expect(results.toSorted()).toEqual(['expired', 'unverified', 'unverified', 'unverified']);
  expect((await readdir(join(directory, 'deferred'))).sort()).toEqual([over, young, 'lock']);
});

test('nothing more is read once it is closed', async ({ directory, start }) => {
  await mkdir(join(directory, 'deferred'), { mode: 0o700 });
  for (const each of 'abcdef') {
    await writeFile(join(directory, 'deferred', `${each.repeat(16)}-${each.repeat(32)}`), 'unfit');
  }
  const started = Promise.withResolvers<Redelivery>();
  const closing = Promise.withResolvers<void>();
  let claims = 0;
  const redelivery = await start((store) => ({
    claim: async (id) => {
      const nth = ++claims;
      const begun = await started.promise;
      if (nth === 1) begun.close().then(closing.resolve, closing.reject);
      return store.claim(id);
    },
  }));
  started.resolve(redelivery);
  await closing.promise;
  expect(redelivery.failures).toBe(0);
  expect(claims).toBeLessThan(6); // a few are read at once
});

test('a large one that finds no memory waits, and a small one behind it is sent', async ({
  app,
  budget,
  start,
  delivery,
}) => {
  const redelivery = await start(() => ({}));
  const large = 'large'.padEnd(300_000);
  budget.reserveSpare(700_000);
  expect(await redelivery.defer(delivery(large), '500')).toBe('stored');
  expect(await redelivery.defer(delivery('small'), '500')).toBe('stored');
  await eventually(() => app.bodies(), ['small']);
  budget.release(700_000);
  await eventually(() => app.bodies(), ['small', large]);
  await eventually(() => budget.used, 0);
});
