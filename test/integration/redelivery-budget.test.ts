// What redelivery does while its store hangs, its memory is spent, or many wait.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'vitest';
import { eventually } from '../support/proxy/proxied.ts';
import { stored, test, waiting } from '../support/redelivery/queue.ts';
import { idOf, noteOf } from '../support/redelivery/stores.ts';

test('a store that hangs holds a second and a quarter of the budget', async ({ app, budget, start, delivery }) => {
  const hung = Promise.withResolvers<void>();
  let calls = 0;
  const queue = await start((store) => ({
    add: async (...given) => {
      calls++;
      await hung.promise;
      return store.add(...given);
    },
  }));
  const large = ['a', 'b', 'c', 'd'].map((each) => each.repeat(budget.limit / 8));
  const deferred = large.map((each) => queue.storing.defer(delivery(each), '500'));
  const ended: number[] = [];
  for (const [nth, { atLast }] of deferred.entries()) void atLast.then(() => ended.push(nth));
  expect(await Promise.all(deferred.map(({ inTime }) => inTime))).toEqual(Array(4).fill('not stored'));
  await eventually(() => ended, [2, 3]); // the bodies of the others are kept
  expect([calls, queue.storeState.failureCount]).toEqual([2, 4]);
  expect(queue.storeState.problem?.why).toMatch(/did not answer within 1000 ms/);
  expect(await queue.storing.defer(delivery('small'), '500').atLast).toBe('not stored');
  expect([calls, queue.storeState.failureCount, ended]).toEqual([2, 5, [2, 3]]);
  hung.resolve();
  expect(await Promise.all(deferred.slice(0, 2).map(({ atLast }) => atLast))).toEqual(['stored', 'stored']);
  await eventually(() => app.bodies().sort(), large.slice(0, 2));
  expect(queue.storeState.problem?.kind).toBe('slow'); // until it has been quick for a minute
  await stored(queue, delivery('small'));
  await eventually(() => app.bodies().includes('small'), true);
  await eventually(() => budget.used, 0);
});

test('the end of the process waits for no store that hangs', async ({ start, delivery }) => {
  const queue = await start(() => ({ add: () => new Promise(() => {}) }));
  const { inTime, atLast } = queue.storing.defer(delivery('event'), '500');
  expect(await inTime).toBe('not stored');
  queue.stopSending();
  expect(await atLast).toBe('not stored');
});

test('a large one keeps its place, and one that is larger than all goes alone', async ({ budget, start, delivery }) => {
  const begun: number[] = [];
  let [atOnce, most] = [0, 0];
  const queue = await start(() => ({
    add: async ({ record }) => {
      begun.push(record[1].length);
      most = Math.max(most, ++atOnce);
      for (let turns = 0; turns < 10; turns++) await nextTurn(); // in which what may begin beside it does
      atOnce--;
      return 'stored';
    },
  }));
  const order = [budget.limit / 2, budget.limit / 8, budget.limit / 2, 5000];
  const told = order.map((bytes) => queue.storing.defer(delivery('x'.repeat(bytes)), '500').atLast);
  expect(await Promise.all(told)).toEqual(Array(4).fill('stored'));
  expect([begun, most]).toEqual([order, 1]);
});

test('bodies at work stay within a quarter of the budget', async ({ app, budget, start, delivery }) => {
  const queue = await start(() => ({}));
  const texts = Array.from({ length: 9 }, (_, at) => `${at}`.padEnd(100_000));
  const used: number[] = [];
  app.answer = () => (_request, response) => {
    used.push(budget.used);
    setTimeout(() => response.end('ok'), 20);
  };
  const fresh = budget.limit / 2;
  budget.count(fresh);
  budget.limit = fresh;
  for (const text of texts) await stored(queue, delivery(text));
  expect(await queue.deliverNow(null)).toBe(texts.length);
  expect(budget.used).toBe(fresh);
  budget.limit = 1_048_576;
  budget.release(fresh);
  await eventually(() => waiting(queue), 0);
  expect(new Set(app.bodies())).toEqual(new Set(texts));
  // What is leased next is reserved as a whole, before it is read.
  expect(Math.max(...used)).toBeLessThanOrEqual(budget.limit / 4);
  await eventually(() => budget.used, 0);
});

test('one over the limits is told, and holds up nothing', async ({ app, budget, results, start, delivery }) => {
  const queue = await start((store) => ({
    add: async (event, pause) => {
      const large = [Buffer.alloc(10), Buffer.alloc(2 * budget.limit)] as const;
      await store.add({ id: idOf(), record: large, note: noteOf() }, 0);
      return store.add(event, pause);
    },
  }));
  await stored(queue, delivery('event'));
  await eventually(() => app.bodies(), ['event']);
  await eventually(() => [...results].sort(), ['delivered', 'unverified']);
  await queue.storeState.refresh();
  expect(queue.storeState.total('unverified').deliveries).toBe(1);
});

test('what the budget can never hold, or has an equal body too often, is not promised', async ({
  budget,
  start,
  delivery,
}) => {
  const queue = await start(() => ({ add: async () => 'crowded' }));
  for (const body of ['x'.repeat(budget.most), 'one too many'])
    expect(await queue.storing.defer(delivery(body), '500').inTime).toBe('not stored');
  expect(await waiting(queue)).toBe(0);
  expect(queue.storeState).toMatchObject({ lastNotStored: null, crowded: { route: '/notify' } });
});

test('what can not be read is lost, unsent', async ({ app, opened, results, settings, start, delivery }) => {
  settings.keep = 0;
  const queue = await start(() => ({}));
  const store = await opened.promise;
  // Not within the second that the store has for the event.
  for (const age of [7_200_000, 0]) {
    const odd = [Buffer.from('nothing'), Buffer.from('x')] as const;
    await store.add({ id: idOf(), record: odd, note: noteOf({ came: Date.now() - age }) }, 0);
  }
  await stored(queue, delivery('event'));
  await eventually(() => [...results].sort(), ['delivered', 'lost', 'unverified']);
  expect(app.bodies()).toEqual(['event']);
});

test('a large one waits until there is memory, then is sent', async ({ app, budget, start, delivery }) => {
  const queue = await start(() => ({}));
  const large = 'large'.padEnd(300_000);
  budget.count(800_000);
  await stored(queue, delivery(large));
  await stored(queue, delivery('small'));
  expect(app.bodies()).toEqual([]);
  budget.release(800_000);
  await eventually(() => app.bodies().toSorted(), [large, 'small']);
  await eventually(() => budget.used, 0);
});

test('what cannot be judged holds no memory, and the others are sent', async ({ app, budget, start, delivery }) => {
  const queue = await start((store) => ({
    summary: async () => ({ ...(await store.summary()), soonest: [null as never] }),
  }));
  await stored(queue, delivery('event'));
  await eventually(() => app.bodies(), ['event']);
  await eventually(() => budget.used, 0);
});

test('nothing is leased once it stops, or asked once it is closed', async ({ app, start, delivery }) => {
  let asks = 0;
  const queue = await start((store) => ({
    lease: (asked) => {
      asks++;
      return store.lease(asked);
    },
  }));
  await eventually(() => asks > 0, true);
  queue.stopSending();
  await queue.settled();
  const before = asks;
  await stored(queue, delivery('fresh'));
  await queue.deliverNow(null);
  expect(await waiting(queue)).toBe(1);
  await queue.close();
  await queue.adopt();
  await queue.settled();
  expect([asks, app.bodies(), queue.storeState.failureCount]).toEqual([before, [], 0]);
});
