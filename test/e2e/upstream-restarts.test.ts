// An upstream that restarts under load loses nothing that was not sent.
// The upstream goes away five times under load, for two seconds each, alternately by a graceful stop and a kill. Unsent
// requests wait for it. Requests in flight at a kill get 502, are counted by cause, and are never sent twice.
import { expect, test } from 'vitest';
import { type Result, startPacedLoad, tally } from '../support/load/paced-load.ts';
import { delivery, pause, RATE, startUnderLoad } from '../support/load/under-load.ts';

const SECRET = 'value-of-current-0123456789-0123456789';
const AWAY_MS = 2000;
const SLOTS = 64;
const CLIENTS = 300;
const BUDGET = 4 * 1024 * 1024;
const SIGNALS = ['SIGTERM', 'SIGKILL', 'SIGTERM', 'SIGKILL', 'SIGKILL'] as const;

test('five restarts, graceful and not', async () => {
  const { proxy, upstream } = await startUnderLoad(
    () => ({
      upstream: { connections: SLOTS, retryConnectFor: '10s' },
      limits: { bufferedBytes: BUDGET },
      log: { requests: 'none' },
      routes: [{ path: '/notify' }],
    }),
    { secrets: { current: SECRET }, delay: 5 },
  );
  const load = startPacedLoad({
    url: proxy.url,
    rate: RATE,
    connections: CLIENTS,
    next: (nth) => delivery(nth, SECRET),
  });
  const gauges = watchGauges(proxy);
  const outages: {
    readonly signal: NodeJS.Signals;
    readonly signalled: number;
    readonly gone: number;
    readonly back: number;
  }[] = [];
  for (const signal of SIGNALS) {
    await pause(3000);
    const signalled = Date.now();
    await upstream.stop(signal);
    const gone = Date.now();
    await pause(AWAY_MS);
    const back = Date.now();
    await upstream.start();
    outages.push({ signal, signalled, gone, back });
  }
  await pause(3000);
  const results = await load.stop();
  const seen = await gauges.stop();
  const metrics = await proxy.metrics();

  const failed = results.filter(({ status }) => status !== 200);
  const during = (signal: NodeJS.Signals) =>
    failed.filter(({ sent, done }) =>
      outages.some((o) => o.signal === signal && sent <= o.back && done >= o.signalled),
    );
  console.log(`${results.length} requests`, tally(results), 'failed at SIGTERM', tally(during('SIGTERM')));
  console.log('most in flight', seen.inFlight, 'most bytes', seen.bytes);

  // Every request was answered, and those in flight got 502.
  expect(Object.keys(tally(results)).filter((key) => key !== '200' && key !== '502')).toEqual([]);
  // Requests sent while the upstream was away had not been forwarded, so they are delivered.
  const waiting = results.filter(({ sent }) => outages.some(({ gone, back }) => sent > gone && sent < back));
  expect(waiting.length).toBeGreaterThan(outages.length);
  expect(tally(waiting)).toEqual({ 200: waiting.length });
  // 502 only for requests that overlap a stop, and never more than there are slots.
  expect(failed.length).toBe(
    failed.filter(({ sent, done }) => outages.some((o) => sent <= o.gone && done >= o.signalled)).length,
  );
  for (const outage of outages) expect(inFlightAt(failed, outage.gone)).toBeLessThanOrEqual(SLOTS);
  expect(failed.length).toBeLessThanOrEqual(SLOTS * outages.length);
  // Counted by cause, one for one.
  const causes = ['connect', 'timeout', 'reset', 'protocol'].map(
    (cause) => metrics.get(`entrupy_proxy_upstream_failures_total{route="/notify",cause="${cause}"}`) ?? Number.NaN,
  );
  expect(causes).toEqual([0, 0, failed.length, 0]);
  // None was delivered twice; each 200 was delivered; every other delivery got 502.
  const delivered = upstream.deliveries();
  expect([...delivered].filter(([, times]) => times !== 1)).toEqual([]);
  const bad = new Set(failed.map(({ id }) => id));
  expect(results.filter(({ id, status }) => status === 200 && !delivered.has(id))).toEqual([]);
  expect([...delivered.keys()].filter((id) => bad.has(id)).length).toBe(
    delivered.size - (results.length - failed.length),
  );
  // The queue and the budget stayed within bounds, and both are empty again.
  expect(seen.inFlight).toBeLessThanOrEqual(CLIENTS);
  expect(seen.bytes).toBeLessThanOrEqual(BUDGET);
  expect(seen.bytes).toBeGreaterThan(0);
  expect(metrics.get('entrupy_proxy_requests_in_flight')).toBe(0);
  expect(metrics.get('entrupy_proxy_buffered_bytes')).toBe(0);
});

/** How many of them were in flight at that moment. */
function inFlightAt(results: readonly Result[], at: number): number {
  return results.filter(({ sent, done }) => sent <= at && done >= at).length;
}

/** The peaks of two gauges, sampled ten times a second. */
function watchGauges(proxy: { metrics(): Promise<Map<string, number>> }) {
  const seen = { inFlight: 0, bytes: 0 };
  let running = true;
  const looking = (async () => {
    while (running) {
      const metrics = await proxy.metrics();
      seen.inFlight = Math.max(seen.inFlight, metrics.get('entrupy_proxy_requests_in_flight') ?? 0);
      seen.bytes = Math.max(seen.bytes, metrics.get('entrupy_proxy_buffered_bytes') ?? 0);
      await pause(100);
    }
  })();
  return {
    async stop() {
      running = false;
      await looking;
      return seen;
    },
  };
}
