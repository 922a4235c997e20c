import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Gather } from '../../../src/http/gather.ts';

test('whatever the pieces, what is taken is what was added, in order', () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 20 }),
    fc.integer({ min: 4000, max: 20_000 }).map((length) => new Uint8Array(length).fill(length)),
  );
  fc.assert(
    fc.property(fc.array(fc.array(piece)), (rounds) => {
      const gather = new Gather();
      for (const pieces of rounds) {
        const expected = Buffer.concat(pieces);
        for (const one of pieces) gather.add(Buffer.from(one));
        expect(gather.length).toBe(expected.length);
        expect(gather.take().equals(expected)).toBe(true);
        expect(gather.length).toBe(0);
      }
    }),
    { numRuns: 200 },
  );
});

test('what was taken does not change with what is added later', () => {
  const gather = new Gather();
  gather.add(Buffer.from('first'));
  const taken = gather.take();
  gather.add(Buffer.from('other'));
  expect(taken.toString()).toBe('first');
});
