// Pieces that are joined: the same bytes, in little more memory, and in time linear in their number.
import { Buffer } from 'node:buffer';
import { expect, test } from 'vitest';
import { JoinedBytes } from '../../../src/base/bytes.ts';
import { leastCpu } from '../../support/machine/cpu-time.ts';

const KIB = 1024;

test('pieces are joined in order, and no more is allocated than what came, or what may be allocated ahead', () => {
  const joined = new JoinedBytes(16 * KIB);
  const pieces = Array.from({ length: 300 }, (_, index) => Buffer.alloc(index % 130, index % 256));
  for (const [index, piece] of pieces.entries()) {
    joined.add(piece);
    const all = Buffer.concat(pieces.slice(0, index + 1));
    expect(joined.bytes.equals(all)).toBe(true);
    expect(joined.bytes.buffer.byteLength).toBeLessThanOrEqual(
      Math.max(all.length, Math.min(2 * all.length, 16 * KIB)),
    );
  }
  const one = new JoinedBytes(16 * KIB);
  one.add(Buffer.from('most often there is one piece'));
  expect(one.bytes.buffer.byteLength).toBe(one.length);
});

test('what comes byte by byte costs time linear in its bytes', () => {
  const byte = Buffer.from('x');
  const cost = (size: number) =>
    leastCpu(() => {
      const joined = new JoinedBytes(size);
      for (let at = 0; at < size; at++) joined.add(byte);
    });
  cost(16 * KIB);
  expect(cost(256 * KIB) / cost(16 * KIB)).toBeLessThan(64); // 16 if linear, 256 if quadratic
});
