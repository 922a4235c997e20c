// Deferred deliveries that nothing verifies now are kept and never sent. /api/status, the page and `check` tell it, and which
// secret each needs, also when its value has become the previous one.
import { readdir, rename, rm, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { DIAGNOSES, type Diagnosis } from '../../src/health/diagnoses.ts';
import { fileIn } from '../../src/redelivery/stores/store.ts';
import { replaceFile } from '../support/machine/files.ts';
import { HAS_SERVERS, REDIS_OR_VALKEY } from '../support/once/redis.ts';
import { callCommand } from '../support/proxy/command.ts';
import { eventually, value } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { change, edit, nextReload, reload } from '../support/proxy/reloads.ts';
import {
  altered,
  defer,
  deferred,
  nothingDeferred,
  recordsIn,
  redeliver,
  results,
  stopped,
  test,
  untaken,
  untilOpen,
} from '../support/redelivery/proxy.ts';

/** How often the log has a message, those included that it counts together. */
function told(proxy: RunningProxy, message: string): number {
  const lines = proxy.logs().filter(({ msg }) => msg === message);
  return lines.reduce((sum, { count }) => sum + (typeof count === 'number' ? count : 1), 0);
}

const UNVERIFIED = 'a deferred delivery cannot be verified, and is not sent';

describe.concurrent('what nothing verifies now', () => {
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
    await eventually(() => deferred(proxy), { waiting: 0, stopped: 0, expired: 0, unverified: 1 });
    expect(await results(proxy, 'unverified')).toBe(1);
    await proxy.waitForLog(({ msg, why }) => msg === UNVERIFIED && why === 'secret_gone');
    const before = app.requests.length;
    app.answer = () => 200;
    await redeliver(proxy);
    await eventually(() => deferred(proxy), { waiting: 0, stopped: 0, expired: 0, unverified: 1 });
    expect(app.requests.length).toBe(before);
    await reload(proxy, (config) => config.replace('- none\n', '- old\n'));
    await nothingDeferred(proxy);
    expect(app.requests.length).toBe(before + 1);
    await untaken(app, proxy, 'route');
    const verifies = '    secrets:\n      - old\n      - current\n    redeliver: 1h\n';
    await reload(proxy, (config) => config.replace(verifies, '    action: forward\n'));
    await redeliver(proxy);
    await eventually(async () => (await deferred(proxy)).unverified, 1);
    app.answer = () => 200;
    await reload(proxy, (config) => config.replace('    action: forward\n', ''));
    await nothingDeferred(proxy);
    expect(app.bodies().at(-1)).toBe('route');
  });

  test('is sent by a process that has the secret which another lacked', async ({ app, redeliverer, directory }) => {
    const told = async (proxy: RunningProxy) => JSON.stringify((await proxy.status()).advice);
    const had = await redeliverer();
    app.answer = () => 500;
    await Promise.all(['one', 'two', 'three', 'four'].map((body) => defer(had, body)));
    await had.stop();
    const lacks = await redeliverer({ secrets: { current: value('b') } });
    await eventually(async () => (await told(lacks)).includes(' 4 whose secret current is gone'), true);
    await lacks.stop();
    altered(directory, 'UPDATE event SET due = due + 3600000'); // as if another replica leased it again and again
    const held: ServerResponse[] = [];
    app.answer = () => (_request, response) => void held.push(response);
    const has = await redeliverer();
    const isSent = ' 4 whose secret current was lacking, and is here now.';
    await eventually(async () => held.length === 1 && (await told(has)).includes(isSent), true);
    expect(await signedWith(has)).toEqual({ current: 4 });
    app.answer = () => 200;
    for (const response of held) response.end();
    await nothingDeferred(has);
    expect(new Set(app.bodies())).toEqual(new Set(['one', 'two', 'three', 'four']));
  });

  test('is not sent, whether tampered with, copied, or too large by now', async ({ app, redeliverer, directory }) => {
    const proxy = await redeliverer();
    await untaken(app, proxy, 'one', 'two');
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
    await eventually(() => deferred(next), { waiting: 0, stopped: 0, expired: 0, unverified: 3 });
    expect(app.requests.length).toBe(before + 1);
    expect(await results(next, 'unverified')).toBe(3);
    // The log counts those of one half second together, whatever their reasons.
    const told = async () => JSON.stringify((await next.status()).advice);
    await eventually(async () => (await told()).includes(': 2 altered in the store, 1 larger than maxBody'), true);
    await untaken(app, next, 'small');
    app.answer = () => 200;
    await eventually(() => deferred(next), { waiting: 0, stopped: 0, expired: 0, unverified: 3 });
    expect(app.bodies().at(-1)).toBe('small');
    expect(await recordsIn(directory)).toHaveLength(3);
  });
});

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
    .filter(
      ({ id, message }) =>
        id === 'redelivery' ||
        message.includes('\nSo deferred-') ||
        (id in DIAGNOSES && DIAGNOSES[id as Diagnosis].subject === 'redelivery'),
    )
    .map(({ state, message }) => `${state}: ${message}`);
}

