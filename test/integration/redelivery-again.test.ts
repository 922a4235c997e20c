// What becomes of deferred deliveries: sent again at their pace, dropped, or expired.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { eventually } from '../support/proxy/proxied.ts';
import {
  DEFERRED,
  defer,
  deferred,
  deliver,
  nothingDeferred,
  recordsIn,
  redeliver,
  results,
  test,
} from '../support/redelivery/redelivery.ts';

test.concurrent('a later attempt is told from the first, across restarts', async ({ app, redeliverer, directory }) => {
  const first = await redeliverer();
  app.answer = () => 503;
  await defer(first, 'event');
  await eventually(() => app.requests.length >= 3, true);
  await first.stop();
  const before = app.requests.length;
  const next = await redeliverer();
  await eventually(() => app.requests.length > before, true);
  app.answer = () => 200;
  await redeliver(next);
  await nothingDeferred(next);
  const line = await next.waitForLog(({ msg }) => msg === 'a deferred delivery was taken');
  expect(line.attempts).toBeGreaterThanOrEqual(2);
  expect(await recordsIn(directory)).toEqual([]);
});

test.concurrent('an app that is down gets one probe, once it is up all that waits', async ({ app, redeliverer }) => {
  const proxy = await redeliverer();
  app.answer = () => 500;
  for (let at = 0; at < 30; at++) await defer(proxy, `event ${at}`);
  app.answer = (body) => (body === 'event 7' ? 500 : 200);
  await redeliver(proxy);
  await eventually(async () => (await deferred(proxy)).waiting, 1);
  expect(await results(proxy, 'delivered')).toBe(29);
});

test.concurrent('with once a sending claims as a delivery does, and its 2xx counts', async ({ app, redeliverer }) => {
  const proxy = await redeliverer({ route: { once: '1h' } });
  app.answer = () => 500;
  for (const target of ['/notify?1', '/notify?2']) expect(await deliver(proxy, 'event', { target })).toEqual(DEFERRED);
  app.answer = () => 200;
  await nothingDeferred(proxy);
  expect(app.requests).toHaveLength(3);
  expect(await results(proxy, 'delivered')).toBe(2);
  expect(await deliver(proxy, 'event')).toEqual({ status: 200, text: '{"status":"duplicate"}' });
});

test.concurrent('with once a client that leaves beside its twin loses nothing', async ({ app, redeliverer }) => {
  const proxy = await redeliverer({ route: { once: '1h' }, upstream: { responseTimeout: '300ms' } });
  app.answer = () => 'hang';
  const twins = await Promise.all([deliver(proxy, 'event'), deliver(proxy, 'event')]);
  expect(twins).toEqual([DEFERRED, DEFERRED]);
  app.answer = () => 200;
  await nothingDeferred(proxy);
});

test.concurrent('at its window’s end one is tried, removed, told', async ({ app, redeliverer, directory }) => {
  const proxy = await redeliverer({ route: { redeliver: '2500ms' } });
  app.answer = () => 500;
  await defer(proxy, 'event');
  await proxy.waitForLog(({ msg }) => msg === 'a deferred delivery is lost: its window is over');
  await nothingDeferred(proxy);
  expect(await results(proxy, 'expired')).toBe(1);
  expect(await recordsIn(directory)).toEqual([]);
  expect(app.requests.length).toBeGreaterThanOrEqual(3);
});

test.concurrent('a second process stores nothing, tells, sends what the first left', async ({
  app,
  redeliverer,
  directory,
}) => {
  const first = await redeliverer();
  const second = await redeliverer();
  await second.waitForLog(({ problem }) => String(problem).endsWith('another process uses it'));
  app.answer = () => 500;
  expect(await deliver(second, 'passes')).toMatchObject({ status: 500 });
  await defer(first, 'stored');
  const asked = await fetch(`${second.adminUrl}/-/redeliver`, { method: 'POST' });
  const message = `${join(directory, 'deferred')}: another process uses it`;
  expect([asked.status, await asked.json()]).toEqual([503, { error: 'store_failed', message }]);
  first.signal('SIGKILL');
  await first.exited;
  app.answer = () => 200;
  await eventually(() => results(second, 'delivered'), 1);
  expect(app.bodies().at(-1)).toBe('stored');
});

test.concurrent('nothing is loaded, and no folder made, for no route', async ({ redeliverer, directory }) => {
  const proxy = await redeliverer({ config: { routes: [{ path: '/notify' }] } });
  const metrics = await proxy.metrics();
  // The store is configured, so the gauges are there.
  expect(metrics.get('entrupy_proxy_deferred_deliveries{state="waiting"}')).toBe(0);
  expect((await redeliver(proxy)).status).toBe(409);
  expect(existsSync(join(directory, 'deferred'))).toBe(false);
});
