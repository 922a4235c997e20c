// How long a delivery waits for an app that is down, where it can be stored.
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { delivery, waiting } from '../support/deliveries/numbered.ts';
import { sendTo } from '../support/http/raw-client.ts';
import { untilMetrics } from '../support/proxy/at-rest.ts';
import { test } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { edit, reload } from '../support/proxy/reloads.ts';

describe('while the app is down, a delivery that can be stored', () => {
  const routes = [{ path: '/notify' }, { path: '/stored', redeliver: '1h' }];
  const storable = (id: number) => delivery(id).replace('/notify', '/stored');
  const inFlight = (proxy: RunningProxy) => untilMetrics(proxy, ['requests_in_flight'], waiting(1));

  test('is stored long before others give up, but for retryConnectFor', async ({ raw: upstream, start, directory }) => {
    await upstream.stop();
    const { url } = upstream;
    const store = (name: string) => ({ redelivery: { store: join(directory, name) } });
    const set = await start({ upstream: { url, retryConnectFor: '60s' }, routes, ...store('set') });
    const unset = await start({ upstream: { url }, routes, ...store('unset') });
    const answers: string[] = [];
    const answer = async (name: string, [proxy, bytes]: readonly [RunningProxy, string]) => {
      const client = await sendTo(proxy, bytes);
      return client.response().then(({ status }) => answers.push(`${name}: ${status}`));
    };
    const patient = await sendTo(set, storable(1));
    const others = [answer('plain', [unset, delivery(2)]), answer('stored', [unset, storable(3)])];
    await Promise.all(others);
    expect(answers).toEqual(['stored: 202', 'plain: 502']);
    await inFlight(set);
    await upstream.listen();
    expect((await patient.response()).status).toBe(200);
  });

  test('waits as long as the configuration says since the last reload', async ({ raw: upstream, start, directory }) => {
    await upstream.stop();
    const { url } = upstream;
    const redelivery = { store: join(directory, 'store') };
    const proxy = await start({ upstream: { url, retryConnectFor: '5m' }, routes, redelivery });
    const patient = await sendTo(proxy, storable(1));
    await inFlight(proxy);
    await edit(proxy, (config) => ({ ...config, upstream: { url, retryConnectFor: '10ms' } }));
    await reload(proxy);
    expect((await (await sendTo(proxy, storable(2))).response()).status).toBe(202);
    await inFlight(proxy);
    await upstream.listen();
    expect((await patient.response()).status).toBe(200);
  });
});
