// A reload of `limits.connections` is in force at once.
// The numbers of connections and of requests that wait for an upstream slot come from the limits in force, not from
// those at start.
import { readFile, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { describe, expect } from 'vitest';
import { parse, stringify } from 'yaml';
import { sign } from '../support/deliveries/signer.ts';
import { openClient, type RawClient } from '../support/http/raw-client.ts';
import { untilMetrics } from '../support/proxy/at-rest.ts';
import { eventually, test, value } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { OK, startRawUpstream } from '../support/upstream/raw-upstream.ts';

const BODY = '{"event":1}';
const DELIVERY = `POST /notify HTTP/1.1\r\nHost: h\r\nEntrupy-Signature: ${sign(value('a'), BODY)}\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;

async function sent(proxy: RunningProxy): Promise<RawClient> {
  const client = await openClient({ port: proxy.port });
  await client.send(DELIVERY);
  return client;
}

describe.concurrent('a reload of limits.connections', () => {
  async function allow(proxy: RunningProxy, connections: number): Promise<void> {
    const config = parse(await readFile(proxy.configFile, 'utf8')) as Record<string, object>;
    await writeFile(proxy.configFile, stringify({ ...config, limits: { connections } }));
    expect((await fetch(`${proxy.adminUrl}/-/reload`, { method: 'POST' })).status).toBe(200);
  }

  test('up or down: only connections beyond the new limit are refused', async ({ start, onTestFinished }) => {
    const upstream = await startRawUpstream();
    onTestFinished(() => upstream.close());
    const held: Socket[] = [];
    upstream.script((socket) => held.push(socket));
    const proxy = await start({ upstream: { url: upstream.url }, limits: { connections: 2 } });
    const busy: RawClient[] = [];
    const become = async (count: number) => {
      while (busy.length < count) busy.push(await sent(proxy));
      await eventually(() => held.length, count);
    };
    const expectTurnedAway = async () => expect((await (await sent(proxy)).rest()).length).toBe(0);
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
    const newcomer = await sent(proxy);
    expect((await newcomer.response()).status).toBe(200);
    await untilMetrics(proxy, ['connections'], ([open = 0]) => open <= 3);
    for (const client of [...busy, newcomer]) client.destroy();
  });

  test('up: as many requests may wait for an upstream slot', async ({ start, onTestFinished }) => {
    const upstream = await startRawUpstream();
    onTestFinished(() => upstream.close());
    const held: Socket[] = [];
    upstream.script((socket) => held.push(socket));
    const proxy = await start({
      upstream: { url: upstream.url, connections: 1, retryConnectFor: '10s' },
      limits: { connections: 2 },
    });
    await allow(proxy, 40);
    const clients = await Promise.all(Array.from({ length: 30 }, () => sent(proxy)));
    await untilMetrics(proxy, ['requests_in_flight'], ([open = 0]) => open === 30);
    await eventually(() => held.length, 1);
    upstream.script((socket) => socket.write(OK));
    held[0]?.write(OK);
    const statuses = await Promise.all(clients.map(async (client) => (await client.response()).status));
    expect(statuses).toEqual(Array(30).fill(200));
    for (const client of clients) client.destroy();
  });
});
