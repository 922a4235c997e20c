// The benchmark's plan: it measures nothing twice, and the goals find their data in both kinds of run. And how repeated
// measurements are summarised.
import { describe, expect, it } from 'vitest';
import { goalsOf } from '../../../bench/goals.ts';
import { keyOf, Results } from '../../../bench/harness/measure.ts';
import { ratio, type Sample, spread } from '../../../bench/harness/samples.ts';
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

function samples(...cpu: number[]): Sample[] {
  return cpu.map((cpuMicros) => ({ ...SAMPLE, cpuMicros }));
}

describe('spread', () => {
  it('gives the median, the minimum and the maximum, in any order', () => {
    expect(spread([9, 1, 2])).toEqual({ median: 2, min: 1, max: 9 });
  });

  it('takes the mean of the middle two of an even number', () => {
    expect(spread([4, 1, 2, 9]).median).toBe(3);
  });

  it('is NaN if nothing was measured', () => {
    expect(spread([]).median).toBeNaN();
  });
});

describe('ratio', () => {
  it('pairs by turn, so a slow moment of the machine cancels out', () => {
    expect(ratio(samples(20, 60, 22), samples(10, 30, 10), 'cpuMicros')).toEqual({ median: 2, min: 2, max: 2.2 });
  });

  it('is NaN if the other was not measured', () => {
    expect(ratio(samples(20), [], 'cpuMicros').median).toBeNaN();
  });
});
