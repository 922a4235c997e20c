// kill -9 at random moments, of the proxy, the app or both, and SIGTERM: each delivery that got 202 arrives, byte for byte, or
// a person dropped it, or a line says that it is lost; and what waited and was stored adds up with what ended and is there.
import { expect } from 'vitest';
import { HAS_SERVERS, REDIS_OR_VALKEY } from '../support/once/redis.ts';
import { test } from '../support/proxy/proxied.ts';
import { killAtRandom, TIGHT } from '../support/redelivery/kills.ts';

const ROUNDS = Number(process.env.ROUNDS ?? 20);
const STORES = [['directory', {}], ['directory', TIGHT], ...(HAS_SERVERS ? [['Redis', TIGHT] as const] : [])] as const;

test.concurrent.for(STORES)(
  'kills lose nothing unnamed in a %s with %j',
  { timeout: 30_000 * ROUNDS },
  async ([kind, settings], { redis }) => {
    const store = kind === 'Redis' && { store: (await redis(REDIS_OR_VALKEY)).url };
    const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
    const fates = await killAtRandom({ rounds: ROUNDS, seed, redelivery: { ...settings, ...store } });
    console.log('seed', seed, kind, settings, fates);
    expect(fates).toMatchObject({ lost: [], changed: 0, amiss: [] });
    expect(fates.promised).toBeGreaterThan(settings === TIGHT ? ROUNDS : 50);
    expect(fates.whys.length > 0).toBe(settings === TIGHT);
    // The lives whose counters are known may lose none, or deliver none of a small store: of these the lines above speak.
    for (const result of ['dropped', 'expired', 'replaced']) expect(fates.counted[result], result).toBeGreaterThan(0);
    if (settings !== TIGHT) expect(fates.counted.delivered).toBeGreaterThan(0);
  },
);
