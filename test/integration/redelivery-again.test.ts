// What becomes of deferred deliveries: sent again at their pace, dropped, or expired.
import { rm } from 'node:fs/promises';
import { expect } from 'vitest';
import { eventually } from '../support/proxy/proxied.ts';
import {
  DEFERRED,
  deferred,
  deliver,
  nothingDeferred,
  recordFile,
  recordsIn,
  redeliver,
  results,
  test,
} from '../support/redelivery/redelivery.ts';

test.concurrent('a later attempt is told from the first one by its progress, across restarts', async ({
  app,
  redeliverer,
  directory,
}) => {
  const first = await redeliverer();
  app.answer = () => 503;
  await deliver(first, 'event');
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

test.concurrent('an app that is down gets one probe, and all that waits once it is up', async ({
  app,
  redeliverer,
}) => {
  const proxy = await redeliverer();
  app.answer = () => 500;
  for (let at = 0; at < 30; at++) await deliver(proxy, `event ${at}`);
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

test.concurrent('with once a client that leaves while a twin is under way loses nothing', async ({
  app,
  redeliverer,
}) => {
  const proxy = await redeliverer({ route: { once: '1h' }, upstream: { responseTimeout: '300ms' } });
  app.answer = () => 'hang';
  const twins = await Promise.all([deliver(proxy, 'event'), deliver(proxy, 'event')]);
  expect(twins).toEqual([DEFERRED, DEFERRED]);
  app.answer = () => 200;
  await nothingDeferred(proxy);
});

test.concurrent('what a person deletes counts as dropped', async ({ app, redeliverer, directory }) => {
  const proxy = await redeliverer();
  app.answer = () => 500;
  await deliver(proxy, 'event');
  app.answer = () => 404;
  await eventually(async () => (await deferred(proxy)).stopped, 1);
  const [id = ''] = await recordsIn(directory);
  await rm(recordFile(directory, id));
  await eventually(() => results(proxy, 'dropped'), 1);
  expect(await deferred(proxy)).toEqual({ waiting: 0, stopped: 0, unverified: 0 });
  expect(app.requests).toHaveLength(2);
});

test.concurrent('one whose window is over is tried once more, then removed and told', async ({
  app,
  redeliverer,
  directory,
}) => {
  const proxy = await redeliverer({ route: { redeliver: '1500ms' } });
  app.answer = () => 500;
  await deliver(proxy, 'event');
  await proxy.waitForLog(({ msg }) => msg === 'a deferred delivery is lost: its window is over');
  await nothingDeferred(proxy);
  expect(await results(proxy, 'expired')).toBe(1);
  expect(await recordsIn(directory)).toEqual([]);
  expect(app.requests.length).toBeGreaterThanOrEqual(3);
});

test.concurrent('a second process in one directory stores nothing, tells, and sends what the first left', async ({
  app,
  redeliverer,
}) => {
  const first = await redeliverer();
  const second = await redeliverer();
  await second.waitForLog(({ problem }) => String(problem).endsWith('another process uses it'));
  app.answer = () => 500;
  expect(await deliver(second, 'passes')).toMatchObject({ status: 500 });
  expect(await deliver(first, 'stored')).toEqual(DEFERRED);
  first.signal('SIGKILL');
  await first.exited;
  app.answer = () => 200;
  await eventually(() => results(second, 'delivered'), 1);
  expect(app.bodies().at(-1)).toBe('stored');
});

test.concurrent('nothing is loaded, and no folder made, where no route asks for it', async ({
  redeliverer,
  directory,
}) => {
  const proxy = await redeliverer({ config: { routes: [{ path: '/notify' }] } });
  const metrics = await proxy.metrics();
  expect([...metrics.keys()].filter((name) => /deferred|redelivered/.test(name))).toEqual([]);
  expect((await redeliver(proxy)).status).toBe(404);
  await expect(recordsIn(directory)).rejects.toThrow('ENOENT');
});
