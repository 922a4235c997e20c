// The command `deferred` beside a running proxy: it lists, shows, drops, and has the proxy deliver. Its store is a real
// directory, and what is in it was deferred by the proxy, or put there by somebody; or a Redis with a password.
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test as plainTest } from 'vitest';
import { fileIn } from '../../src/redelivery/stores/store.ts';
import { ownDirectory, replaceFile } from '../support/machine/files.ts';
import { HAS_SERVERS, REDIS_OR_VALKEY } from '../support/once/redis.ts';
import { callCommand, runCommand } from '../support/proxy/command.ts';
import { eventually, value } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { change, reload, secretFile } from '../support/proxy/reloads.ts';
import { shared } from '../support/proxy/shared.ts';
import {
  type App,
  altered,
  defer,
  deferred,
  recordsIn,
  results,
  startApp,
  stopped,
  test,
  untaken,
  untilOpen,
} from '../support/redelivery/proxy.ts';
import { waitFor } from '../support/runner/wait-for.ts';

const command = (proxy: Pick<RunningProxy, 'adminPort' | 'configFile'>, ...words: readonly string[]) =>
  callCommand(['deferred', ...words, '--config', proxy.configFile], { env: { ADMIN_PORT: String(proxy.adminPort) } });

/** Again if a busy machine's store did not answer: then it prints no JSON. */
const json = (proxy: RunningProxy, ...words: readonly string[]) =>
  waitFor(async () => {
    const { code, stdout } = await command(proxy, ...words, '--json');
    return { code, ...(JSON.parse(stdout) as Record<string, unknown>) };
  });

const NO_ID = `${'0'.repeat(16)}-${'0'.repeat(32)}`;

const directory = ownDirectory();
const NOTHING = `Nothing is deferred in ${directory}.\n`;

