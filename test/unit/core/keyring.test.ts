// When a secret may be used. Which ones a route lists: test/unit/secrets/rotation.test.ts.
import { expect, test } from 'vitest';
import { stateOf } from '../../../src/core/keyring.ts';
import { NOW, secret } from './fixtures.ts';

test('a secret is live from notBefore on, and before notAfter', () => {
  const state = (validity: { notBefore?: number; notAfter?: number }) => stateOf(secret('a', 'x', validity), NOW);
  expect(state({})).toBe('live');
  expect([state({ notBefore: NOW }), state({ notBefore: NOW + 1 })]).toEqual(['live', 'not_yet']);
  expect([state({ notAfter: NOW + 1 }), state({ notAfter: NOW })]).toEqual(['live', 'expired']);
  expect(state({ notBefore: NOW + 1, notAfter: NOW })).toBe('not_yet');
});
