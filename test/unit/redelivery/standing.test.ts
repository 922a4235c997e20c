// The log of a store that fails and works again: it must not end with a word that is not true.
import { expect, test } from 'vitest';
import { Standing } from '../../../src/redelivery/standing.ts';
import type { DeferredStore } from '../../../src/redelivery/stores/store.ts';

const FAILS = 'the store of deferred deliveries fails';
const WORKS = 'the store of deferred deliveries works';

function standingOf() {
  const told: string[] = [];
  const tell = (message: string) => told.push(message);
  const store = { summary: async () => ({ groups: [], soonest: [], dropped: [] }) } as Partial<DeferredStore>;
  const needs = { log: { info: tell, warn: tell, error: tell }, onResult: () => {} };
  return { standing: new Standing(needs, async () => store as DeferredStore), told };
}

test('that a full disk takes deliveries again is told, once', () => {
  const { standing, told } = standingOf();
  standing.passes('failing', new Error('less than 8 MiB are free on its file system')); // it works but for additions
  expect(standing.problem?.kind).toBe('failing');
  standing.stored();
  standing.stored();
  expect([told, standing.problem]).toEqual([[FAILS, WORKS], null]);
});

test('what was left out of the log does not make "fails" its last word', async () => {
  const { standing, told } = standingOf();
  for (let nth = 0; nth < 3; nth++) {
    standing.set('EIO');
    standing.passes('failing', new Error('EIO'));
    standing.set(null);
  }
  await standing.look();
  expect(told.slice(0, 2)).toEqual([FAILS, WORKS]);
  expect(told.at(-1)).toBe(WORKS);
  standing.passes('slow', 'the store did not answer within 1000 ms');
  standing.passes('slow', 'the store did not answer within 1000 ms');
  standing.stored();
  await standing.look();
  expect(told.slice(4)).toEqual([FAILS, WORKS, FAILS, WORKS]);
});

test('after a lock the store has failed, and works, until a delivery is stored', () => {
  const { standing, told } = standingOf();
  standing.set('another program keeps its file locked');
  standing.passes('failing', new Error('another program keeps its file locked'));
  expect(standing.problem?.kind).toBe('failing');
  standing.set(null);
  expect(standing.problem).toMatchObject({ kind: 'failed', why: 'another program keeps its file locked' });
  standing.stored();
  expect([told, standing.problem]).toEqual([[FAILS, WORKS], null]);
});

test('what the store lost is told, counted and remembered', () => {
  const { standing, told } = standingOf();
  standing.lost('its file was removed');
  expect(told).toEqual(['the store of deferred deliveries has lost what waited in it']);
  expect([standing.failures, standing.loss?.problem]).toEqual([1, 'its file was removed']);
});
