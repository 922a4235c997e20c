// What became of a delivery follows from the end of the upstream's part alone.
import { expect, test } from 'vitest';
import { type Fate, fateOf, possibleFates } from '../../../src/core/fate.ts';
import { forward, reject, verify } from './fixtures.ts';

type Failed = Parameters<typeof fateOf>[0]['failed'];

test.each<[Fate, number, Failed]>([
  ['taken', 200, null],
  ['taken', 304, null],
  ['taken', 200, 'client'], // we cut it for the sake of its client, who reads too slowly
  ['refused', 400, null],
  ['refused', 499, null],
  ['refused', 404, 'client'],
  ['failed', 408, null],
  ['failed', 425, null],
  ['failed', 429, null],
  ['failed', 500, null],
  ['failed', 599, 'client'],
  ['failed', 200, 'upstream'],
  ['failed', 404, 'upstream'],
  ['failed', 0, 'upstream'],
  ['failed', 0, 'client'], // our 503
  ['abandoned', 0, null],
])('%s: status %i, failed by %s', (fate, status, failed) => {
  expect(fateOf({ stored: false, failed, status })).toBe(fate);
  expect(fateOf({ stored: true, failed, status })).toBe('deferred');
});

test('a route that verifies has the fates that its options allow, and no other route has any', () => {
  const plain = ['taken', 'refused', 'failed', 'abandoned'];
  expect(possibleFates(verify('/notify'))).toEqual(plain);
  expect(possibleFates(verify('/notify', { once: 1, mode: 'report' }))).toEqual([...plain, 'duplicate']);
  expect(possibleFates(verify('/notify', { redeliver: 1 }))).toEqual([...plain, 'deferred']);
  expect(possibleFates(forward('/open'))).toEqual([]);
  expect(possibleFates(reject('/closed'))).toEqual([]);
});
