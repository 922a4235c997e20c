// The log of a store that fails and works again: it must not end with a word that is not true.
import { expect, test } from 'vitest';
import { StoreState } from '../../../src/redelivery/store-state-and-log.ts';
import type { DeferredStore } from '../../../src/redelivery/stores/store.ts';

const FAILS = 'the store of deferred deliveries fails';
const WORKS = 'the store of deferred deliveries works';

function standingOf() {
  const told: string[] = [];
  const tell = (message: string) => told.push(message);
  const store = { summary: async () => ({ groups: [], soonest: [], dropped: [] }) } as Partial<DeferredStore>;
  const needs = { log: { info: tell, warn: tell, error: tell }, onResult: () => {} };
  return { storeState: new StoreState(needs, async () => store as DeferredStore), told };
}

test('that a full disk takes deliveries again is told, once', () => {
  const { storeState, told } = standingOf();
  storeState.passes('failing', new Error('less than 8 MiB are free on its file system')); // it works but for additions
  expect(storeState.problem?.kind).toBe('failing');
  storeState.stored();
  storeState.stored();
  expect([told, storeState.problem]).toEqual([[FAILS, WORKS], null]);
});

test('what was left out of the log does not make "fails" its last word', async () => {
  const { storeState, told } = standingOf();
  for (let nth = 0; nth < 3; nth++) {
    storeState.set('EIO');
    storeState.passes('failing', new Error('EIO'));
    storeState.set(null);
  }
  await storeState.look();
  expect(told.slice(0, 2)).toEqual([FAILS, WORKS]);
  expect(told.at(-1)).toBe(WORKS);
  storeState.passes('slow', 'the store did not answer within 1000 ms');
  storeState.passes('slow', 'the store did not answer within 1000 ms');
  storeState.stored();
  await storeState.look();
  expect(told.slice(4)).toEqual([FAILS, WORKS, FAILS, WORKS]);
});

test('after a lock the store has failed, and works, until a delivery is stored', () => {
  const { storeState, told } = standingOf();
  storeState.set('another program keeps its file locked');
  storeState.passes('failing', new Error('another program keeps its file locked'));
  expect(storeState.problem?.kind).toBe('failing');
  storeState.set(null);
  expect(storeState.problem).toMatchObject({ kind: 'recovered', why: 'another program keeps its file locked' });
  storeState.stored();
  expect([told, storeState.problem]).toEqual([[FAILS, WORKS], null]);
});

test('what the store lost is told, counted and remembered', () => {
  const { storeState, told } = standingOf();
  storeState.lost('its file was removed');
  expect(told).toEqual(['the store of deferred deliveries has lost what waited in it']);
  expect([storeState.failures, storeState.loss?.problem]).toEqual([1, 'its file was removed']);
});
