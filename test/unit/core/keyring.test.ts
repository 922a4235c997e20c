// Which secrets a route may use, and when.
import { expect, test } from 'vitest';
import { isListed, stateOf } from '../../../src/core/keyring.ts';
import { NOW, secret } from './fixtures.ts';

test('a secret is live from notBefore on, and before notAfter', () => {
  const state = (validity: { notBefore?: number; notAfter?: number }) => stateOf(secret('a', 'x', validity), NOW);
  expect(state({})).toBe('live');
  expect([state({ notBefore: NOW }), state({ notBefore: NOW + 1 })]).toEqual(['live', 'not_yet']);
  expect([state({ notAfter: NOW + 1 }), state({ notAfter: NOW })]).toEqual(['live', 'expired']);
  expect(state({ notBefore: NOW + 1, notAfter: NOW })).toBe('not_yet');
});

test('a list names ids, and their previous values', () => {
  expect(isListed('a', null)).toBe(true);
  expect(isListed('a', ['a', 'b'])).toBe(true);
  expect(isListed('a.previous', ['a'])).toBe(true);
  expect(isListed('a.previous', ['b'])).toBe(false);
  expect(isListed('a', ['a.previous'])).toBe(false);
  expect(isListed('a', [])).toBe(false);
  expect(isListed('.previous', ['a'])).toBe(false);
});
