// The benchmark's plan: it measures nothing twice, and the goals find their data in both kinds of run.
import { expect, it } from 'vitest';
import { goalsOf } from '../../../bench/goals.ts';
import { keyOf, Results } from '../../../bench/harness/measure.ts';
import type { Sample } from '../../../bench/harness/samples.ts';
import { spread } from '../../../bench/harness/samples.ts';
import { planOf, SIZES_OF_OURS } from '../../../bench/plan.ts';
import { reportOf } from '../../../bench/report.ts';

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

it.each([true, false])('measures no cell twice (quick: %s)', (quick) => {
  const keys = planOf({ quick, only: null, builds: [], limits: true }).map(({ subject, load }) => keyOf(subject, load));
  expect(new Set(keys).size).toBe(keys.length);
});

it.each([true, false])('judges every goal (quick: %s)', (quick) => {
  const unknown = goalsOf(resultsOf(quick), HMAC).filter(({ found }) => Number.isNaN(found.median));
  expect(unknown).toEqual([]);
});

it('takes only the named subjects', () => {
  const names = planOf({ quick: false, only: ['floor', 'haproxy'], builds: [], limits: true }).map(
    ({ subject }) => subject.name,
  );
  expect(new Set(names)).toEqual(new Set(['floor', 'haproxy']));
});

it('shows a table for each size and number of connections, and leaves out unmeasured cells', () => {
  expect(
    reportOf({ results: resultsOf(false), hmac: HMAC, builds: [] }).match(/^### .*connections?$/gm)?.length,
  ).toBeGreaterThan(9);
  expect(reportOf({ results: new Results(), hmac: HMAC, builds: [] })).not.toContain('| ours |');
});
