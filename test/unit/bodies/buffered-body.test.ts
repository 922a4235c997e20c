// The body reader by itself, fed piece by piece: its result, what it counts while it grows, and what it returns to the
// budget.
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteBudget } from '../../../src/bodies/budget.ts';
import { type BodyEnd, BufferedBody } from '../../../src/bodies/buffered-body.ts';

const KIB = 1024;

function read(options: { maxBody: number; declared?: number; limit?: number }) {
  const budget = new ByteBudget(options.limit ?? 64 * KIB * KIB);
  const results: BodyEnd[] = [];
  const done = (result: BodyEnd) => results.push(result);
  const { maxBody, declared = null } = options;
  const body = new BufferedBody({ budget, maxBody, declared, startedAt: 0, deadline: 1e9, done });
  let pieces = 0;
  return {
    body,
    budget,
    results,
    give: (...given: Uint8Array[]) => {
      for (const piece of given)
        body.receive({ piece: Buffer.from(piece), pieces: ++pieces, state: 'body', trailers: [] });
    },
    end: (last?: Uint8Array) =>
      body.receive({ piece: last === undefined ? null : Buffer.from(last), pieces, state: 'ended', trailers: [] }),
  };
}

test('for any pieces the body is their bytes, and every byte returns to the budget', () => {
  const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 3000 }), { maxLength: 60 });
  fc.assert(
    fc.property(pieces, fc.boolean(), (given, declares) => {
      const expected = Buffer.concat(given);
      const body = read({ maxBody: 200 * KIB, ...(declares ? { declared: expected.length } : {}) });
      body.give(...given);
      body.end();
      expect(body.results).toHaveLength(1);
      const [result] = body.results;
      expect(result !== undefined && 'body' in result && result.body.equals(expected)).toBe(true);
      expect(body.budget.used).toBeGreaterThanOrEqual(expected.length);
      // What is whole can't be ended to make room: a budget that tried to would never stop.
      expect(body.budget.unfinished.size).toBe(0);
      body.body.discard();
      body.body.discard();
      expect(body.budget.used).toBe(0);
    }),
    { numRuns: 300 },
  );
});

test('a growing buffer counts as the old and the new one together', () => {
  const body = read({ maxBody: 1024 * KIB, limit: 600 * KIB });
  body.give(new Uint8Array(60 * KIB), new Uint8Array(60 * KIB + 1)); // 120 KiB, then 240 KiB in addition
  expect(body.results).toEqual([]);
  expect(body.budget.used).toBe(2 * (120 * KIB + 1));
  body.give(new Uint8Array(170 * KIB)); // 290 KiB in addition to 240 are too much
  expect(body.results).toEqual([{ failure: 'overloaded' }]);
  expect(body.budget.used).toBe(0);
});

// Before, bodies of more than half of the budget got 503, since a growing buffer counts as the old and the new one.
test('an idle budget takes seven eighths of itself with a length, half of that in chunks, and no more', () => {
  const passes = (limit: number, size: number, declares: boolean, piece: number) => {
    const { give, end, results } = read({ maxBody: 2 * limit, limit, ...(declares ? { declared: size } : {}) });
    for (let at = 0; at < size; at += piece) give(new Uint8Array(Math.min(piece, size - at)));
    end();
    return results.length === 1 && results[0] !== undefined && 'body' in results[0];
  };
  for (const limit of [4, 64, 256, 1024, 4096].map((kib) => kib * KIB)) {
    const { most } = new ByteBudget(limit);
    for (const piece of [1000, 16 * KIB, 64 * KIB]) {
      for (const share of [0.1, 0.3, 0.49, 0.51, 0.6, 0.75, 0.9, 1]) {
        expect(passes(limit, Math.floor(most * share), true, piece), `${share} of ${limit} by ${piece}`).toBe(true);
        if (share < 0.5) expect(passes(limit, Math.floor(most * share), false, piece)).toBe(true);
      }
      for (const declares of [true, false]) expect(passes(limit, most + 1, declares, piece)).toBe(false);
    }
  }
});

test('a body that can never fit ends no other', () => {
  const first = read({ maxBody: 1024 * KIB, limit: 420 * KIB });
  first.give(new Uint8Array(KIB));
  const { budget } = first;
  const ends: BodyEnd[] = [];
  const done = (end: BodyEnd) => ends.push(end);
  const second = new BufferedBody({
    budget,
    maxBody: 1024 * KIB,
    declared: 400 * KIB,
    startedAt: 0,
    deadline: 1e9,
    done,
  });
  second.receive({ piece: Buffer.alloc(64 * KIB), pieces: 1, state: 'body', trailers: [] });
  expect(ends).toEqual([{ failure: 'overloaded' }]);
  expect(first.results).toEqual([]);
});

test('a declared body gets its whole buffer at once behind 64 KiB, while half of the budget stays free', () => {
  const used = (limit: number, declared: { declared?: number } = { declared: 1024 * KIB }) => {
    const { give, budget } = read({ maxBody: 1024 * KIB, limit, ...declared });
    return Array.from({ length: 3 }, () => {
      give(new Uint8Array(60 * KIB));
      return budget.used / KIB;
    });
  };
  // The buffer before counts, too.
  expect(used(2 * (120 + 1024) * KIB)).toEqual([120, 120, 1024]);
  expect(used(2 * (120 + 1024) * KIB - 1)).toEqual([120, 120, 360]);
  expect(used(4096 * KIB, {})).toEqual([120, 120, 360]);
});

describe('a body that arrives complete with its head', () => {
  test('is not copied, and counts the memory that it keeps alive', () => {
    const own = Buffer.from(new ArrayBuffer(508), 500);
    const body = read({ maxBody: KIB });
    expect(body.body.receive({ piece: own, pieces: 1, state: 'ended', trailers: [] })).toBe('in use');
    expect(body.results).toEqual([{ body: own }]);
    expect(body.budget.used).toBe(own.buffer.byteLength);
  });

  test('is copied if it would keep much more memory alive than its own', () => {
    const slice = Buffer.from(new ArrayBuffer(64 * KIB), 0, 8);
    const body = read({ maxBody: KIB });
    expect(body.body.receive({ piece: slice, pieces: 1, state: 'ended', trailers: [] })).toBe('free');
    expect(body.budget.used).toBeLessThan(KIB);
  });
});

test('a discarded body is released at once; one that may still be being sent is not', () => {
  const grown = (): { body: BufferedBody; whole: Buffer } => {
    const { body, results, give, end } = read({ maxBody: 200 * KIB });
    give(new Uint8Array(20 * KIB), new Uint8Array(20 * KIB));
    end();
    const [result] = results;
    if (result === undefined || !('body' in result)) throw new Error('no body');
    return { body, whole: result.body };
  };
  const sent = grown();
  sent.body.discard();
  expect(sent.whole.length).toBe(0);
  const onItsWay = grown();
  onItsWay.body.forget();
  expect(onItsWay.whole.length).toBe(40 * KIB);
});
