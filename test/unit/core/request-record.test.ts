// How a record identifies a body that was not delivered.
import { hash } from 'node:crypto';
import { expect, test } from 'vitest';
import { bodyTag } from '../../../src/core/request-record.ts';

test('a body is identified by the first 16 hex digits of its SHA-256, as sha256sum prints them', () => {
  expect(bodyTag(hash('sha256', '', 'hex'))).toBe('e3b0c44298fc1c14');
});
