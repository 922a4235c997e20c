// The clock of the day jumps forward by days: each event has one sending more, and what is stopped has none.
import { describe, expect } from 'vitest';
import { faultyDisk } from '../support/machine/faulty-disk.ts';
import { haveTools } from '../support/machine/tools.ts';
import { eventually } from '../support/proxy/proxied.ts';
import {
  DEFERRED,
  defer,
  deferred,
  deliver,
  nothingDeferred,
  redeliver,
  results,
  test,
} from '../support/redelivery/redelivery.ts';

const BODIES = ['one', 'two', 'three'];

describe.skipIf(!haveTools('gcc'))('a clock that jumps forward by days', () => {
  test('while the app refuses connections: what waits is tried, and lost', async ({ app, redeliverer, directory }) => {
    const clock = await faultyDisk(directory);
    const proxy = await redeliverer({ env: clock.env });
    app.answer = () => 500;
    for (const body of BODIES) await defer(proxy, body);
    await app.close();
    const page = async () => (await fetch(`${proxy.adminUrl}/?refresh=off`)).text();
    await eventually(async () => />connect</.test(await page()), true);
    clock.fault('ahead');
    await redeliver(proxy); // does not wait for the next probe; with one each ten seconds the others would not end in time
    await nothingDeferred(proxy);
    expect(await results(proxy, 'expired')).toBe(BODIES.length);
  });

  test('while the proxy is stopped: the app gets what waits once, and what it had refused not at all', async ({
    app,
    redeliverer,
    directory,
  }) => {
    const clock = await faultyDisk(directory);
    const proxy = await redeliverer();
    app.answer = (body) => (body === 'refused' && app.requests.length > 1 ? 404 : 500);
    expect(await deliver(proxy, 'refused')).toEqual(DEFERRED);
    await eventually(async () => (await deferred(proxy)).stopped, 1);
    for (const body of BODIES) await defer(proxy, body);
    await proxy.stop();
    const before = app.requests.length;
    clock.fault('ahead');
    const next = await redeliverer({ env: clock.env });
    await eventually(() => results(next, 'expired'), BODIES.length + 1);
    await nothingDeferred(next);
    expect(app.bodies().slice(before).toSorted()).toEqual(BODIES.toSorted());
  });
});
