// The byte budget by itself: what fits, which body is ended when it is full, and that every byte is returned.
import { describe, expect, test } from 'vitest';
import { BodyRate, ByteBudget, SMALL_BODY, type UnfinishedBody } from '../../../src/bodies/budget.ts';

const MIB = 1024 * 1024;

class Body implements UnfinishedBody {
  buffered = 0;
  ended = '';
  readonly #budget: ByteBudget;
  readonly #rate: number;
  readonly #taken: number[] = [];

  constructor(budget: ByteBudget, rate: number) {
    this.#budget = budget;
    this.#rate = rate;
    budget.unfinished.add(this);
  }

  take(bytes: number): boolean {
    if (!this.#budget.reserve(bytes, this)) return false;
    this.#taken.push(bytes);
    this.buffered += bytes;
    return true;
  }

  rate(): number {
    return this.#rate;
  }

  fail(): void {
    this.ended = 'evicted';
    this.#budget.unfinished.delete(this);
    for (const bytes of this.#taken.splice(0)) this.#budget.release(bytes);
    this.buffered = 0;
  }
}

describe('a full budget', () => {
  test('ends the slowest body, not the newest', () => {
    const budget = new ByteBudget(8 * MIB);
    const bodies = [5, 1, 3].map((rate) => new Body(budget, rate));
    for (const body of bodies) expect(body.take(2 * MIB)).toBe(true);
    const newcomer = new Body(budget, 4);
    expect(newcomer.take(2 * MIB)).toBe(true);
    expect(bodies.map(({ ended }) => ended)).toEqual(['', 'evicted', '']);
    expect(newcomer.ended).toBe('');
  });

  test('ends the newest body if it is the slowest itself', () => {
    const budget = new ByteBudget(4 * MIB);
    const first = new Body(budget, 5);
    const second = new Body(budget, 1);
    expect(first.take(MIB)).toBe(true);
    expect(second.take(MIB)).toBe(true);
    expect(second.take(3 * MIB)).toBe(false);
    expect([first.ended, second.ended]).toEqual(['', 'evicted']);
  });

  test('refuses a body if no unfinished one is left to end', () => {
    const budget = new ByteBudget(4 * MIB);
    const whole = new Body(budget, 1);
    expect(whole.take(3 * MIB)).toBe(true);
    budget.unfinished.delete(whole); // it is complete, and being sent to the upstream
    const newcomer = new Body(budget, 5);
    expect(newcomer.take(2 * MIB)).toBe(false);
    expect([whole.ended, newcomer.ended]).toEqual(['', '']);
  });
});

test('an eighth is reserved for bodies up to 64 KiB', () => {
  const budget = new ByteBudget(8 * MIB);
  const large = new Body(budget, 5);
  expect(large.take(7 * MIB)).toBe(true);
  budget.unfinished.delete(large);
  expect(new Body(budget, 5).take(SMALL_BODY + 1)).toBe(false);
  for (let count = 0; count < 16; count++) expect(new Body(budget, 5).take(SMALL_BODY)).toBe(true);
  expect(budget.used).toBe(8 * MIB);
});

test('a small body is not ended for a large one while there is room for small ones', () => {
  const budget = new ByteBudget(8 * MIB);
  const small = new Body(budget, 0);
  expect(small.take(1000)).toBe(true);
  const large = new Body(budget, 5);
  expect(large.take(7 * MIB)).toBe(true);
  expect(new Body(budget, 9).take(MIB)).toBe(true);
  expect([small.ended, large.ended]).toEqual(['', 'evicted']);
});

test('the largest buffer that it ever has room for fits when it is empty, and one byte more does not', () => {
  for (const limit of [1024, SMALL_BODY, SMALL_BODY + 1, 70_000, MIB, 64 * MIB]) {
    const budget = new ByteBudget(limit);
    expect(budget.reserve(budget.most, null), `${limit}`).toBe(true);
    budget.release(budget.most);
    expect(budget.reserve(budget.most + 1, null), `${limit}`).toBe(false);
  }
});

test('what is held counts even where there is no room', () => {
  const budget = new ByteBudget(1000);
  budget.count(1500);
  expect(budget.used).toBe(1500);
  expect(budget.reserve(1, null)).toBe(false);
  budget.release(1500);
  expect(budget.reserve(1000, null)).toBe(true);
});

/** The rate after `bytes` at each of `times`. */
function arrived(...pieces: readonly (readonly [bytes: number, at: number])[]): BodyRate {
  const rate = new BodyRate(0);
  for (const [bytes, at] of pieces) rate.count(bytes, at);
  return rate;
}

describe('the rate at which a body comes', () => {
  test('is recent: an early burst does not count for ever', () => {
    const rate = arrived([1_000_000, 10], [1, 1500], [1, 3000]);
    expect(rate.rate(3500)).toBeLessThan(1);
  });

  test('does not drop to 0 at a window boundary', () => {
    expect(arrived([100_000, 500], [1, 1000]).rate(1001)).toBeGreaterThanOrEqual(100);
  });

  test('of a new body is what it sent, not low because it is new', () => {
    expect(arrived([64_000, 1]).rate(2)).toBeGreaterThan(arrived([400_000, 1]).rate(900));
    expect(arrived([1, 1]).rate(2)).toBeLessThan(1);
  });

  test('of silence falls to 0', () => {
    expect(arrived([1_000_000, 1], [1, 2000]).rate(1_000_000)).toBeLessThan(0.001);
  });
});
