// Redis stops and starts under load, and no request hangs.
// The store of `once` is stopped, killed and frozen under load, and comes back each time. onStoreFailure decides what
// happens to requests in the meantime. In every case each request is answered soon, none is lost, and each event is
// delivered once.
import { expect, onTestFinished, test } from 'vitest';
import { type Delivery, type Result, startPacedLoad, tally } from '../support/load/paced-load.ts';
import { delivery, pause, startUnderLoad } from '../support/load/under-load.ts';
import {
  HAS_SERVERS,
  REDIS_OR_VALKEY,
  type RedisProgram,
  type RedisServer,
  startRedis,
  VALKEY_OR_REDIS,
} from '../support/once/redis.ts';

const SECRET = 'value-of-current-0123456789-0123456789';
const RATE = 500;
const AWAY_MS = 2000;
const BETWEEN_MS = 1500;
/** The proxy may wait a second for the store; the rest is for a busy machine. */
const ANSWERED_WITHIN_MS = 3000;

/** Each takes the store away and returns the function that brings it back. */
const OUTAGES: readonly ((redis: RedisServer) => Promise<() => Promise<void>>)[] = [
  async (redis) => {
    await redis.ask('SHUTDOWN', 'NOSAVE').catch(() => {}); // it exits without a reply
    await redis.kill();
    return () => redis.start();
  },
  async (redis) => {
    await redis.kill();
    return () => redis.start();
  },
  async (redis) => {
    redis.pause();
    return async () => redis.resume();
  },
];

interface Span {
  readonly gone: number;
  readonly back: number;
}

test.skipIf(!HAS_SERVERS)('onStoreFailure: forward (Redis)', async () => {
  const { results, spans, proxy, deliveries } = await runThrough('forward', REDIS_OR_VALKEY);
  expect(tally(results)).toEqual({ 200: results.length });
  const during = results.filter(({ sent, done }) => spans.some(({ gone, back }) => sent > gone && done < back));
  expect(during.length).toBeGreaterThan(RATE);
  // Each asked the store in vain: once for its lease, once when it ended.
  expect(await failures(proxy)).toBeGreaterThanOrEqual(during.length);
  expect(new Set(deliveries.keys())).toEqual(new Set(results.map(({ id }) => id)));
});

test.skipIf(!HAS_SERVERS)('onStoreFailure: refuse (Valkey)', async () => {
  const { results, spans, proxy, deliveries } = await runThrough('refuse', VALKEY_OR_REDIS);
  const refused = results.filter(({ status }) => status !== 200);
  expect(Object.keys(tally(refused))).toEqual(['503']);
  // Refusals happen only in an outage, and the proxy notices a recovered store within about a second.
  const apart = refused.filter(
    ({ sent, done }) => !spans.some(({ gone, back }) => done >= gone && sent <= back + 1500),
  );
  expect(apart).toEqual([]);
  expect(await failures(proxy)).toBeGreaterThanOrEqual(refused.length);
  // The sender retried refused deliveries, and each went through exactly once.
  const taken = results.filter(({ status }) => status === 200).map(({ id }) => id);
  expect(new Set(taken)).toEqual(new Set(results.map(({ id }) => id)));
  expect(new Set(deliveries.keys())).toEqual(new Set(taken));
});

/** Runs the outages and checks what is the same in both modes. */
async function runThrough(mode: 'forward' | 'refuse', program: RedisProgram) {
  const redis = await startRedis(program);
  onTestFinished(() => redis.kill());
  const { proxy, upstream } = await startUnderLoad(
    () => ({
      routes: [{ path: '/notify', once: '1h' }],
      once: { store: redis.url, onStoreFailure: mode },
      log: { requests: 'none' },
    }),
    { secrets: { current: SECRET }, delay: 2 },
  );
  const again: { readonly at: number; readonly delivery: Delivery }[] = [];
  const load = startPacedLoad({
    url: proxy.url,
    rate: RATE,
    connections: 700,
    next: (nth) => ((again[0]?.at ?? Infinity) < Date.now() ? again.shift()?.delivery : null) ?? delivery(nth, SECRET),
    onResult: (sent, { status }) => {
      if (status === 503) again.push({ at: Date.now() + 500, delivery: sent });
    },
  });
  const spans: Span[] = [];
  for (const takeAway of OUTAGES) {
    await pause(BETWEEN_MS);
    const gone = Date.now();
    const bringBack = await takeAway(redis);
    await pause(AWAY_MS);
    await bringBack();
    spans.push({ gone, back: Date.now() });
  }
  do await pause(BETWEEN_MS);
  while (again.length > 0);
  const results = await load.stop();
  const slowest = Math.max(...results.map(({ sent, done }) => done - sent));
  const deliveries = upstream.deliveries();
  console.log(`${mode}: ${results.length} requests`, tally(results), `slowest ${slowest} ms`, await failures(proxy));

  expect(slowest).toBeLessThan(ANSWERED_WITHIN_MS);
  expect([...deliveries].filter(([, times]) => times !== 1)).toEqual([]);
  // The log has the start and the end of each outage, and nothing in between.
  const logged = proxy
    .logs()
    .flatMap(({ msg }) => (String(msg).startsWith('the store of delivered events') ? [msg] : []));
  const [fails, answers] = ['the store of delivered events fails', 'the store of delivered events works again'];
  expect(logged).toEqual(OUTAGES.flatMap(() => [fails, answers]));
  expect((await proxy.metrics()).get('entrupy_proxy_requests_in_flight')).toBe(0);
  return { results: results satisfies readonly Result[], spans, proxy, deliveries };
}

async function failures(proxy: { metrics(): Promise<Map<string, number>> }): Promise<number> {
  return (await proxy.metrics()).get('entrupy_proxy_once_store_failures_total') ?? Number.NaN;
}
