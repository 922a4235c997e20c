// How fast deferred deliveries are sent again, without a clock, a store or an app.
import { expect, test } from 'vitest';
import { pauseAfter, SendingPace } from '../../../src/redelivery/pace.ts';
import { NOW } from '../core/fixtures.ts';

test('pauses begin with a second and double to ten minutes, less at most a quarter', () => {
  expect([0, 1, 2, 3, 9, 10, 100].map((attempts) => pauseAfter(attempts, 0) / 1000)).toEqual([
    ...[1, 2, 4, 8, 512, 600, 600],
  ]);
  expect(pauseAfter(3, 1)).toBe(6000);
});

test('the pace is one at a time until the app takes one, then eight, and one again after any failure, with a pause', () => {
  const pace = new SendingPace(32);
  expect(pace.atOnce).toBe(1);
  pace.adapt('refused', NOW);
  expect(pace.atOnce).toBe(1);
  pace.adapt('taken', NOW);
  expect([pace.atOnce, pace.notBefore]).toEqual([8, 0]);
  pace.adapt('failed', NOW);
  expect([pace.atOnce, pace.notBefore]).toEqual([1, NOW + 200]);
  pace.adapt('taken', NOW);
  expect([pace.atOnce, pace.notBefore]).toEqual([8, 0]);
});

test('at most a quarter of the slots is used, and one at least', () => {
  for (const [slots, most] of [
    [3, 1],
    [8, 2],
    [1000, 8],
  ] as const) {
    const pace = new SendingPace(slots);
    pace.adapt('taken', NOW);
    expect(pace.atOnce).toBe(most);
  }
});

test('the pace is one probe each ten seconds while the app accepts no connection, unless somebody asks', () => {
  const pace = new SendingPace(32);
  pace.adapt('taken', NOW);
  pace.adapt('no connection', NOW);
  expect([pace.atOnce, pace.notBefore]).toEqual([1, NOW + 10_000]);
  pace.endPause();
  expect([pace.atOnce, pace.notBefore]).toEqual([1, 0]);
});
