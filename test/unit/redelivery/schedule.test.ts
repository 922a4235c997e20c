// When deferred deliveries are sent again, without a clock, a store or an app.
import { describe, expect, test } from 'vitest';
import type { Deferred } from '../../../src/redelivery/deferred.ts';
import { Pace, PROBE_EVERY_MS, pauseAfter } from '../../../src/redelivery/pace.ts';
import { Schedule } from '../../../src/redelivery/schedule.ts';
import { NOW } from '../core/fixtures.ts';

function entry(id: string, changes: Partial<Deferred> = {}): Deferred {
  return {
    ...{ id, bytes: 4096, at: NOW, checked: true, state: 'waiting', due: NOW, busy: false, attempts: 0, failure: '' },
    ...{ route: '/notify', secret: 'current', key: null, asked: false, claim: null, ended: null },
    unwritten: null,
    ...changes,
  };
}

test('pauses begin with a second and double to ten minutes, less at most a quarter', () => {
  expect([0, 1, 2, 3, 9, 10, 100].map((attempts) => pauseAfter(attempts, 0) / 1000)).toEqual([
    ...[1, 2, 4, 8, 512, 600, 600],
  ]);
  expect(pauseAfter(3, 1)).toBe(6000);
});

describe('the pace', () => {
  test('is one at a time until the app takes one, then eight', () => {
    const pace = new Pace(8);
    expect(pace.most).toBe(1);
    pace.note('refused', NOW);
    expect(pace.most).toBe(1);
    pace.note('taken', NOW);
    expect([pace.most, pace.notBefore]).toEqual([8, 0]);
  });

  test('is one at a time again after any failure, with a growing pause of a second at most', () => {
    const pace = new Pace(8);
    pace.note('taken', NOW);
    const pauses = Array.from({ length: 8 }, () => {
      pace.note('failed', NOW);
      return pace.notBefore - NOW;
    });
    expect(pace.most).toBe(1);
    expect(pauses).toEqual([100, 200, 400, 800, 1000, 1000, 1000, 1000]);
    pace.note('taken', NOW);
    expect([pace.most, pace.notBefore]).toEqual([8, 0]);
  });

  test('is one probe each ten seconds while the app accepts no connection, unless somebody asks', () => {
    const pace = new Pace(8);
    pace.note('taken', NOW);
    pace.note('no connection', NOW);
    expect([pace.most, pace.notBefore]).toEqual([1, NOW + PROBE_EVERY_MS]);
    pace.now();
    expect([pace.most, pace.notBefore]).toEqual([1, 0]);
  });
});

describe('the order', () => {
  test('is that of the times due, whatever was added, changed and deleted', () => {
    const schedule = new Schedule();
    const all = Array.from({ length: 500 }, (_, at) => entry(`e${at}`, { due: NOW + ((at * 7919) % 500) }));
    for (const each of all) schedule.add(each);
    for (const each of all.slice(0, 100)) schedule.wait(each, NOW + 1000 + ((each.due * 31) % 977));
    for (const each of all.slice(100, 200)) schedule.delete(each);
    const dues: number[] = [];
    for (let next = schedule.next(); next !== null; next = schedule.next()) {
      expect(schedule.next()).toBe(next);
      dues.push(next.due);
      next.busy = true;
    }
    expect(dues).toHaveLength(400);
    expect(dues).toEqual(dues.toSorted((a, b) => a - b));
  });

  test('what failed comes behind what waits, so that each try is another event', () => {
    const schedule = new Schedule();
    const [poison, next] = [entry('poison', { due: NOW - 2 }), entry('next', { due: NOW - 1 })];
    schedule.add(poison);
    schedule.add(next);
    expect(schedule.next()).toBe(poison);
    poison.busy = true;
    schedule.wait(poison, NOW + pauseAfter(1, 1));
    expect(schedule.next()).toBe(next);
  });

  test('takes a bounded number of places, however often each is asked for, and stays right', () => {
    const schedule = new Schedule();
    const all = Array.from({ length: 100 }, (_, at) => entry(`e${at}`, { due: NOW + ((at * 37) % 100) }));
    for (const each of all) schedule.add(each);
    for (const each of all.slice(0, 10)) each.busy = true;
    for (let round = 0; round < 100; round++) {
      for (const each of all.slice(10)) schedule.wait(each, NOW + ((each.due * 31 + round) % 977));
    }
    expect(schedule.places).toBeLessThanOrEqual(2 * all.length + 64);
    for (const each of all.slice(0, 10)) schedule.wait(each, NOW - 1);
    const dues: number[] = [];
    for (let next = schedule.next(); next !== null; next = schedule.next()) {
      dues.push(next.due);
      next.busy = true;
    }
    expect(dues).toEqual(all.map(({ due }) => due).toSorted((a, b) => a - b));
  });

  test('lets nothing that waits wait for longer than its pause where the clock went back', () => {
    const schedule = new Schedule();
    const hour = 3_600_000;
    const late = entry('late', { due: NOW + hour, attempts: 5 });
    const soon = entry('soon', { due: NOW + 500 });
    const stopped = entry('stopped', { due: NOW + hour, state: 'stopped' });
    const busy = entry('busy', { due: NOW + hour, busy: true });
    for (const each of [late, soon, stopped, busy]) schedule.add(each);
    schedule.catchUp(NOW);
    expect([late, soon, stopped, busy].map(({ due }) => due - NOW)).toEqual([0, 500, hour, hour]);
    expect(schedule.next()).toBe(late);
  });

  test('a new entry under the id of an old one takes its place', () => {
    const schedule = new Schedule();
    const [old, fresh] = [entry('id', { state: 'stopped' }), entry('id', { due: NOW + 1 })];
    schedule.add(old);
    schedule.add(fresh);
    schedule.delete(old);
    expect(schedule.next()).toBe(fresh);
    expect([...schedule.all()]).toEqual([fresh]);
  });
});

test('totals are by state, and the oldest is 0 if there is none', () => {
  const schedule = new Schedule();
  schedule.add(entry('a', { at: NOW - 5 }));
  schedule.add(entry('b', { at: NOW - 9, bytes: 5000 }));
  schedule.add(entry('c', { state: 'stopped' }));
  expect(schedule.totals().waiting).toEqual({ deliveries: 2, bytes: 9096, oldest: NOW - 9 });
  expect(schedule.totals().stopped).toEqual({ deliveries: 1, bytes: 4096, oldest: NOW });
  expect(schedule.totals().unverified).toEqual({ deliveries: 0, bytes: 0, oldest: 0 });
});
