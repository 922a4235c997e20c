// A reload of `limits.connections` is in force at once.
// The numbers of connections and of requests that wait for an upstream slot come from the limits in force, not from
// those at start.
import type { Socket } from 'node:net';
import { describe, expect } from 'vitest';
import { type RawClient, sendTo } from '../support/http/raw-client.ts';
import { delivery } from '../support/http/requests.ts';
import { untilMetrics } from '../support/proxy/at-rest.ts';
import { eventually, test, value } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { edit, reload } from '../support/proxy/reloads.ts';
import { OK } from '../support/upstream/raw-upstream.ts';

const DELIVERY = delivery('{"event":1}', value('a'));

describe.concurrent('a reload of limits.connections', () => {
  async function allow(proxy: RunningProxy, connections: number): Promise<void> {
    await edit(proxy, (config) => ({ ...config, limits: { connections } }));
    await reload(proxy);
  }

  test('up or down: only connections beyond the new limit are refused', async ({ start, raw: upstream }) => {
    const held: Socket[] = [];
    upstream.script((socket) => held.push(socket));
    const proxy = await start({ upstream: { url: upstream.url }, limits: { connections: 2 } });
    const busy: RawClient[] = [];
    const become = async (count: number) => {
      while (busy.length < count) busy.push(await sendTo(proxy, DELIVERY));
      await eventually(() => held.length, count);
    };
    const expectTurnedAway = async () => expect((await (await sendTo(proxy, DELIVERY)).rest()).length).toBe(0);
    await become(2);
    await expectTurnedAway();
    await allow(proxy, 4);
    await become(4);
    await expectTurnedAway();
    await allow(proxy, 3);
    await expectTurnedAway();
    for (const socket of held) socket.write(OK);
    for (const client of busy) expect((await client.response()).status).toBe(200);
    upstream.script((socket) => socket.write(OK));
    const newcomer = await sendTo(proxy, DELIVERY);
    expect((await newcomer.response()).status).toBe(200);
    await untilMetrics(proxy, ['connections'], ([open = 0]) => open <= 3);
    for (const client of [...busy, newcomer]) client.destroy();
  });

  test('up: as many requests may wait for an upstream slot', async ({ start, raw: upstream }) => {
    const held: Socket[] = [];
    upstream.script((socket) => held.push(socket));
    const proxy = await start({
      upstream: { url: upstream.url, connections: 1, retryConnectFor: '10s' },
      limits: { connections: 2 },
    });
    await allow(proxy, 40);
    const clients = await Promise.all(Array.from({ length: 30 }, () => sendTo(proxy, DELIVERY)));
    await untilMetrics(proxy, ['requests_in_flight'], ([open = 0]) => open === 30);
    await eventually(() => held.length, 1);
    upstream.script((socket) => socket.write(OK));
    held[0]?.write(OK);
    const statuses = await Promise.all(clients.map(async (client) => (await client.response()).status));
    expect(statuses).toEqual(Array(30).fill(200));
    for (const client of clients) client.destroy();
  });
});
