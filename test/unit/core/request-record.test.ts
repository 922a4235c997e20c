// How a record identifies a body that was not delivered.
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { bodyTag } from '../../../src/core/request-record.ts';

test('a body is identified by the first 16 hex digits of its SHA-256, as sha256sum prints them', () => {
  expect(bodyTag(Buffer.alloc(0))).toBe('e3b0c44298fc1c14');
  const body = Buffer.from([0xff, 0x00, 0xfe]);
  expect(bodyTag(body)).toBe(createHash('sha256').update(body).digest('hex').slice(0, 16));
});
