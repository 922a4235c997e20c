// What becomes of a delivery whose outcome the store does not learn, or that another one replaces while it is at work.
import type { ServerResponse } from 'node:http';
import { expect } from 'vitest';
import { eventually } from '../../support/proxy/proxied.ts';
import type { App } from '../../support/redelivery/redelivery.ts';
import { noteOf } from '../../support/redelivery/store-contract.ts';
import { policyOf as policyWith, verify } from '../core/fixtures.ts';
import { policyOf, stored, test, waiting } from './fixtures.ts';

/** Lets the app answer nothing by itself; returns the responses that it holds. */
function holding(app: App): readonly ServerResponse[] {
  const held: ServerResponse[] = [];
  app.answer = () => (_request, response) => held.push(response);
  return held;
}

test.concurrent('is not sent again while its removal fails', async ({ app, budget, results, start, delivery }) => {
  let left = 2;
  const queue = await start((store) => ({
    set: async (...given) => {
      if (left-- > 0) throw new Error('not now');
      return store.set(...given);
    },
  }));
  await stored(queue, delivery('event'));
  await eventually(() => waiting(queue), 0);
  expect(app.requests).toHaveLength(1);
  expect(results).toEqual(['delivered']);
  expect(queue.storeState.failures).toBe(2);
  await eventually(() => budget.used, 0);
});

test.concurrent('taken, it counts once, also if its removal fails late', async ({ app, results, start, delivery }) => {
  let removals = 0;
  const queue = await start((store) => ({
    set: async (lease, setting) => {
      const removed = await store.set(lease, setting);
      if (removals++ === 0) throw new Error('too late');
      return removed;
    },
  }));
  await stored(queue, delivery('event'));
  await eventually(() => results, ['delivered']);
  expect(await waiting(queue)).toBe(0);
  expect(app.requests).toHaveLength(1);
  expect(queue.storeState.failures).toBe(1);
});

test.concurrent('refused, it stays so while the store cannot write', async ({ app, results, start, delivery }) => {
  let failures = 0;
  const queue = await start((store) => ({
    set: async (lease, setting) => {
      if (setting?.state === 'stopped' && failures++ < 2) throw new Error('the disk is full');
      return store.set(lease, setting);
    },
  }));
  app.answer = () => 404;
  await stored(queue, delivery('event'));
  await eventually(() => results, ['client_error']);
  expect([app.requests.length, failures]).toEqual([1, 3]);
  await queue.storeState.upToDate();
  expect(queue.storeState.summary.soonest).toMatchObject([{ state: 'stopped', note: { attempts: 1, failure: '404' } }]);
});

test.concurrent('none is dropped while it is sent: the app may take it', async ({
  app,
  opened,
  results,
  start,
  delivery,
}) => {
  const queue = await start(() => ({}));
  const store = await opened.promise;
  const held = holding(app);
  await stored(queue, delivery('event'));
  await eventually(() => held.length, 1);
  await queue.storeState.upToDate();
  const [{ id } = { id: '' }] = queue.storeState.summary.soonest;
  expect(await store.drop(id)).toBe('leased');
  held[0]?.writeHead(200).end();
  await eventually(() => results, ['delivered']);
  expect(await store.drop(id)).toBe('absent');
});

test.concurrent('a store that could not be opened is opened by the next delivery', async ({ start, delivery }) => {
  let opened = 0;
  const queue = await start((store) => {
    if (++opened > 1) return {};
    void store.close(); // which gives up its directory
    throw new Error('no file descriptor is free');
  });
  await stored(queue, delivery('event'));
  expect(opened).toBe(2);
});

test.concurrent('what replaces one at work is sent once that is over', async ({ app, results, start, delivery }) => {
  const queue = await start(() => ({}));
  await stored(queue, delivery('the app works'));
  await eventually(() => results, ['delivered']);
  for (const status of [503, 200]) {
    const held = holding(app);
    const event = delivery(`its first sending ends in ${status}`);
    await stored(queue, event);
    await eventually(() => held.length, 1);
    await stored(queue, event);
    await queue.deliverNow(null);
    // Were it begun beside the first, it would be under way by then.
    await stored(queue, delivery(`beside ${status}`));
    await queue.deliverNow(null);
    await eventually(() => app.bodies().includes(`beside ${status}`), true);
    expect(app.bodies().filter((body) => body === event.body.toString())).toHaveLength(1);
    app.answer = () => 200;
    held[1]?.writeHead(200).end();
    held[0]?.writeHead(status).end();
    await eventually(() => waiting(queue), 0);
    expect(app.bodies().filter((body) => body === event.body.toString())).toHaveLength(2);
  }
  // What was replaced has no end of its own.
  expect(results).toEqual(Array(5).fill('delivered'));
});

