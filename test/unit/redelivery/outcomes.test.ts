// What becomes of a delivery whose outcome the store does not learn, or that another one replaces while it is at work. These
// wait ten seconds each, side by side.
import { readdir, rm } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Claim, DeferredStore } from '../../../src/redelivery/stores/store.ts';
import { eventually } from '../../support/proxy/proxied.ts';
import type { App } from '../../support/redelivery/redelivery.ts';
import { test } from './fixtures.ts';

/** Lets the app answer nothing by itself; returns the responses that it holds. */
function holding(app: App): readonly ServerResponse[] {
  const held: ServerResponse[] = [];
  app.answer = () => (_request, response) => held.push(response);
  return held;
}

const failingRemovals = (times: number) => (store: DeferredStore) => {
  let left = times;
  return {
    remove: async (claim: Claim) => {
      if (left-- > 0) throw new Error('not now');
      return store.remove(claim);
    },
  };
};

test.concurrent('what the app took is not sent again while its removal fails', async ({
  app,
  budget,
  results,
  start,
  delivery,
}) => {
  const redelivery = await start(failingRemovals(2));
  expect(await redelivery.defer(delivery('event'), '500')).toBe('stored');
  await eventually(() => redelivery.totals().waiting.deliveries, 0);
  expect(app.requests).toHaveLength(1);
  expect(results).toEqual(['delivered']);
  expect(budget.used).toBe(0);
  expect(redelivery.failures).toBe(2);
});

test.concurrent('what the app took is counted once, also if its removal fails and comes through all the same', async ({
  app,
  results,
  start,
  delivery,
}) => {
  let removals = 0;
  const redelivery = await start((store) => ({
    remove: async (claim) => {
      const removed = await store.remove(claim);
      if (removals++ === 0) throw new Error('too late');
      return removed;
    },
  }));
  expect(await redelivery.defer(delivery('event'), '500')).toBe('stored');
  await eventually(() => removals > 0 && redelivery.totals().waiting.deliveries === 0, true);
  expect(app.requests).toHaveLength(1);
  expect(results).toEqual(['delivered']);
  expect(redelivery.failures).toBe(1);
});

test.concurrent('what the app refused is not sent again while the store cannot write that', async ({
  app,
  results,
  start,
  delivery,
}) => {
  let failures = 0;
  const written: boolean[] = [];
  const redelivery = await start((store) => ({
    release: async (id, progress) => {
      if (progress !== null && failures++ < 2) {
        await store.release(id, null);
        throw new Error('the disk is full');
      }
      await store.release(id, progress);
      written.push(progress !== null);
    },
  }));
  app.answer = () => 404;
  expect(await redelivery.defer(delivery('event'), '500')).toBe('stored');
  await eventually(() => failures, 2);
  await eventually(() => written, [true]);
  expect(app.requests).toHaveLength(1);
  expect(failures).toBe(3);
  expect([...redelivery.list()]).toMatchObject([{ state: 'stopped', attempts: 1, failure: '404', unwritten: null }]);
  expect(results).toEqual(['client_error']);
});

test.concurrent('what a person drops while it is sent is counted once, whatever the app answers', async ({
  directory,
  app,
  results,
  start,
  delivery,
}) => {
  const redelivery = await start(() => ({}));
  const held = holding(app);
  expect(await redelivery.defer(delivery('event'), '500')).toBe('stored');
  await eventually(() => held.length, 1);
  for (const { id } of redelivery.list()) await rm(join(directory, 'deferred', id));
  await eventually(() => results, ['dropped']);
  held[0]?.writeHead(200).end();
  await redelivery.settled();
  expect(results).toEqual(['dropped']);
});

test.concurrent('what a person drops, and a sender sends again, are two', async ({
  directory,
  app,
  results,
  start,
  delivery,
}) => {
  const redelivery = await start(() => ({}));
  app.answer = () => 500;
  const event = delivery('event');
  expect(await redelivery.defer(event, '500')).toBe('stored');
  for (const { id } of redelivery.list()) await rm(join(directory, 'deferred', id));
  expect(await redelivery.defer(event, '500')).toBe('stored');
  await eventually(() => results, ['dropped']);
  expect(redelivery.totals().waiting.deliveries).toBe(1);
  app.answer = () => 200;
  redelivery.deliverNow(null);
  await eventually(() => results, ['dropped', 'delivered']);
});

test.concurrent('what replaces an event at work is sent on its own, once that is over, whatever becomes of the first', async ({
  app,
  results,
  start,
  delivery,
}) => {
  const redelivery = await start(() => ({}));
  await redelivery.defer(delivery('the app works'), '500');
  await eventually(() => redelivery.totals().waiting.deliveries, 0);
  for (const status of [503, 200]) {
    const held = holding(app);
    const event = delivery(`its first sending ends in ${status}`);
    expect(await redelivery.defer(event, '500')).toBe('stored');
    await eventually(() => held.length, 1);
    expect(await redelivery.defer(event, '500')).toBe('stored');
    redelivery.deliverNow(null);
    // Were it begun beside the first, it would be under way by then.
    expect(await redelivery.defer(delivery(`beside ${status}`), '500')).toBe('stored');
    redelivery.deliverNow(null);
    await eventually(() => app.bodies().includes(`beside ${status}`), true);
    expect(app.bodies().filter((body) => body === event.body.toString())).toHaveLength(1);
    app.answer = () => 200;
    held[1]?.writeHead(200).end();
    held[0]?.writeHead(status).end();
    await eventually(() => redelivery.totals().waiting.deliveries + redelivery.totals().unverified.deliveries, 0);
    expect(app.bodies().filter((body) => body === event.body.toString())).toHaveLength(2);
  }
  expect(results).not.toContain('unverified');
});

test.concurrent('an event whose last sending fails is not lost if an equal one has replaced it meanwhile', async ({
  app,
  results,
  start,
  delivery,
}) => {
  const redelivery = await start(() => ({}));
  const held = holding(app);
  const untilOver = Date.now() + 3000;
  expect(await redelivery.defer(delivery('event', { age: 3_600_000 - 2000 }), '500')).toBe('stored');
  await eventually(() => held.length, 1);
  expect(await redelivery.defer(delivery('event'), '500')).toBe('stored');
  await eventually(() => Date.now() >= untilOver, true);
  held[0]?.writeHead(500).end();
  await redelivery.settled();
  expect(results).toEqual([]);
  expect(redelivery.totals().waiting.deliveries).toBe(1);
});

test.concurrent('what the app took, and could not be removed, is removed as it is closed', async ({
  directory,
  app,
  results,
  start,
  delivery,
}) => {
  const redelivery = await start(failingRemovals(1));
  expect(await redelivery.defer(delivery('event'), '500')).toBe('stored');
  await eventually(() => redelivery.failures, 1);
  await redelivery.close();
  expect([app.requests.length, results]).toEqual([1, ['delivered']]);
  expect(await readdir(join(directory, 'deferred'))).toEqual(['lock']);
});

test.concurrent('what a person asks for while it is sent is sent once more, also if the app refuses it', async ({
  app,
  results,
  start,
  delivery,
}) => {
  const redelivery = await start(() => ({}));
  const held = holding(app);
  expect(await redelivery.defer(delivery('event'), '500')).toBe('stored');
  await eventually(() => held.length, 1);
  redelivery.deliverNow(null);
  app.answer = () => 200;
  held[0]?.writeHead(404).end();
  await eventually(() => results, ['client_error', 'delivered']);
});
