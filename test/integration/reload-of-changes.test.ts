// A reload brings in what changed.
// Config and secrets change under a running proxy, in every way that people, editors and the kubelet change files. The
// next request sees all of the change.
import { appendFile, mkdir, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { BODY, deliver } from '../support/deliveries/deliver.ts';
import { sign } from '../support/deliveries/signer.ts';
import { post } from '../support/load/load.ts';
import { replaceFile } from '../support/machine/files.ts';
import { kubeletWrites } from '../support/machine/kubelet.ts';
import { eventually, test, value } from '../support/proxy/proxied.ts';
import { edit, nextReload, reloads, secretFile } from '../support/proxy/reloads.ts';

// The longest first: the others run beside them.
describe.concurrent('as the kubelet swaps `..data`', () => {
  test('five times, secrets: each swap is one reload and ends the old value', async ({ start }) => {
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
});

describe.concurrent('a change is loaded', () => {
  test('by the poll alone, where the directory did not exist when watching started', async ({ start }) => {
    const proxy = await start({ secrets: [{ id: 'late', file: '/nowhere' }] }, { secrets: {} });
    const file = join(proxy.directory, 'later', 'key');
    await nextReload(proxy, () => edit(proxy, (config) => ({ ...config, secrets: [{ id: 'late', file }] })));
    expect(await deliver(proxy, 'a')).toBe(503);
    await mkdir(join(proxy.directory, 'later'));
    await nextReload(proxy, () => writeFile(file, value('a')));
    expect(await deliver(proxy, 'a')).toBe(200);
  });

  test('by the poll, even while other files in the directory keep changing', async ({ start }) => {
    const proxy = await start();
    const noise = setInterval(() => void appendFile(join(proxy.directory, 'noise'), 'x'), 10);
    try {
      await nextReload(proxy, () => edit(proxy, (config) => ({ ...config, routes: [{ path: '/new' }] })));
    } finally {
      clearInterval(noise);
    }
    expect((await proxy.metrics()).get('entrupy_proxy_secret_matches_total{route="/new",secret="current"}')).toBe(0);
  });

  test('by SIGHUP, which reloads even without a change', async ({ start }) => {
    const proxy = await start();
    await nextReload(proxy, async () => proxy.signal('SIGHUP'));
    await writeFile(secretFile(proxy, 'current'), value('b'));
    await nextReload(proxy, async () => proxy.signal('SIGHUP'));
    expect(await deliver(proxy, 'b')).toBe(200);
    expect(await deliver(proxy, 'a')).toBe(401);
  });

  test('by POST /-/reload, which responds once the change is in force, to ten at once, too', async ({ start }) => {
    const proxy = await start();
    for (const name of ['b', 'c', 'd']) {
      await replaceFile(secretFile(proxy, 'current'), value(name));
      const response = await fetch(`${proxy.adminUrl}/-/reload`, { method: 'POST' });
      expect([response.status, await response.text()]).toEqual([200, '{"status":"ok"}']);
      expect(await deliver(proxy, name)).toBe(200);
    }
    await replaceFile(secretFile(proxy, 'current'), value('e'));
    const asked = Array.from({ length: 10 }, () => fetch(`${proxy.adminUrl}/-/reload`, { method: 'POST' }));
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect(await deliver(proxy, 'e')).toBe(200);
  });
});

describe.concurrent('what a reload changes', () => {
  test('routes and limits take effect at once; log and status page say what needs a restart', async ({ start }) => {
    const proxy = await start({ routes: [{ path: '/notify' }] });
    await nextReload(proxy, () =>
      edit(proxy, (config) => ({
        ...config,
        listen: { ...config.listen, port: 1 },
        upstream: { ...config.upstream, connections: 7 },
        routes: [
          { path: '/notify', maxBody: 4 },
          { path: '/open', action: 'forward' },
        ],
      })),
    );
    expect(await deliver(proxy, 'a')).toBe(413);
    expect(await deliver(proxy, 'wrong', '/open')).toBe(200);
    const { keys } = await proxy.waitForLog(({ msg }) => msg === 'these changes need a restart');
    expect(keys).toEqual(['listen.port', 'upstream.connections']);
    expect(await (await fetch(`${proxy.adminUrl}/api/status`)).text()).toContain('listen.port, upstream.connections');
  });

  test('a removed route or secret loses its series; the others keep counting', async ({ start }) => {
    const proxy = await start(
      { routes: [{ path: '/notify' }, { path: '/gone' }] },
      {
        secrets: { current: value('a'), old: value('o') },
      },
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
  });

  test('a request in flight keeps the policy that it started with', async ({ start, upstream }) => {
    const proxy = await start({ routes: [{ path: '/notify' }] });
    const rest = Promise.withResolvers<void>();
    const begun = post({
      url: `${proxy.url}/notify`,
      body: BODY,
      headers: { 'Entrupy-Signature': sign(value('a'), BODY) },
      holdUntil: rest.promise,
    });
    await eventually(async () => (await proxy.metrics()).get('entrupy_proxy_requests_in_flight'), 1);
    await nextReload(proxy, async () => {
      await replaceFile(secretFile(proxy, 'current'), value('b'));
      await edit(proxy, (config) => ({ ...config, routes: [{ path: '/notify', action: 'reject' }] }));
      await fetch(`${proxy.adminUrl}/-/reload`, { method: 'POST' });
    });
    expect(await deliver(proxy, 'b')).toBe(404);
    rest.resolve();
    expect((await begun).status).toBe(200);
    expect(upstream.requests.length).toBe(1);
  });
});
