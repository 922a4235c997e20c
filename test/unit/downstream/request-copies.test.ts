// The memory that a capture holds while requests are under way, whatever their clients send.
import { Buffer } from 'node:buffer';
import { expect, test } from 'vitest';
import { RequestCopy } from '../../../src/downstream/request-copies.ts';

const MIB = 1024 * 1024;

test('all copies together have what one request may have, and 1 MiB; each that does not fit is dropped whole', () => {
  const room = { mostBytes: 2 * MIB, used: 0 };
  const piece = Buffer.alloc(MIB / 4, 'x');
  const many = Array.from({ length: 100 }, () => new RequestCopy(room));
  for (let nth = 0; nth < 9; nth++) for (const copy of many) copy.add(piece);
  expect(many.filter(({ isWhole }) => isWhole)).toEqual([]); // 9 pieces are more than one may have
  for (const copy of many) copy.release();
  const few = Array.from({ length: 100 }, () => new RequestCopy(room));
  for (const copy of few) copy.add(piece);
  const whole = few.filter(({ isWhole }) => isWhole);
  expect([whole.length, few.reduce((sum, { bytes }) => sum + bytes.length, 0)]).toEqual([12, 3 * MIB]);
  for (const copy of few) copy.release();
  const one = new RequestCopy(room);
  for (let nth = 0; nth < 8; nth++) one.add(piece);
  expect([one.isWhole, one.bytes.length]).toEqual([true, 2 * MIB]);
  one.add(piece.subarray(0, 1));
  expect([one.isWhole, one.bytes.length]).toEqual([false, 0]);
});
