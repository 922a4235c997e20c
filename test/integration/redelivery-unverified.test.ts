// Deferred deliveries that nothing verifies now are never sent: tampered with, copied, or their secret or route is gone.
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { eventually, value } from '../support/proxy/proxied.ts';
import { reload } from '../support/proxy/reloads.ts';
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

const UNVERIFIED = 'a deferred delivery cannot be verified, and is not sent';

describe('what nothing verifies now', () => {
  test('stays, is told, and goes once its secret is back', async ({ app, redeliverer }) => {
    const secrets = { old: value('old'), current: value('a') };
    const proxy = await redeliverer({ secrets, route: { secrets: ['old', 'current'] } });
    app.answer = () => 500;
    expect(await deliver(proxy, 'event', { secret: 'old' })).toEqual(DEFERRED);
    await reload(proxy, (config) => config.replace('- old\n', '- none\n'));
    await redeliver(proxy);
    await eventually(() => deferred(proxy), { waiting: 0, stopped: 0, unverified: 1 });
    expect(await results(proxy, 'unverified')).toBe(1);
    await proxy.waitForLog(({ msg, why }) => msg === UNVERIFIED && why === 'signature_mismatch');
    const before = app.requests.length;
    app.answer = () => 200;
    await redeliver(proxy);
    await eventually(() => deferred(proxy), { waiting: 0, stopped: 0, unverified: 1 });
    expect(app.requests.length).toBe(before);
    await reload(proxy, (config) => config.replace('- none\n', '- old\n'));
    await nothingDeferred(proxy);
    expect(app.requests.length).toBe(before + 1);
  });

  test('a tampered record, or the copy of one, is never sent', async ({ app, redeliverer, directory }) => {
    const proxy = await redeliverer();
    app.answer = () => 500;
    await deliver(proxy, 'one');
    await deliver(proxy, 'two');
    await proxy.stop();
    const [first = '', second = ''] = await recordsIn(directory);
    const file = recordFile(directory, first);
    await writeFile(
      file,
      Buffer.from((await readFile(file, 'latin1')).replace('hooks.example', 'hooks.exampld'), 'latin1'),
    );
    await copyFile(
      recordFile(directory, second),
      recordFile(directory, `${second.slice(0, -1)}${second.endsWith('0') ? 1 : 0}`),
    );
    app.answer = () => 200;
    const before = app.requests.length;
    const next = await redeliverer();
    await eventually(() => deferred(next), { waiting: 0, stopped: 0, unverified: 2 });
    expect(app.requests.length).toBe(before + 1);
    expect(await results(next, 'unverified')).toBe(2);
    await eventually(() => next.logs().filter(({ msg }) => msg === UNVERIFIED).length > 0, true);
  });

  test('what limits.bufferedBytes can not hold any more is told once, and holds up nothing', async ({
    app,
    redeliverer,
    directory,
  }) => {
    const proxy = await redeliverer();
    app.answer = () => 500;
    expect(await deliver(proxy, 'x'.repeat(600_000))).toEqual(DEFERRED);
    await proxy.stop();
    const next = await redeliverer({ config: { limits: { bufferedBytes: '256KiB', maxBody: '1MiB' } } });
    await eventually(() => deferred(next), { waiting: 0, stopped: 0, unverified: 1 });
    await next.waitForLog(({ msg, why }) => msg === UNVERIFIED && why === 'unfit');
    expect(await deliver(next, 'small')).toEqual(DEFERRED);
    app.answer = () => 200;
    await eventually(() => deferred(next), { waiting: 0, stopped: 0, unverified: 1 });
    expect(app.bodies().at(-1)).toBe('small');
    expect(await recordsIn(directory)).toHaveLength(1);
  });

  test('waits where its route verifies no longer, and is sent while another route has redeliver', async ({
    app,
    redeliverer,
  }) => {
    const other = { path: '/other', redeliver: '1h' };
    const proxy = await redeliverer({ config: { routes: [{ path: '/notify', redeliver: '1h' }, other] } });
    app.answer = () => 500;
    expect(await deliver(proxy, 'event')).toEqual(DEFERRED);
    await reload(proxy, (config) =>
      config.replace('  - path: /notify\n    redeliver: 1h\n', '  - path: /notify\n    action: forward\n'),
    );
    await redeliver(proxy);
    await eventually(async () => (await deferred(proxy)).unverified, 1);
    app.answer = () => 200;
    await reload(proxy, (config) => config.replace('    action: forward\n', ''));
    await nothingDeferred(proxy);
    expect(app.bodies().at(-1)).toBe('event');
  });
});