describe.concurrent('a proxy that redelivers', () => {
  test('tells what waits, and why nothing is sent', async ({ app, redeliverer, directory }) => {
    const proxy = await redeliverer();
    expect((await proxy.status()).deferred).toMatchObject({ waiting: 0, sends: true, deliveries: [] });
    await eventually(() => checked(proxy), [`ok: The store of deferred deliveries (${directory}) works.`]);
    expect(await pageOf(proxy)).not.toContain('id="deferred"');
    app.answer = () => 503;
    const before = Date.now();
    await defer(proxy, 'event');
    const status = await proxy.status();
    const [id] = await recordsIn(directory);
    expect(status.deferred).toMatchObject({ waiting: 1, stopped: 0, expired: 0, unverified: 0, bytes: 4096 });
    const [first] = status.deferred?.deliveries ?? [];
    expect(first).toMatchObject({ id, state: 'waiting', route: '/notify', lastFailure: '503' });
    expect(first?.at).toBeGreaterThanOrEqual(before);
    expect(status.undelivered).toEqual([]);
    expect(await pageOf(proxy)).toContain(`<code>${id}</code>`);
    expect((await redeliver(proxy, 'none')).status).toBe(404);
    expect((await checked(proxy)).join('\n')).toMatch(
      /The app answered 503 to the last delivery to \/notify, .* Nothing is lost yet: 1 waits .*\nSo deferred-waits: 1 deferred delivery waits to be sent again, the oldest since \d\d:\d\d UTC, for \d+ s\. The time of the first ends at /,
    );
    app.answer = () => 400;
    await eventually(() => deferred(proxy), { waiting: 0, stopped: 1, expired: 0, unverified: 0 });
    expect(await checked(proxy)).toEqual([
      expect.stringMatching(
        /^(?:warning|failed): The app answered 400 to the last delivery .*\nSo deferred-stopped: .* when you ask; the first is lost in 7 days/,
      ),
    ]);
    await untaken(app, proxy, 'event');
    const unsent = /warning: 1 deferred delivery waits, and nothing is sent, since no route/;
    const routes = [{ path: '/notify' }];
    await nextReload(proxy, () => edit(proxy, (config) => ({ ...config, routes })));
    expect((await proxy.status()).deferred).toMatchObject({ waiting: 1, sends: false });
    expect((await checked(proxy)).join()).toMatch(unsent);
    const sent = app.requests.length;
    expect((await redeliver(proxy)).status).toBe(409);
    await proxy.stop();
    const next = await redeliverer({ config: { routes } });
    await eventually(() => deferred(next), { waiting: 1, stopped: 0, expired: 0, unverified: 0 });
    expect((await next.status()).deferred).toMatchObject({ waiting: 1, sends: false });
    expect((await checked(next)).join()).toMatch(unsent);
    expect((await redeliver(next)).status).toBe(409);
    expect(app.requests).toHaveLength(sent);
  });

  test('is left to the proxy that sends it, by one that needs no store', async ({ app, redeliverer }) => {
    const owner = await redeliverer();
    await untaken(app, owner, 'event');
    const other = await redeliverer({ config: { routes: [{ path: '/notify' }] } });
    await nothingDeferred(other);
    await owner.stop();
    app.answer = () => 200;
    const again = await redeliverer();
    await eventually(() => app.bodies().at(-1), 'event');
    await nothingDeferred(again);
    for (const proxy of [other, again]) expect(told(proxy, 'the store of deferred deliveries fails')).toBe(0);
  });

  test('tells which secret deliveries need, and that a store was lost', async ({ app, redeliverer, directory }) => {
    const file = join(directory, 'key');
    await writeFile(file, value('a'));
    const config = { secrets: [{ id: 'current', file, overlap: '1h' }] };
    const proxy = await redeliverer({ config });
    await untaken(app, proxy, 'old');
    expect(await signedWith(proxy)).toEqual({ current: 1 });
    expect(await pageOf(proxy)).toContain('keep it: 1 deferred delivery is signed with it');
    await nextReload(proxy, () => replaceFile(file, value('b')));
    await defer(proxy, 'new 1', { secret: 'b' });
    await defer(proxy, 'new 2', { secret: 'b' });
    expect(await signedWith(proxy)).toEqual({ current: 2, 'current.previous': 1 });
    expect(await pageOf(proxy)).toContain('ends by itself; 1 deferred delivery is signed with it, and not sent after');
    expect(await retire(proxy)).toEqual({ status: 'ok', retired: 1, read: ['current'] });
    expect(await retire(proxy)).toEqual({ status: 'ok', retired: 0, read: ['current'] });
    await eventually(async () => (await deferred(proxy)).unverified, 1);
    expect((await checked(proxy)).join()).toMatch(/warning: 1 .* could not be verified at the last look, so not sent/);
    await rm(fileIn(directory));
    await defer(proxy, 'fresh', { secret: 'b' });
    const message = '3 deferred deliveries of the last day left the store untaken, .* was removed or replaced';
    expect((await checked(proxy)).join('\n')).toMatch(new RegExp(`^warning: ${message}`, 'm'));
    expect(await pageOf(proxy)).toMatch(new RegExp(message));
    expect((await proxy.status()).deferred?.losses).toMatchObject([
      { id: '', events: 3, why: expect.stringContaining('removed') },
    ]);
    expect(await results(proxy, 'lost')).toBe(3);
    const { stdout } = await callCommand(['deferred', '--config', proxy.configFile]);
    expect(stdout).toMatch(/^3 events whose ids are not known +- /m);
    const lost = 'the store of deferred deliveries has lost what waited in it';
    const line = await proxy.waitForLog(({ msg }) => msg === lost);
    expect(line).toMatchObject({ level: 'error', problem: expect.stringContaining('removed or replaced') });
  });

  test('makes a folder and has a line in check with the reload that first needs it', async ({
    app,
    redeliverer,
    directory,
  }) => {
    const [before, then] = [join(directory, 'before'), join(directory, 'then')];
    const proxy = await redeliverer({ config: { routes: [{ path: '/notify' }], redelivery: { store: before } } });
    // The store is configured, so the gauges are there.
    expect(await deferred(proxy)).toEqual({ waiting: 0, stopped: 0, expired: 0, unverified: 0 });
    expect((await redeliver(proxy)).status).toBe(409);
    expect(await checked(proxy)).toEqual([]);
    await change(proxy, () => ({ routes: [{ path: '/notify', redeliver: '1h' }], redelivery: { store: then } }));
    await untilOpen(then);
    await untaken(app, proxy, 'event');
    expect(await recordsIn(then)).toHaveLength(1);
    expect((await proxy.status()).config.awaitingRestart).toEqual([]);
    await change(proxy, () => ({ redelivery: { store: before } }));
    expect((await proxy.status()).config.awaitingRestart).toEqual(['redelivery']);
    await defer(proxy, 'another');
    expect(await recordsIn(then)).toHaveLength(2);
    await expect(readdir(before)).rejects.toThrow('ENOENT');
  });

  test('tells a damaged file as long as it lies there', async ({ app, redeliverer, directory }) => {
    const first = await redeliverer();
    await untaken(app, first, 'one', 'two', 'three');
    await eventually(async () => (await deferred(first)).waiting, 3);
    altered(directory, 'DROP TABLE record'); // damage that the next call meets
    await eventually(async () => (await first.status()).deferred?.aside.length, 1);
    await eventually(() => results(first, 'lost'), 3);
    await first.stop();
    const next = await redeliverer();
    await eventually(async () => (await next.status()).deferred?.aside.length, 1);
    const [aside] = (await next.status()).deferred?.aside ?? [];
    expect(aside).toMatchObject({ name: expect.stringMatching(/^aside-queue\.sqlite-.*Z-3$/), events: 3 });
    expect((await checked(next)).join('\n')).toMatch(
      /^failed: A damaged file .* aside-queue.* Deferred deliveries in it: up to 3\./m,
    );
    expect(await pageOf(next)).toContain(aside?.name);
    await rename(join(directory, 'deferred', aside?.name ?? ''), join(directory, 'saved'));
    await eventually(async () => (await checked(next)).join().includes('A damaged file'), false);
    // That all was lost is remembered by the new one.
    expect((await checked(next)).join('\n')).toMatch(/^warning: 3 deferred deliveries of the last day left the store/m);
  });

  test.skipIf(!HAS_SERVERS)(
    'with a Redis that evicts tells that, and what it lost, each with a line',
    async ({ app, redeliverer, redis }) => {
      const server = await redis(REDIS_OR_VALKEY);
      await server.ask('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
      const proxy = await redeliverer({ redelivery: { store: server.url, name: 'one' } });
      await stopped(app, proxy, 'one', 'two', 'three');
      expect((await checked(proxy)).join('\n')).toMatch(/^warning: The store .* its maxmemory-policy is allkeys-lru/m);
      const [key = '', ...kept] = (await server.ask('KEYS', '*record:?*')) as string[];
      await server.ask('DEL', key);
      await eventually(async () => (await deferred(proxy)).stopped, kept.length);
      await eventually(() => results(proxy, 'lost'), 1);
      const id = key.replace(/.*record:/, '');
      const line = await proxy.waitForLog(({ msg }) => msg === 'lost');
      expect(line).toMatchObject({
        level: 'error',
        id,
        body_sha256: id.slice(0, 16),
        route: '/notify',
        last_answer: '404',
      });
      expect([line.why, new Date(String(line.came)).toISOString()]).toEqual(['record', line.came]);
      expect(line.attempts).toBeGreaterThanOrEqual(1); // a busy machine may send it before the app's next answer is set
    },
  );
});
