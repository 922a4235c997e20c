// kill -9 at random moments, of the proxy, the app or both: each delivery that got 202 arrives, byte for byte.
import { expect, test } from 'vitest';
import { killAtRandom } from '../support/redelivery/kills.ts';

test('twenty kills lose nothing and change nothing', async () => {
  const seed = Date.now() % 1_000_000;
  const fates = await killAtRandom({ rounds: Number(process.env.ROUNDS ?? 20), seed });
  console.log('seed', seed, fates);
  expect(fates.lost).toEqual([]);
  expect(fates.changed).toBe(0);
  expect(fates.promised).toBeGreaterThan(50);
});
