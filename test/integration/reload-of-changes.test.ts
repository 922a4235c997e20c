// Config and secrets change under a running proxy, in every way that people, editors and the kubelet change files. The
// next request sees all of the change: limits, too, are those in force, not those at the start.
import { appendFile, mkdir, unlink, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { BODY, deliver } from '../support/deliveries/deliver.ts';
import { sign } from '../support/deliveries/signer.ts';
import { type RawClient, sendTo } from '../support/http/raw-client.ts';
import { delivery } from '../support/http/requests.ts';
import { post } from '../support/load/load.ts';
import { replaceFile } from '../support/machine/files.ts';
import { kubeletWrites } from '../support/machine/kubelet.ts';
import { inFlight, untilMetrics } from '../support/proxy/at-rest.ts';
import { eventually, test, value } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { change, edit, nextReload, reloads, secretFile } from '../support/proxy/reloads.ts';
import { OK } from '../support/upstream/raw-upstream.ts';

test.concurrent('the kubelet swaps `..data` five times: each swap is one reload and ends the old value', async ({
  start,
}) => {
  const proxy = await start({ secrets: [{ id: 'none-yet', file: '/nowhere' }] }, { secrets: {} });
  const directory = join(proxy.directory, 'mounted');
  await kubeletWrites(directory, { current: value('k0'), steady: value('steady') });
  await nextReload(proxy, () => edit(proxy, (config) => ({ ...config, secrets: [{ directory }] })));
  for (let nth = 1; nth <= 5; nth++) {
    await nextReload(proxy, () =>
      kubeletWrites(directory, {
        current: value(`k${nth}`),
        steady: value('steady'),
        [`only-${nth}`]: value(`o${nth}`),
      }),
    );
    expect(await deliver(proxy, `k${nth}`)).toBe(200);
    expect(await deliver(proxy, `k${nth - 1}`)).toBe(401);
    expect(await deliver(proxy, 'steady')).toBe(200);
    expect(await deliver(proxy, `o${nth}`)).toBe(200);
    expect(await deliver(proxy, `o${nth - 1}`)).toBe(401);
  }
  expect(reloads(proxy)).toEqual(Array(6).fill('reloaded'));
  const live = [...(await proxy.metrics())].filter(([name]) => name.startsWith('entrupy_proxy_secret_live'));
  expect(live.map(([, state]) => state)).toEqual([1, 1, 1]);
});

test.concurrent('a change is loaded by the poll alone, by SIGHUP, and by POST /-/reload, which waits for it', async ({
  start,
  directory,
}) => {
  // The directory does not exist when watching starts.
  const file = join(directory, 'later', 'key');
  const proxy = await start({ secrets: [{ id: 'current', file }] });
  expect(await deliver(proxy, 'a')).toBe(503);
  await mkdir(join(directory, 'later'));
  await nextReload(proxy, () => writeFile(file, value('a')));
  expect(await deliver(proxy, 'a')).toBe(200);
  // It reloads even without a change.
  await nextReload(proxy, async () => proxy.signal('SIGHUP'));
  await writeFile(file, value('b'));
  await nextReload(proxy, async () => proxy.signal('SIGHUP'));
  expect([await deliver(proxy, 'b'), await deliver(proxy, 'a')]).toEqual([200, 401]);
  for (const name of ['c', 'd', 'e']) {
    await replaceFile(file, value(name));
    const response = await fetch(`${proxy.adminUrl}/-/reload`, { method: 'POST' });
    expect([response.status, await response.text()]).toEqual([200, '{"status":"ok"}']);
    expect(await deliver(proxy, name)).toBe(200);
  }
  await replaceFile(file, value('f'));
  const asked = Array.from({ length: 10 }, () => fetch(`${proxy.adminUrl}/-/reload`, { method: 'POST' }));
  expect((await Promise.all(asked)).map(({ status }) => status)).toEqual(Array(10).fill(200));
  expect(await deliver(proxy, 'f')).toBe(200);
  // Other files in the directory keep changing.
  const noise = setInterval(() => void appendFile(join(proxy.directory, 'noise'), 'x'), 10);
  try {
    await nextReload(proxy, () => edit(proxy, (config) => ({ ...config, routes: [{ path: '/new' }] })));
  } finally {
    clearInterval(noise);
  }
  expect((await proxy.metrics()).get('entrupy_proxy_secret_matches_total{route="/new",secret="current"}')).toBe(0);
});

test.concurrent('a reload changes routes, limits and series, but no request in flight, and says what it cannot', async ({
  start,
  upstream,
}) => {
  const proxy = await start(
    { routes: [{ path: '/notify' }, { path: '/gone' }] },
    { secrets: { current: value('a'), old: value('o') } },
  );
  expect([await deliver(proxy, 'a'), await deliver(proxy, 'o', '/gone')]).toEqual([200, 200]);
  const named = async (text: string) => [...(await proxy.metrics()).keys()].filter((name) => name.includes(text));
  expect(await named('route="/gone"')).not.toEqual([]);
  await nextReload(proxy, () => edit(proxy, (config) => ({ ...config, routes: [{ path: '/notify' }] })));
  await nextReload(proxy, () => unlink(secretFile(proxy, 'old')));
  expect(await named('route="/gone"')).toEqual([]);
  expect(await named('secret="old"')).toEqual([]);
  expect(await deliver(proxy, 'a')).toBe(200);
  expect((await proxy.metrics()).get('entrupy_proxy_secret_matches_total{route="/notify",secret="current"}')).toBe(2);

  const rest = Promise.withResolvers<void>();
  const begun = post({
    url: `${proxy.url}/notify`,
    body: BODY,
    headers: { 'Entrupy-Signature': sign(value('a'), BODY) },
    holdUntil: rest.promise,
  });
  await inFlight(proxy, 1);
  const before = upstream.requests.length;
  await replaceFile(secretFile(proxy, 'current'), value('b'));
  await change(proxy, () => ({ routes: [{ path: '/notify', action: 'reject' }] }));
  expect(await deliver(proxy, 'b')).toBe(404);
  rest.resolve();
  expect((await begun).status).toBe(200);
  expect(upstream.requests.length).toBe(before + 1);

  await change(proxy, (config) => ({
    listen: { ...config.listen, port: 1 },
    upstream: { ...config.upstream, connections: 7 },
    routes: [
      { path: '/notify', maxBody: 4 },
      { path: '/open', action: 'forward' },
    ],
  }));
  expect(await deliver(proxy, 'b')).toBe(413);
  expect(await deliver(proxy, 'wrong', '/open')).toBe(200);
  const { keys } = await proxy.waitForLog(({ msg }) => msg === 'these changes need a restart');
  expect(keys).toEqual(['listen.port', 'upstream.connections']);
  expect(await (await fetch(`${proxy.adminUrl}/api/status`)).text()).toContain('listen.port, upstream.connections');
});

const DELIVERY = delivery('{"event":1}', value('a'));

describe.concurrent('a reload of limits.connections', () => {
  async function allow(proxy: RunningProxy, connections: number): Promise<void> {
    await change(proxy, () => ({ limits: { connections } }));
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