test.concurrent('one that an equal one replaced is not lost at its end', async ({ app, results, start, delivery }) => {
  const queue = await start(() => ({}));
  const held = holding(app);
  const untilOver = Date.now() + 3000;
  await stored(queue, delivery('event', { age: 3_600_000 - 2000 }));
  await eventually(() => held.length, 1);
  await stored(queue, delivery('event'));
  await eventually(() => Date.now() >= untilOver, true);
  held[0]?.writeHead(500).end();
  await queue.settled();
  expect(results).toEqual([]);
  expect(await waiting(queue)).toBe(1);
});

test.concurrent('one whose window is over gets one sending', async ({ app, results, start, delivery }) => {
  const queue = await start(() => ({}));
  app.answer = () => 500;
  await stored(queue, delivery('over', { age: 7_200_000 }));
  await eventually(() => results, ['expired']);
  expect(app.requests).toHaveLength(1);
  expect(await waiting(queue)).toBe(0);
});

test.concurrent('one the app refused is removed at its end, not sent', async ({ app, results, start, delivery }) => {
  let changes = 0;
  const queue = await start((store) => ({
    set: (lease, setting) => {
      const isFirst = changes++ === 0;
      return store.set(lease, isFirst && setting ? { ...setting, pause: 0 } : setting); // the store's clock is ahead
    },
  }));
  app.answer = () => 404;
  await stored(queue, delivery('event', { age: 3_600_000 - 3000 }));
  await eventually(() => results, ['client_error', 'expired']);
  expect(app.requests).toHaveLength(1);
  expect(await waiting(queue)).toBe(0);
});

test.concurrent('unverified, one is looked at each minute', async ({ app, results, rules, start, delivery }) => {
  const pauses: number[] = [];
  const queue = await start((store) => ({
    set: (lease, setting) => {
      if (setting !== null) pauses.push(setting.pause);
      return store.set(lease, setting && { ...setting, pause: 0 }); // the minute is over at once
    },
  }));
  const event = delivery('event');
  const { policy } = rules;
  await stored(queue, event);
  rules.policy = policyOf(['current', 'another-secret-0123456789abcdef']);
  await eventually(() => pauses.length > 1, true);
  expect([new Set(pauses), app.requests.length]).toEqual([new Set([60_000]), 0]);
  rules.policy = policy; // and nobody tells the queue
  await eventually(() => results, ['unverified', 'delivered']);
});

test.concurrent('a sending cut by the end of the process is no last one', async ({ app, results, start, delivery }) => {
  const settings: string[] = [];
  const queue = await start((store) => ({
    set: (lease, setting) => {
      settings.push(setting?.state ?? 'removed');
      return store.set(lease, setting);
    },
  }));
  const held = holding(app);
  await stored(queue, delivery('over', { age: 7_200_000 }));
  await eventually(() => held.length, 1);
  queue.stopSending();
  held[0]?.socket?.destroy();
  await queue.settled();
  expect([settings, results]).toEqual([['waiting'], []]);
});

test.concurrent('a turn that fails is told, and ends with its lease', async ({ budget, rules, start, delivery }) => {
  const held: number[] = [];
  const queue = await start((store) => ({
    lease: (asked) => {
      held.push(asked.held.length);
      return store.lease(asked);
    },
  }));
  // Its `once` cannot be opened.
  const { routes } = policyWith([verify('/notify', { redeliver: 60_000, once: 60_000 })], []);
  rules.policy = { ...rules.policy, routes };
  await stored(queue, delivery('event'));
  await eventually(() => queue.storeState.failures, 1);
  await queue.settled();
  await eventually(() => budget.used, 0); // the next lease may be under way
  const before = held.length;
  await queue.deliverNow(null);
  await eventually(() => held.length > before, true);
  expect(held.at(-1)).toBe(0);
});

test.concurrent('a fresh copy that is taken ends the one that waits', async ({ app, results, start, delivery }) => {
  const queue = await start(() => ({}));
  app.answer = () => 404;
  const event = delivery('event');
  await stored(queue, event);
  await eventually(() => results, ['client_error']);
  await queue.arrivals.taken({ ...event, at: event.at - 60_000 }); // it was stored after this one had come
  await queue.arrivals.taken(delivery('another'));
  await queue.storeState.upToDate();
  await queue.arrivals.taken({ ...event, at: Date.now() });
  await eventually(() => results, ['client_error', 'delivered']);
  await queue.storeState.upToDate();
  expect(queue.storeState.isEmpty).toBe(true);
  expect(app.requests).toHaveLength(1);
});

test.concurrent('a note that somebody forged changes no bytes, no end', async ({ app, results, start, delivery }) => {
  const ahead = Date.now() + 10 * 365 * 86_400_000;
  const queue = await start((store) => ({
    add: (event, pause) => store.add({ ...event, note: noteOf({ at: ahead, attempts: 9e15, tried: ahead }) }, pause),
  }));
  app.answer = () => 500;
  await stored(queue, delivery('over', { age: 7_200_000 }));
  await eventually(() => results, ['expired']);
  expect(app.bodies()).toEqual(['over']);
});
