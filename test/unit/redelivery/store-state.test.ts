// What is known of a store, and the log of one that fails and works again: neither may say what is not true.
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { StoreState } from '../../../src/redelivery/store-state.ts';
import type { DeferredStore, Summary } from '../../../src/redelivery/stores/store.ts';
import { needsOf } from '../../support/redelivery/proxy.ts';

const FAILS = 'the store of deferred deliveries fails';
const WORKS = 'the store of deferred deliveries works';
const MINUTE = 60_000;

const EMPTY: Summary = {
  ...{ groups: [], soonest: [], dropped: [], losses: [], lostLately: 0, aside: [], evicts: null },
};
const groupOf = (deliveries: number) => {
  const words = { failure: '503', secret: 'a', key: 'k', route: '/notify' };
  return { state: 'waiting' as const, ...words, deliveries, bytes: 4096 * deliveries, oldest: 1 };
};

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] }));
afterEach(() => void vi.useRealTimers());

/** A store whose test event has no problem, unless `problem` names one; `tested` counts how often one was sent. */
function standingOf() {
  const told: string[] = [];
  const results: string[] = [];
  const world = { problem: '', tested: 0, takes: 0, summary: EMPTY };
  const tell = (message: string) => told.push(message);
  const store: Partial<DeferredStore> = {
    summary: async () => world.summary,
    change: async () => ['done'],
    async test() {
      world.tested++;
      if (world.takes > 0) await vi.advanceTimersByTimeAsync(world.takes);
      if (world.problem !== '') throw new Error(world.problem);
    },
  };
  const needs = needsOf({ info: tell, warn: tell, error: tell }, ({ result, route }) =>
    results.push(`${result} ${route}`),
  );
  const storeState = new StoreState(needs, async () => store as DeferredStore);
  return { storeState, told, results, world };
}

/** Looks as often as the proxy does, for a while. */
async function lookFor(storeState: StoreState, milliseconds: number): Promise<void> {
  for (let gone = 0; gone < milliseconds; gone += 10_000) {
    await vi.advanceTimersByTimeAsync(10_000);
    await storeState.refresh();
  }
}

test('nothing is known before a test event went all the way, and what is stored was counted', async () => {
  const { storeState, world } = standingOf();
  expect(storeState.summedAt).toBe(0);
  world.problem = 'NOPERM zscan';
  await storeState.refresh();
  expect(storeState.problem).toEqual({ kind: 'failing', why: 'NOPERM zscan' });
  world.problem = '';
  await storeState.refresh();
  expect([storeState.summedAt > 0, storeState.problem]).toEqual([true, null]);
  await storeState.refresh();
  expect(world.tested).toBe(2); // a store that works is not tested again
});

test('a call that fails is a problem until the test event passes, which is tried each second', async () => {
  const { storeState, told, world } = standingOf();
  await storeState.refresh();
  world.problem = 'EIO';
  storeState.onFailure(new Error('EIO.'));
  storeState.onProblem(null); // the store itself has none
  await vi.advanceTimersByTimeAsync(3000);
  expect(storeState.problem).toEqual({ kind: 'failing', why: 'EIO' });
  expect([told, storeState.failureCount]).toEqual([[FAILS], 1]);
  world.problem = '';
  await vi.advanceTimersByTimeAsync(1000);
  expect([told, storeState.problem]).toEqual([[FAILS, WORKS], null]);
});

test('a slow store is told until it has been quick for a minute, also where nobody stores anything', async () => {
  const { storeState, told, world } = standingOf();
  await storeState.refresh();
  storeState.notStored('slow', 4096);
  storeState.stored('/kept');
  await lookFor(storeState, 50_000);
  expect(storeState.problem?.kind).toBe('slow');
  world.takes = 1500;
  await storeState.refresh();
  world.takes = 0;
  await lookFor(storeState, 50_000);
  expect(storeState.problem?.kind).toBe('slow');
  await lookFor(storeState, 20_000);
  expect([told, storeState.problem]).toEqual([[FAILS, WORKS], null]);
});

test('a full store is a problem until the delivery would fit', async () => {
  const { storeState, told, world } = standingOf();
  world.summary = { ...EMPTY, groups: [groupOf(240)] }; // of 244
  await storeState.refresh();
  storeState.notStored('full', 40_000);
  await lookFor(storeState, MINUTE);
  expect(storeState.problem?.kind).toBe('full');
  world.summary = { ...EMPTY, groups: [groupOf(100)] };
  await storeState.refresh();
  expect([told, storeState.problem]).toEqual([[FAILS, WORKS], null]);
  expect(storeState.lastNotStored).toMatchObject({ kind: 'full', why: 'it was full' }); // it is turned away for good
});

