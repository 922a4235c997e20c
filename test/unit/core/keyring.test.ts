// Which secrets a route may use, and when.
import { describe, expect, test } from 'vitest';
import { isListed, Keyring, stateOf } from '../../../src/core/keyring.ts';
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

describe('a keyring', () => {
  const [old, current, next] = [
    secret('old', '1', { notAfter: NOW }),
    secret('current', '2'),
    secret('next', '3', { notBefore: NOW + 1 }),
  ] as const;
  const keyring = new Keyring([old, current, next, secret('current.previous', '4')]);
  const ids = (list: readonly { id: string }[]) => list.map(({ id }) => id);

  test('gives the live secrets, in order', () => {
    expect(ids(keyring.live(null, NOW))).toEqual(['current', 'current.previous']);
    expect(ids(keyring.live(null, NOW - 1))).toEqual(['old', 'current', 'current.previous']);
    expect(ids(keyring.live(null, NOW + 1))).toEqual(['current', 'next', 'current.previous']);
  });

  test('gives the listed secrets, live or not', () => {
    expect(ids(keyring.listed(null))).toEqual(['old', 'current', 'next', 'current.previous']);
    expect(ids(keyring.listed(['next', 'old']))).toEqual(['old', 'next']);
    expect(ids(keyring.listed(['current']))).toEqual(['current', 'current.previous']);
    expect(ids(keyring.live(['next', 'old'], NOW))).toEqual([]);
    expect(ids(keyring.listed(['nobody']))).toEqual([]);
    expect(ids(keyring.live([], NOW))).toEqual([]);
  });
});