describe('deferred', () => {
  const on = shared(startApp, {
    upstream: { retryConnectFor: '500ms' },
    routes: [{ path: '/notify', redeliver: '1h' }],
    redelivery: { store: directory },
  });
  let proxy: RunningProxy;
  let app: App;
  beforeAll(async () => {
    ({ proxy, upstream: app } = on);
    await untilOpen(directory);
  });
  afterEach(async () => {
    app.answer = () => 200;
    await eventually(async () => (await command(proxy, 'deliver')).stdout, NOTHING);
  });

  plainTest('lists what waits, the oldest first, for people and for programs', async () => {
    expect(await command(proxy)).toEqual({ code: 0, stdout: NOTHING, stderr: '' });
    app.answer = () => 503;
    const before = Date.now();
    await defer(proxy, 'one', { target: '/notify?token=MARKER', lines: ['X-Key: MARKER'] });
    app.answer = () => 'reset';
    await defer(proxy, 'two');
    const ids = await recordsIn(directory);
    const { code, deliveries } = (await json(proxy, 'list')) as { code: number; deliveries: Record<string, unknown>[] };
    expect(code).toBe(0);
    expect(deliveries.map(({ id }) => id).toSorted()).toEqual(ids);
    const [first, second] = deliveries;
    expect(first).toMatchObject({
      ...{ state: 'waiting', method: 'POST', path: '/notify', secret: 'current' },
    });
    // As stored, which is less than what it counts against maxBytes.
    expect(Number(first?.bytes)).toBeLessThan(1000);
    expect(Number(first?.at)).toBeGreaterThanOrEqual(before);
    expect(Number(first?.nextTry)).toBeGreaterThanOrEqual(before);
    expect(Number(first?.at)).toBeLessThanOrEqual(Number(second?.at));
    expect([first?.lastFailure, second?.lastFailure]).toEqual([expect.stringMatching(/^(503|reset)$/), 'reset']);
    const { stdout } = await command(proxy);
    expect(stdout).toMatch(/^id +came +state +why +attempts +next try +bytes +request\n/);
    expect(stdout).toMatch(
      /^[0-9a-f]{16}-[0-9a-f]{32} {2}20\d\d-\d\d-\d\d \d\d:\d\d UTC {2}waiting +reset +\d+ +(in its turn|in \d+ s|being sent) +\d+ +POST \/notify$/m,
    );
    expect(stdout + JSON.stringify(deliveries)).not.toContain('MARKER');
  });

  plainTest('shows the bytes of a body as they are, also more than a pipe holds', async () => {
    app.answer = () => 500;
    const body = Buffer.from([0, 0xff, 0x0d, 0x0a, 0x1b, 0x80]);
    await defer(proxy, body);
    const [id = ''] = await recordsIn(directory);
    expect(await command(proxy, 'show', id)).toEqual({ code: 0, stdout: body.toString('latin1'), stderr: '' });
    expect(await json(proxy, 'show', id)).toMatchObject({
      code: 0,
      id,
      path: '/notify',
      body: body.toString('base64'),
    });
    const text = 'ä€\n'.repeat(50_000);
    await defer(proxy, text);
    const long = (await recordsIn(directory)).find((each) => each !== id) ?? '';
    const shown = await runCommand(['deferred', 'show', long, '--config', proxy.configFile]);
    expect({ ...shown, stdout: shown.stdout === text }).toEqual({ code: 0, stdout: true, stderr: '' });
  });

  plainTest('drops one, which the proxy counts and never sends', async () => {
    app.answer = () => 500;
    const before = await results(proxy, 'dropped');
    await defer(proxy, 'dropped');
    const [id = ''] = await recordsIn(directory);
    const dropped = { code: 0, stdout: `dropped ${id}: it is never sent again\n`, stderr: '' };
    await eventually(() => command(proxy, 'drop', id), dropped); // not while it is being sent
    const known = app.requests.length;
    app.answer = () => 200;
    await eventually(() => results(proxy, 'dropped'), 1 + (before ?? 0));
    expect(app.bodies().slice(known)).toEqual([]);
    expect(await command(proxy, 'drop', id)).toEqual({
      ...{ code: 1, stdout: '', stderr: `entrupy-signature-proxy deferred: nothing is deferred under the ID ${id}\n` },
    });
  });

  plainTest.for([
    [500, 'dropped'],
    [200, 'delivered'],
  ] as const)('drops nothing that is being sent: answered %i, it is %s', async ([status, result]) => {
    const all = ['delivered', 'dropped', 'expired'];
    const counts = () => Promise.all(all.map((each) => results(proxy, each)));
    const before = await counts();
    await untaken(app, proxy, 'event');
    const held = Promise.withResolvers<ServerResponse>();
    app.answer = () => (_request, response) => held.resolve(response);
    const response = await held.promise;
    const [id = ''] = await recordsIn(directory);
    const drop = async () => {
      const { code, stderr } = await command(proxy, 'drop', id);
      return stderr.includes('is being sent, or is next to be: try again after that') ? 'being sent' : code;
    };
    expect(await drop()).toBe('being sent');
    app.answer = () => status; // it may be sent again before the next look
    response.writeHead(status).end();
    await eventually(drop, status === 200 ? 1 : 0);
    await eventually(
      counts,
      before.map((count = 0, nth) => count + Number(all[nth] === result)),
    );
    expect(await recordsIn(directory)).toEqual([]);
  });

  plainTest('has the proxy deliver all, and tells how it goes', async () => {
    await stopped(app, proxy, 'one', 'two', 'three');
    app.answer = () => 200;
    const told = await command(proxy, 'deliver');
    expect(told).toMatchObject({
      code: 0,
      stdout: '3 of 3 are gone from the store: taken by the app, or dropped.\n',
    });
    expect(told.stderr).toMatch(/3 of 3 gone, 0 not taken\n$/);
    expect(new Set(app.bodies().slice(-3))).toEqual(new Set(['one', 'two', 'three']));
    await eventually(() => command(proxy, 'deliver'), { code: 0, stdout: NOTHING, stderr: '' });
  });

  plainTest('has it deliver one that the app refused before', async () => {
    await stopped(app, proxy, 'refused');
    const [id = ''] = await recordsIn(directory);
    expect((await command(proxy, 'list')).stdout).toMatch(/ stopped +404 +1 /);
    expect(await json(proxy, 'deliver', id)).toEqual({ code: 1, asked: 1, gone: 0, waiting: [id] });
    expect((await command(proxy, 'deliver', id)).stdout).toMatch(
      /^0 of 1 are gone from the store; each of the others had its turn; the last failure: 404\. What waits is tried again, what is kept stays\.\n$/,
    );
    app.answer = () => 200;
    expect(await json(proxy, 'deliver', id)).toEqual({ code: 0, asked: 1, gone: 1, waiting: [] });
  });

  plainTest('has one delivered that is being sent: only another sending is what was asked for', async () => {
    const asks = () => proxy.logs().filter(({ msg, id: of }) => `${msg}`.startsWith('redelivery ') && of === id).length;
    const held: ServerResponse[] = [];
    await untaken(app, proxy, 'sent');
    app.answer = () => (_request, response) => void held.push(response);
    await eventually(() => held.length, 1);
    const [id = ''] = await recordsIn(directory);
    expect((await command(proxy)).stdout).toMatch(/ waiting .* being sent /);
    const before = asks();
    const delivered = json(proxy, 'deliver', id);
    await eventually(asks, before + 1);
    held[0]?.writeHead(422).end();
    await eventually(async () => [held.length, (await deferred(proxy)).stopped], [2, 1]);
    held[1]?.end();
    expect(await delivered).toEqual({ code: 0, asked: 1, gone: 1, waiting: [] });
  });

  plainTest('ends with 1 without such an ID, a store or a proxy', async () => {
    for (const action of ['show', 'drop', 'deliver']) {
      for (const id of [NO_ID, 'an-id-of-another-kind', 'lock']) {
        const { code, stderr } = await command(proxy, action, id);
        expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining(`under the ID ${id}\n`) });
      }
    }
    for (let times = 0; times < 2; times++) await untaken(app, proxy, 'waits');
    await proxy.waitForLog(({ fresh }) => fresh === 'stored');
    const alone = { configFile: proxy.configFile, adminPort: 1 };
    const asked = await command(alone, 'deliver');
    expect(asked).toMatchObject({ code: 1, stdout: '' });
    expect(asked.stderr).toMatch(/no answer from the proxy at http:\/\/127\.0\.0\.1:\d+\/: the connection was refused/);
    const configFile = join(directory, 'elsewhere.yaml');
    const store = join(directory, 'none');
    await writeFile(configFile, `unmatched: reject\nredelivery: { store: ${store} }\n`);
    // A store that does not exist holds nothing, and none is made.
    const nothing = { code: 0, stdout: `Nothing is deferred in ${store}.\n`, stderr: '' };
    for (const action of ['list', 'deliver'])
      expect(await command({ configFile, adminPort: 1 }, action)).toEqual(nothing);
    expect(existsSync(store)).toBe(false);
    await mkdir(join(store, 'deferred'), { recursive: true, mode: 0o700 });
    await writeFile(fileIn(store), 'no database', { mode: 0o600 });
    const { code, stderr } = await command({ configFile, adminPort: 1 });
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining(`the store ${store}: `) });
    expect(stderr).toContain('; no route has redeliver\n');
  });

  plainTest('lists what stands in the store without its control characters', async () => {
    await stopped(app, proxy, 'ours', 'broken', 'forged', 'late');
    const [broken = '', forged = '', late = '', ours = ''] = await recordsIn(directory);
    altered(directory, "UPDATE event SET note = 'nothing' WHERE id = ?", broken);
    const note = { came: 1, route: null, method: 'POST', path: '/\x1b]0;x\x07\x9b', secret: '\x1b[2J', key: '' };
    const text = JSON.stringify({ ...note, attempts: 0, passed: 0, tried: 0, failure: 'connect' });
    altered(directory, 'UPDATE event SET note = ? WHERE id = ?', text, forged);
    const noDate = text.replace('"came":1', `"came":${Number.MAX_SAFE_INTEGER}`);
    altered(directory, 'UPDATE event SET note = ? WHERE id = ?', noDate, late);
    const { code, stdout } = await command(proxy);
    expect(code).toBe(0);
    expect(stdout).toContain(ours);
    for (const id of [broken, late]) expect(stdout).toMatch(new RegExp(`^${id}  -  +unreadable +- +- `, 'm'));
    expect(stdout).toContain(`${forged}  1970-01-01 00:00 UTC`);
    expect(stdout.replaceAll('\n', '')).not.toMatch(/[\x00-\x1f\x7f-\x9f]/);
    for (const id of [broken, forged, late]) await command(proxy, 'drop', id);
  });

  plainTest('keeps what the app did not take in time, until a person has it delivered or drops it', async () => {
    const kept = async (expired: number) => {
      const all = { waiting: 0, stopped: 0, expired, unverified: 0 };
      await eventually(() => deferred(proxy), all);
    };
    app.answer = () => 500;
    await change(proxy, () => ({ routes: [{ path: '/notify', redeliver: '1s' }] }));
    for (const body of ['one', 'two', 'three']) await defer(proxy, body);
    await kept(3);
    const sent = app.requests.length;
    const [id = ''] = await recordsIn(directory);
    expect((await command(proxy)).stdout).toMatch(new RegExp(`^${id} .* expired +500 +\\d+ +kept for 6 days +`, 'm'));
    const { deliveries } = (await json(proxy, 'list')) as unknown as { deliveries: { keptUntil: number }[] };
    expect(deliveries.map(({ keptUntil }) => Math.round((keptUntil - Date.now()) / 86_400_000))).toEqual([7, 7, 7]);
    const checked = await callCommand(['check', '--config', proxy.configFile], {
      env: { ADMIN_PORT: `${proxy.adminPort}` },
    });
    expect(checked).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/failed +deferred-expired: The app did not take 3 /),
    });
    const { stdout } = await command(proxy, 'deliver');
    expect(stdout).toMatch(
      /^0 of 3 are gone from the store; each of the others had its turn; the last failure: 500\. /,
    );
    expect(app.requests).toHaveLength(sent + 3);
    await kept(3);
    // Its secret may be gone by then.
    const file = secretFile(proxy, 'current');
    const secret = await readFile(file, 'utf8');
    await replaceFile(file, `another ${value('b')}`);
    await reload(proxy);
    const refused = (await command(proxy, 'deliver', id)).stdout;
    expect(refused).toMatch(
      /each of the others had its turn; the last one may not be sent: secret_gone\. Put back what is named: the secret on its route, /,
    );
    await kept(3);
    await replaceFile(file, secret);
    await reload(proxy);
    // The word holds no longer.
    await eventually(async () => new RegExp(`^${id} .* expired +500 `, 'm').test((await command(proxy)).stdout), true);
    app.answer = () => 200;
    expect(await json(proxy, 'deliver', id)).toEqual({ code: 0, asked: 1, gone: 1, waiting: [] });
    await kept(2);
    expect(await json(proxy, 'drop', '--expired')).toEqual({ code: 0, dropped: 2, sending: 0 });
    await kept(0);
    expect((await command(proxy)).stdout).toBe(NOTHING); // what a person decided is no loss
    expect(await command(proxy, 'list', '--expired')).toMatchObject({ code: 2 });
    await change(proxy, () => ({ routes: [{ path: '/notify', redeliver: '1h' }] }));
  });

  plainTest('says at once that the app is down, and that no route has redeliver', async () => {
    await app.close();
    await defer(proxy, 'waits');
    const told = await command(proxy, 'deliver');
    expect(told.code).toBe(1);
    expect(told.stdout).toMatch(/^0 of 1 are gone from the store; the app accepts no connection \(ECONNREFUSED\)/);
    await eventually(async () => / connect +0 +when the app answers /.test((await command(proxy)).stdout), true);
    await change(proxy, () => ({ routes: [{ path: '/notify' }] }));
    const refused = await command(proxy, 'deliver');
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toContain('deferred: nothing is sent while no route has redeliver\n');
    expect((await command(proxy)).stdout).toMatch(/ waiting +connect +0 +- +\d+ +POST/);
    const [id = ''] = await recordsIn(directory);
    expect((await command(proxy, 'drop', id)).code).toBe(0);
  });
});

