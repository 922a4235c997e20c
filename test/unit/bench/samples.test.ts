// How repeated measurements are summarised.
import { describe, expect, it } from 'vitest';
import { ratio, type Sample, spread } from '../../../bench/harness/samples.ts';

function samples(...cpu: number[]): Sample[] {
  const rest = { requestsPerSecond: 0, p50Millis: 0, p99Millis: 0, rssIdle: 0, rssAfter: 0, startMillis: 0, broken: 0 };
  return cpu.map((cpuMicros) => ({ ...rest, cpuMicros }));
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
