import { describe, expect, test } from 'vitest';
import { Pace } from '../../../src/bodies/rate.ts';

/** The pace after `bytes` at each of `times`. */
function paced(...pieces: readonly (readonly [bytes: number, at: number])[]): Pace {
  const pace = new Pace(0);
  for (const [bytes, at] of pieces) pace.count(bytes, at);
  return pace;
}

describe('a pace', () => {
  test('is recent: an early burst does not count for ever', () => {
    const pace = paced([1_000_000, 10], [1, 1500], [1, 3000]);
    expect(pace.rate(3500)).toBeLessThan(1);
  });

  test('does not drop to 0 at a window boundary', () => {
    expect(paced([100_000, 500], [1, 1000]).rate(1001)).toBeGreaterThanOrEqual(100);
  });

  test('of a new body is what it sent, not low because it is new', () => {
    expect(paced([64_000, 1]).rate(2)).toBeGreaterThan(paced([400_000, 1]).rate(900));
    expect(paced([1, 1]).rate(2)).toBeLessThan(1);
  });

  test('of silence falls to 0', () => {
    expect(paced([1_000_000, 1], [1, 2000]).rate(1_000_000)).toBeLessThan(0.001);
  });
});
