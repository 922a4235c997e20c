// The body reader by itself, fed piece by piece: what comes out, what it counts while it grows, what it gives back.
import { Buffer } from 'node:buffer';
import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BodyReader, type BodyResult } from '../../../src/http/body.ts';
import { ByteBudget } from '../../../src/http/budget.ts';

const KIB = 1024;

function read(options: { maxBody: number; declared?: number; limit?: number }) {
  const request = Object.assign(new EventEmitter(), { complete: false });
  const budget = new ByteBudget(options.limit ?? 64 * KIB * KIB);
  const results: BodyResult[] = [];
  const reader = new BodyReader(
    request as unknown as IncomingMessage,
    budget,
    { maxBody: options.maxBody, declared: options.declared ?? null, startedAt: 0, deadline: 1e9, now: () => 0 },
    (result) => results.push(result),
  );
  reader.start();
  return {
    reader,
    budget,
    results,
    give: (...pieces: Uint8Array[]) => {
      for (const piece of pieces) request.emit('data', Buffer.from(piece));
    },
    end: (complete = true) => {
      request.complete = complete;
      request.emit('end');
    },
  };
}

test('whatever the pieces, the body is their bytes, and every byte comes back to the budget', () => {
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
      body.reader.release();
      expect(body.budget.used).toBe(0);
    }),
    { numRuns: 300 },
  );
});

test('a buffer that grows counts as the old and the new one together', () => {
  const body = read({ maxBody: 1024 * KIB, limit: 400 * KIB });
  body.give(new Uint8Array(60 * KIB), new Uint8Array(1)); // 60 KiB, and then 120 KiB beside them
  expect(body.results).toEqual([]);
  expect(body.budget.used).toBe(2 * (60 * KIB + 1));
  body.give(new Uint8Array(60 * KIB + 10)); // 240 KiB beside 120 are too much
  expect(body.results).toEqual([{ failure: 'overloaded' }]);
  expect(body.budget.used).toBe(0);
});

describe('a body is refused, once, and gives back what it held', () => {
  test.each([
    ['one byte more than maxBody', 'body_too_large', [new Uint8Array(10), new Uint8Array(7)]],
    ['pieces of one byte', 'bad_request', Array(2000).fill(new Uint8Array(1))],
  ] as const)('%s', (_name, failure, pieces) => {
    const body = read({ maxBody: failure === 'body_too_large' ? 16 : 100 * KIB });
    body.give(...pieces);
    body.end();
    expect(body.results).toEqual([{ failure }]);
    expect(body.budget.used).toBe(0);
  });

  test('the end of a message that is not complete', () => {
    const body = read({ maxBody: 16 });
    body.give(new Uint8Array(3));
    body.end(false);
    expect(body.results).toEqual([{ failure: 'bad_request' }]);
    expect(body.budget.used).toBe(0);
  });

  test('its deadline, then a client that leaves', () => {
    const body = read({ maxBody: 16 });
    body.give(new Uint8Array(3));
    body.budget.sweep(2e9);
    body.reader.fail('client_closed');
    expect(body.results).toEqual([{ failure: 'body_timeout' }]);
    expect(body.budget.used).toBe(0);
  });
});
