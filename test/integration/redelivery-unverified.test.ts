// Deferred deliveries that nothing verifies now are never sent: tampered with, copied, or their secret or route is gone.
import { describe, expect } from 'vitest';
import { eventually, value } from '../support/proxy/proxied.ts';
import { reload } from '../support/proxy/reloads.ts';
import {
  altered,
  defer,
  deferred,
  nothingDeferred,
  recordsIn,
  redeliver,
  results,
  test,
} from '../support/redelivery/redelivery.ts';

const UNVERIFIED = 'a deferred delivery cannot be verified, and is not sent';

describe('what nothing verifies now', () => {
  test('stays, is told, and goes once its secret is back or its route verifies again', async ({ app, redeliverer }) => {
    const secrets = { old: value('old'), current: value('a') };
    const routes = [
      { path: '/notify', secrets: ['old', 'current'], redeliver: '1h' },
      { path: '/other', redeliver: '1h' },
    ];
    const proxy = await redeliverer({ secrets, config: { routes } });
    app.answer = () => 500;
    await defer(proxy, 'event', { secret: 'old' });
    await reload(proxy, (config) => config.replace('- old\n', '- none\n'));
    await redeliver(proxy);
    await eventually(() => deferred(proxy), { waiting: 0, stopped: 0, unverified: 1 });
    expect(await results(proxy, 'unverified')).toBe(1);
    await proxy.waitForLog(({ msg, why }) => msg === UNVERIFIED && why === 'secret_gone');
    const before = app.requests.length;
    app.answer = () => 200;
    await redeliver(proxy);
    await eventually(() => deferred(proxy), { waiting: 0, stopped: 0, unverified: 1 });
    expect(app.requests.length).toBe(before);
    await reload(proxy, (config) => config.replace('- none\n', '- old\n'));
    await nothingDeferred(proxy);
    expect(app.requests.length).toBe(before + 1);
    app.answer = () => 500;
    await defer(proxy, 'route');
    const verifies = '    secrets:\n      - old\n      - current\n    redeliver: 1h\n';
    await reload(proxy, (config) => config.replace(verifies, '    action: forward\n'));
    await redeliver(proxy);
    await eventually(async () => (await deferred(proxy)).unverified, 1);
    app.answer = () => 200;
    await reload(proxy, (config) => config.replace('    action: forward\n', ''));
    await nothingDeferred(proxy);
    expect(app.bodies().at(-1)).toBe('route');
  });

  test('is not sent, whether tampered with, copied, or too large by now', async ({ app, redeliverer, directory }) => {
    const proxy = await redeliverer();
    app.answer = () => 500;
    await defer(proxy, 'one');
    await defer(proxy, 'two');
    const [first = '', second = ''] = await recordsIn(directory);
    await defer(proxy, 'x'.repeat(600_000));
    await proxy.stop();
    const ofFirst = '(SELECT place FROM event WHERE id = ?)';
    const changed = `CAST(replace(CAST(content AS TEXT), 'hooks.example', 'hooks.exampld') AS BLOB)`;
    altered(directory, `UPDATE record SET content = ${changed} WHERE place = ${ofFirst}`, first);
    const copy = `${second.slice(0, -1)}${second.endsWith('0') ? 1 : 0}`;
    const columns = 'due, stored, state, bytes, note';
    altered(
      directory,
      `INSERT INTO event(place, id, ${columns}) SELECT 1000, ?, ${columns} FROM event WHERE id = ?`,
      copy,
      second,
    );
    const source = 'SELECT 1000, content FROM record WHERE place = (SELECT place FROM event WHERE id = ?)';
    altered(directory, `INSERT INTO record(place, content) ${source}`, second);
    app.answer = () => 200;
    const before = app.requests.length;
    const next = await redeliverer({ config: { limits: { bufferedBytes: '256KiB', maxBody: '1MiB' } } });
    await eventually(() => deferred(next), { waiting: 0, stopped: 0, unverified: 3 });
    expect(app.requests.length).toBe(before + 1);
    expect(await results(next, 'unverified')).toBe(3);
    await next.waitForLog(({ msg, why }) => msg === UNVERIFIED && why === 'limits');
    await next.waitForLog(({ msg, why }) => msg === UNVERIFIED && why !== 'limits');
    app.answer = () => 500;
    await defer(next, 'small');
    app.answer = () => 200;
    await eventually(() => deferred(next), { waiting: 0, stopped: 0, unverified: 3 });
    expect(app.bodies().at(-1)).toBe('small');
    expect(await recordsIn(directory)).toHaveLength(3);
  });
});
