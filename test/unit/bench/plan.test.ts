// The benchmark's plan: it measures nothing twice, and the goals find their data in both kinds of run.
import { expect, test } from 'vitest';
import { goalsOf } from '../../../bench/goals.ts';
import { keyOf, Results } from '../../../bench/harness/measure.ts';
import { type Sample, spread } from '../../../bench/harness/samples.ts';
import { planOf, SIZES_OF_OURS } from '../../../bench/plan.ts';

const SAMPLE: Sample = {
  requestsPerSecond: 10_000,
  p50Millis: 1,
  p99Millis: 2,
  cpuMicros: 60,
  rssIdle: 50,
  rssAfter: 80,
  startMillis: 70,
  broken: 0,
};
const HMAC = new Map(SIZES_OF_OURS.map((size) => [size, spread([2])]));

function resultsOf(quick: boolean): Results {
  const results = new Results();
  for (const cell of planOf({ quick, only: null, builds: [], limits: true })) results.add(cell, SAMPLE);
  return results;
}

test.each([true, false])('it measures no cell twice (quick: %s)', (quick) => {
  const keys = planOf({ quick, only: null, builds: [], limits: true }).map(({ subject, load }) => keyOf(subject, load));
  expect(new Set(keys).size).toBe(keys.length);
});

test.each([true, false])('each goal is judged (quick: %s)', (quick) => {
  const unknown = goalsOf(resultsOf(quick), HMAC).filter(({ found }) => Number.isNaN(found.median));
  expect(unknown).toEqual([]);
});
