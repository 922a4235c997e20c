// Config and secrets change under a running proxy, in every way that people, editors and the kubelet change files. The next
// request sees all of the change: limits, too, are those in force, not those at the start. A reload brings in only what is whole:
// files that are empty, half written, broken, missing or no files at all leave the old policy and the last good secrets in use,
// and the log, the metrics and the admin port say so.
import { appendFile, mkdir, readFile, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { parse } from 'yaml';
import { BODY, deliver } from '../support/deliveries/deliver.ts';
import { sign } from '../support/deliveries/signer.ts';
import { post } from '../support/load/load.ts';
import { replaceFile } from '../support/machine/files.ts';
import { inFlight } from '../support/proxy/at-rest.ts';
import { eventually, test, value } from '../support/proxy/proxied.ts';
import { change, edit, nextReload, reload, reloads, secretFile } from '../support/proxy/reloads.ts';

test.concurrent('the poll alone loads a change, as do SIGHUP and POST /-/reload', async ({ start, directory }) => {
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

test.concurrent('a reload changes routes, limits and series, and no request in flight', async ({ start, upstream }) => {
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
  // The old value has verified it, which proves nothing of the new one.
  expect((await proxy.status()).secrets).toMatchObject([{ id: 'current', lastMatch: 0 }]);
  expect(upstream.requests.length).toBe(before + 1);

  await change(proxy, (config) => ({
    listen: { ...config.listen, port: 1 },
    upstream: { ...config.upstream, connections: 7 },
    once: { maxEntries: 7, onStoreFailure: 'refuse' }, // its store opens with this
    routes: [
      { path: '/notify', maxBody: 4, once: '1h' },
      { path: '/open', action: 'forward' },
    ],
  }));
  expect(await deliver(proxy, 'b')).toBe(413);
  expect(await deliver(proxy, 'wrong', '/open')).toBe(200);
  const { keys } = await proxy.waitForLog(({ msg }) => msg === 'these changes need a restart');
  expect(keys).toEqual(['listen.port', 'upstream.connections']);
  expect(JSON.parse(await reload(proxy))).toEqual({ status: 'ok', awaitingRestart: keys });
  expect(await (await fetch(`${proxy.adminUrl}/api/status`)).text()).toContain('listen.port, upstream.connections');
  await change(proxy, () => ({ once: { maxEntries: 7 } }));
  expect(await proxy.status()).toMatchObject({ once: { onStoreFailure: 'refuse' } });
});

test.concurrent('a secret file that is written all the time holds up no other change', async ({ start, directory }) => {
  const at = (name: string) => join(directory, name);
  const write = (name: string, text: string) => writeFile(at(name), text);
  for (const name of ['noisy', 'calm']) await write(name, value('a'));
  const secrets = ['noisy', 'calm'].map((id) => ({ id, file: at(id), overlap: '1h' }));
  const proxy = await start({ secrets });
  // Each reading finds other bytes, which no writer on a busy machine ensures.
  await symlink('/proc/sys/kernel/random/uuid', at('written'));
  await rename(at('written'), at('noisy'));
  await write('calm', value('b'));
  await edit(proxy, (config) => ({ ...config, routes: [{ path: '/notify' }, { path: '/gone', action: 'reject' }] }));
  await eventually(() => deliver(proxy, 'b'), 200);
  await eventually(() => deliver(proxy, 'b', '/gone'), 404);
  const told = `secret noisy (file ${at('noisy')}): it keeps changing while it is being read; the last good value is still in use`;
  await eventually(async () => (await proxy.status()).lastReload?.error, told);
  const response = await fetch(`${proxy.adminUrl}/-/retire-previous`, { method: 'POST' });
  expect([response.status, await response.json()]).toEqual([
    503,
    { status: 'failed', retired: 1, read: ['calm'], error: `file ${at('noisy')}: ${told.split('): ')[1]}` },
  ]);
  expect(await deliver(proxy, 'a')).toBe(200); // the last good value of `noisy`
  await replaceFile(at('noisy'), value('c'));
  await eventually(() => deliver(proxy, 'c'), 200);
  await eventually(() => reloads(proxy).at(-1), 'reloaded');
});

test.concurrent('a configuration whose secrets are not there stays out whole, until they are', async ({
  start,
  directory,
}) => {
  const secrets = join(directory, 'kept');
  await mkdir(secrets);
  await writeFile(join(secrets, 'current'), value('a'));
  const proxy = await start({ secrets: [{ directory: secrets }], routes: [{ path: '/notify' }] });
  const { sha256 } = (await proxy.status()).config;
  const late = { id: 'late', file: join(directory, 'late') };
  const cases = {
    'it does not exist': { secrets: [{ directory: join(directory, 'mistyped') }] },
    'secret late': { secrets: [{ directory: secrets }, late] },
    'id curent now; did you mean current?': { routes: [{ path: '/notify', secrets: ['curent'] }] },
    'route /notify: no live secret': { secrets: [], routes: [{ path: '/notify' }], unmatched: 'reject' },
    'route /new: no live secret': { routes: [{ path: '/notify' }, { path: '/new', secrets: ['late'] }] },
  };
  const good = parse(await readFile(proxy.configFile, 'utf8'));
  for (const [why, changed] of Object.entries(cases)) {
    const routes = [{ path: '/notify' }, { path: '/open', action: 'forward' }];
    await edit(proxy, () => ({ ...good, routes, ...changed }));
    await eventually(async () => (await proxy.status()).lastReload?.error?.includes(why), true);
    for (const _ of ['once more', 'twice']) expect(await reload(proxy, undefined, 500), why).toContain(why);
    expect([await deliver(proxy, 'a'), await deliver(proxy, 'b', '/open')], why).toEqual([200, 401]);
    expect((await proxy.status()).config.sha256, why).toBe(sha256);
  }
  expect(new Set(reloads(proxy))).toEqual(new Set(['reload failed: what could not be loaded stays in use as before']));
  await writeFile(join(secrets, 'late'), value('c'));
  await eventually(() => deliver(proxy, 'c', '/new'), 200);
  expect(reloads(proxy).at(-1)).toBe('reloaded');
});

describe.concurrent('an incomplete file never becomes policy', () => {
  test('a config file that is gone or not whole: the old policy until a good edit', async ({ start, upstream }) => {
    // The environment alone would be a valid configuration.
    const proxy = await start({}, { env: { UPSTREAM_URL: upstream.url } });
    const good = await readFile(proxy.configFile, 'utf8');
    const write = (text: string) => () => writeFile(proxy.configFile, text);
    for (const [what, change] of Object.entries({
      'it is truncated YAML': write('upstream:\n  url: "http://127.0'),
      'it is gone': () => unlink(proxy.configFile),
      'it is empty': write(''),
      'it is a truncated key': write('upstream:\n  ur'),
      'it is comments alone': write('# yaml-language-server: $schema=config.schema.json\n# the rest is on its way\n'),
    })) {
      await nextReload(proxy, change);
      expect(reloads(proxy).at(-1), what).toBe('reload failed: what could not be loaded stays in use as before');
      expect(await deliver(proxy, 'a'), what).toBe(200);
    }
    await nextReload(proxy, write(good.replace('listen:', 'unmatched: verify\nlisten:')));
    expect(reloads(proxy).at(-1)).toBe('reloaded');
  });

  test('a broken edit keeps the old policy, and is told; secrets keep their last good value', async ({ start }) => {
    const proxy = await start();
    const gauges = async () => {
      const metrics = await proxy.metrics();
      return ['last_reload_successful', 'reloads_total{result="success"}', 'reloads_total{result="failure"}'].map(
        (name) => metrics.get(`entrupy_proxy_${name}`),
      );
    };
    const successAt = async () =>
      (await proxy.metrics()).get('entrupy_proxy_last_reload_success_timestamp_seconds') ?? Number.NaN;
    const atStart = await successAt();
    expect(await gauges()).toEqual([1, 0, 0]);
    const good = await readFile(proxy.configFile, 'utf8');
    const place = `${proxy.configFile}:${good.split('\n').length}:20`;
    await nextReload(proxy, () => appendFile(proxy.configFile, 'limits: { maxBody: "lots" }\n'));
    expect(await gauges()).toEqual([0, 0, 1]);
    expect(await successAt()).toBe(atStart);
    expect(proxy.logs().find(({ problems }) => problems !== undefined)?.problems).toEqual([
      expect.stringContaining(place),
    ]);
    expect(await (await fetch(proxy.adminUrl)).text()).toContain(place);
    expect(await deliver(proxy, 'a')).toBe(200);
    // A secret still rotates, although the reload counts as a failure.
    await nextReload(proxy, () => replaceFile(secretFile(proxy, 'current'), value('b')));
    expect(await gauges()).toEqual([0, 0, 2]);
    expect([await deliver(proxy, 'b'), await deliver(proxy, 'a')]).toEqual([200, 401]);
    const answer = await fetch(`${proxy.adminUrl}/-/reload`, { method: 'POST' });
    expect([answer.status, await answer.text()]).toEqual([500, expect.stringContaining(place)]);
    await nextReload(proxy, () => writeFile(proxy.configFile, good));
    expect(await gauges()).toEqual([1, 1, 3]);
    expect(await successAt()).toBeGreaterThan(atStart);

    await nextReload(proxy, () => writeFile(secretFile(proxy, 'current'), ''));
    expect(await deliver(proxy, 'b')).toBe(200);
    const { secrets, lastReload, reloads } = await proxy.status();
    expect(secrets).toMatchObject([
      { id: 'current', state: 'live', problem: 'it is empty; the last good value is still in use' },
    ]);
    expect([lastReload?.ok, reloads.length]).toEqual([false, 1]);
    await nextReload(proxy, () => writeFile(secretFile(proxy, 'current'), value('c')));
    expect([await deliver(proxy, 'c'), await deliver(proxy, 'b')]).toEqual([200, 401]);
    expect((await proxy.metrics()).get('entrupy_proxy_last_reload_successful')).toBe(1);
    await fetch(`${proxy.adminUrl}/-/reload`, { method: 'POST' }); // with nothing new
    expect((await proxy.status()).reloads).toHaveLength(2);

    await nextReload(proxy, () => rm(join(proxy.directory, 'secrets'), { recursive: true }));
    expect(await deliver(proxy, 'c')).toBe(200);
    expect((await proxy.metrics()).get('entrupy_proxy_last_reload_successful')).toBe(0);
    expect(await (await fetch(`${proxy.adminUrl}/readyz`)).text()).toBe('{"status":"ok"}');
  });
});