describe.skipIf(!HAS_SERVERS)('deferred with a Redis', () => {
  test('lists, shows, drops, has delivered', async ({ app, redeliverer, directory, redis }) => {
    const server = await redis(REDIS_OR_VALKEY, { password: 'MARKER' });
    const passwordFile = join(directory, 'password');
    await writeFile(passwordFile, 'MARKER\n');
    const redelivery = { store: server.url, name: 'orders', passwordFile };
    const proxy = await redeliverer({ redelivery });
    await stopped(app, proxy, 'one', 'two');
    const { deliveries } = (await json(proxy, 'list')) as unknown as { deliveries: { id: string }[] };
    const [first = '', second = ''] = deliveries.map(({ id }) => id);
    expect(await command(proxy, 'show', first)).toEqual({ code: 0, stdout: 'one', stderr: '' });
    expect((await command(proxy, 'drop', first)).code).toBe(0);
    app.answer = () => 200;
    expect(await json(proxy, 'deliver', second)).toMatchObject({ code: 0, gone: 1 });
    await writeFile(passwordFile, 'another\n');
    const refused = await command(proxy);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(/^entrupy-signature-proxy deferred: the store redis:\/\/127\.0\.0\.1:.*WRONGPASS/);
    expect(refused.stderr).not.toMatch(/MARKER|another/);
  });
});
