// What /api/status, the page and `check` tell of deferred deliveries, and which secret they need, also when its value has
// become the previous one.
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { DIAGNOSES, type Diagnosis } from '../../src/core/diagnoses-and-remedies.ts';
import { fileIn } from '../../src/redelivery/stores/store.ts';
import { replaceFile } from '../support/machine/files.ts';
import { callCommand } from '../support/proxy/command.ts';
import { eventually, value } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { edit, nextReload } from '../support/proxy/reloads.ts';
import { defer, deferred, recordsIn, redeliver, test } from '../support/redelivery/redelivery.ts';

const signedWith = async (proxy: RunningProxy) =>
  Object.fromEntries((await proxy.status()).secrets.map(({ id, deferred }) => [id, deferred]));
const pageOf = async (proxy: RunningProxy) => (await fetch(`${proxy.adminUrl}/?refresh=off`)).text();
const retire = async (proxy: RunningProxy) =>
  (await fetch(`${proxy.adminUrl}/-/retire-previous`, { method: 'POST' })).json();

async function checked(proxy: RunningProxy): Promise<string[]> {
  const words = ['check', '--config', proxy.configFile, '--json'];
  const { stdout } = await callCommand(words, { env: { ADMIN_PORT: String(proxy.adminPort) } });
  const { checks } = JSON.parse(stdout) as { checks: { id: string; state: string; message: string }[] };
  return checks
    .filter(({ id }) => id === 'redelivery' || (id in DIAGNOSES && DIAGNOSES[id as Diagnosis].subject === 'redelivery'))
    .map(({ state, message }) => `${state}: ${message}`);
}

describe.concurrent('a proxy that redelivers', () => {
  test('tells on the page, in the API and in check what waits, and why nothing is sent', async ({
    app,
    redeliverer,
    directory,
  }) => {
    const proxy = await redeliverer();
    expect((await proxy.status()).deferred).toMatchObject({ waiting: 0, sends: true, problem: null, deliveries: [] });
    expect(await checked(proxy)).toEqual([`ok: The store of deferred deliveries (${directory}) works.`]);
    expect(await pageOf(proxy)).not.toContain('id="deferred"');
    app.answer = () => 503;
    const before = Date.now();
    await defer(proxy, 'event');
    const status = await proxy.status();
    const [id] = await recordsIn(directory);
    expect(status.deferred).toMatchObject({ waiting: 1, stopped: 0, unverified: 0, bytes: 4096 });
    const [first] = status.deferred?.deliveries ?? [];
    expect(first).toMatchObject({ id, state: 'waiting', route: '/notify', lastFailure: '503' });
    expect(first?.at).toBeGreaterThanOrEqual(before);
    expect(status.undelivered).toEqual([]);
    expect(await pageOf(proxy)).toContain(`<code>${id}</code>`);
    expect((await checked(proxy))[1]).toMatch(
      /^ok: 1 deferred delivery waits to be sent again, the oldest since \d\d:\d\d UTC, for \d+ s\. The first is lost at /,
    );
    app.answer = () => 400;
    await eventually(() => deferred(proxy), { waiting: 0, stopped: 1, unverified: 0 });
    expect(await checked(proxy)).toEqual([
      'warning: The app refused 1 deferred delivery (4xx), so it is sent again only when you ask.',
    ]);
    app.answer = () => 500;
    await defer(proxy, 'event');
    const unsent = /warning: 1 deferred delivery waits, and nothing is sent, since no route/;
    const routes = [{ path: '/notify' }];
    await nextReload(proxy, () => edit(proxy, (config) => ({ ...config, routes })));
    expect((await proxy.status()).deferred).toMatchObject({ waiting: 1, sends: false });
    expect((await checked(proxy)).join()).toMatch(unsent);
    const sent = app.requests.length;
    expect((await redeliver(proxy)).status).toBe(409);
    await proxy.stop();
    const next = await redeliverer({ config: { routes } });
    await eventually(() => deferred(next), { waiting: 1, stopped: 0, unverified: 0 });
    expect((await next.status()).deferred).toMatchObject({ waiting: 1, sends: false });
    expect((await checked(next)).join()).toMatch(unsent);
    expect((await redeliver(next)).status).toBe(409);
    expect(app.requests).toHaveLength(sent);
  });

  test('keeps a secret that deferred deliveries need, and tells that its store was lost', async ({
    app,
    redeliverer,
    directory,
  }) => {
    const file = join(directory, 'key');
    await writeFile(file, value('a'));
    const config = { secrets: [{ id: 'current', file, overlap: '1h' }] };
    const proxy = await redeliverer({ config });
    app.answer = () => 500;
    await defer(proxy, 'old');
    expect(await signedWith(proxy)).toEqual({ current: 1 });
    expect(await pageOf(proxy)).toContain('keep it: 1 deferred delivery is signed with it');
    await nextReload(proxy, () => replaceFile(file, value('b')));
    await defer(proxy, 'new 1', { secret: 'b' });
    await defer(proxy, 'new 2', { secret: 'b' });
    expect(await signedWith(proxy)).toEqual({ current: 2, 'current.previous': 1 });
    expect(await pageOf(proxy)).toContain(
      'ends by itself; 1 deferred delivery is signed with it, and not sent after that',
    );
    expect(await retire(proxy)).toEqual({ status: 'ok', retired: 1, stranded: 1, read: ['current'] });
    expect(await retire(proxy)).toEqual({ status: 'ok', retired: 0, stranded: 0, read: ['current'] });
    await eventually(async () => (await deferred(proxy)).unverified, 1);
    expect((await checked(proxy)).join()).toMatch(/warning: 1 deferred delivery cannot be verified, so not sent/);
    await rm(fileIn(directory));
    await defer(proxy, 'fresh', { secret: 'b' });
    const message = `The store of deferred deliveries \\(${directory}\\) lost what waited in it .* was removed or replaced`;
    expect((await checked(proxy)).join('\n')).toMatch(new RegExp(`^warning: ${message}`, 'm'));
    expect(await pageOf(proxy)).toMatch(new RegExp(message));
    expect((await proxy.status()).deferred?.storeLost?.problem).toContain(fileIn(directory));
    const lost = 'the store of deferred deliveries has lost what waited in it';
    const line = await proxy.waitForLog(({ msg }) => msg === lost);
    expect(line).toMatchObject({ level: 'error', problem: expect.stringContaining('removed or replaced') });
  });

  test('for no route makes no folder, and has no line in check', async ({ redeliverer, directory }) => {
    const store = join(directory, 'none');
    const proxy = await redeliverer({ config: { routes: [{ path: '/notify' }], redelivery: { store } } });
    // The store is configured, so the gauges are there.
    expect(await deferred(proxy)).toEqual({ waiting: 0, stopped: 0, unverified: 0 });
    expect((await redeliver(proxy)).status).toBe(409);
    expect(await checked(proxy)).toEqual([]);
    await expect(readdir(store)).rejects.toThrow('ENOENT');
  });
});