test('a store that comes and goes is told from one that works again by the delivery turned away before it worked', async () => {
  const { storeState, world } = standingOf();
  await storeState.refresh();
  const turnAway = async (problem: string) => {
    world.problem = problem;
    storeState.notStored('failing', 4096, new Error('EIO'));
    const { at = 0, before } = storeState.lastNotStored ?? {};
    await vi.advanceTimersByTimeAsync(3000);
    return [at, before];
  };
  expect((await turnAway('EIO'))[1]).toBe(0);
  const [at, before] = await turnAway('');
  expect(before).toBe(0); // it has not worked since
  expect((await turnAway(''))[1]).toBe(at);
});

test('what was left out of the log does not make "fails" its last word', async () => {
  const { storeState, told } = standingOf();
  for (let nth = 0; nth < 3; nth++) {
    storeState.notStored('failing', 4096, new Error('EIO'));
    await storeState.refresh();
  }
  expect(told.slice(0, 2)).toEqual([FAILS, WORKS]);
  expect(told.at(-1)).toBe(WORKS);
});

test('what a person has just dropped beside the proxy is not said to be there', async () => {
  const { storeState, world } = standingOf();
  world.summary = { ...EMPTY, groups: [groupOf(2)] };
  await storeState.refresh();
  world.summary = EMPTY;
  await storeState.upToDate();
  expect(storeState.total('waiting').deliveries).toBe(0);
});

test('what a store that fails held, or before the last loss, is not said to be there now', async () => {
  const { storeState, world } = standingOf();
  const changes = async (change: () => unknown, seconds: number) => {
    const before = Date.now();
    await change();
    const wasSeen = storeState.lastSeen === before;
    await vi.advanceTimersByTimeAsync(1000 * seconds);
    await setImmediate(); // the look that began
    return [wasSeen, storeState.lastSeen === null];
  };
  await storeState.refresh();
  const leased = { id: 'ab-1', lease: '', bytes: 1, state: 'waiting', asked: false, record: null, note: null } as const;
  expect(await changes(() => storeState.lose(leased, 'record'), 1)).toEqual([true, true]);
  expect(await changes(() => storeState.onFailure(new Error('EIO')), 1)).toEqual([true, true]);
  expect(await changes(() => storeState.onLoss('its file was removed', 1), 1)).toEqual([true, false]);
  await storeState.refresh();
  expect(await changes(() => {}, 10)).toEqual([false, true]);
  expect(await changes(() => {}, 1)).toEqual([false, false]); // no look came back
  world.summary = { ...EMPTY, groups: [groupOf(2)] };
  await changes(() => storeState.stored('/kept'), 1);
  expect([storeState.lastSeen, storeState.total('waiting').deliveries]).toEqual([null, 2]);
});

test('what a store lost is told, and counted as far as the last summary knows', async () => {
  const { storeState, told, results, world } = standingOf();
  world.summary = { ...EMPTY, groups: [groupOf(2)] };
  await storeState.refresh();
  storeState.stored('/kept');
  storeState.onChange = () => expect.unreachable('a call that a loss causes may cause the next loss');
  storeState.onLoss('its log was removed', null);
  expect(results).toEqual([]);
  storeState.onLoss('its file was removed', 2);
  storeState.onLoss('a server evicted three', 3); // one of them came after the last summary
  expect(told).toEqual(Array(3).fill('the store of deferred deliveries has lost what waited in it')); // none is folded
  const both = ['lost /notify', 'lost /notify'];
  expect([storeState.failureCount, results]).toEqual([3, [...both, ...both, 'lost /kept']]);
});

test('what is to be changed while the store is at it goes in one call, and each hears what became of its own', async () => {
  const calls: string[][] = [];
  const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const change: DeferredStore['change'] = async (changes) => {
    calls.push(changes.map(({ id }) => id));
    begun.resolve();
    if (calls.length === 1) await gate.promise;
    if (calls.length === 3) throw new Error('EIO');
    return changes.map(({ id }) => (id === 'gone' ? 'absent' : 'done'));
  };
  const needs = needsOf({ info() {}, warn() {}, error() {} });
  const state = new StoreState(needs, async () => ({ change }) as Partial<DeferredStore> as DeferredStore);
  const changed = (id: string) => state.endLease({ id, lease: id }, 'taken');
  const first = changed('first');
  await begun.promise;
  const rest = ['a', 'gone', 'b'].map(changed);
  await setImmediate();
  gate.resolve();
  expect([await first, ...(await Promise.all(rest))]).toEqual([true, true, false, true]);
  state.shutdown.abort(); // else these would be tried again
  expect(await Promise.all(['c', 'd'].map(changed))).toEqual([null, null]);
  state.close();
  expect(calls).toEqual([['first'], ['a', 'gone', 'b'], ['c', 'd']]);
});
