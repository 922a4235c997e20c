// Secrets, overlaps and report mode begin and end at their second, without a reload.
import { unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { BODY, deliver } from '../support/deliveries/deliver.ts';
import { sign } from '../support/deliveries/signer.ts';
import { blockThat } from '../support/docs/blocks.ts';
import { post } from '../support/load/load.ts';
import { replaceFile } from '../support/machine/files.ts';
import { kubeletWrites } from '../support/machine/kubelet.ts';
import { mustRun } from '../support/machine/tools.ts';
import { callCommand } from '../support/proxy/command.ts';
import { eventually, test, value } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { change, reload, secretFile } from '../support/proxy/reloads.ts';
import { givenClock } from '../support/proxy/story.ts';

const HOUR_MS = 3_600_000;
/** Those of the requests to /notify. */
const reasons = (proxy: RunningProxy) =>
  proxy.logs().flatMap(({ reason, path }) => (reason === undefined || path !== '/notify' ? [] : [reason]));

async function retire(proxy: RunningProxy): Promise<readonly [number, unknown]> {
  const answer = await fetch(`${proxy.adminUrl}/-/retire-previous`, { method: 'POST' });
  return [answer.status, await answer.json()];
}

const retireByCommand = (proxy: Pick<RunningProxy, 'adminPort'>) =>
  callCommand(['retire-previous'], { env: { ADMIN_PORT: String(proxy.adminPort) } });

async function secretStates(proxy: RunningProxy): Promise<Readonly<Record<string, string>>> {
  const { secrets } = await proxy.status();
  return Object.fromEntries(secrets.map(({ id, state }) => [id, state]));
}

test.concurrent('what the verdict knows is told however many others like it are refused', async ({ start }) => {
  const secrets = [
    { id: 'current', env: 'CURRENT' },
    { id: 'old', env: 'OLD', notAfter: '2020-01-01T00:00:00Z' },
    { id: 'candidate', env: 'CANDIDATE', notBefore: '2999-01-01T00:00:00Z' },
  ];
  const mode = { mode: 'report', reportUntil: '2999-01-01T00:00:00Z' };
  const routes = [{ path: '/notify' }, { path: '/trial', ...mode }];
  const env = { CURRENT: value('a'), OLD: value('old'), CANDIDATE: value('candidate') };
  const proxy = await start({ secrets, routes }, { env });
  const quoted = { 'Entrupy-Signature': sign(`"${value('a')}"`, BODY) };
  const sent = Array.from({ length: 24 }, (_, nth) => {
    const [path, isOld] = [nth % 2 ? '/notify' : '/trial', nth > 15];
    return isOld ? deliver(proxy, 'old', path) : post({ url: proxy.url + path, body: BODY, headers: quoted });
  });
  // The last twelve: one that many requests try at once.
  const early = Array.from({ length: 12 }, () => deliver(proxy, 'candidate'));
  expect((await Promise.all([...sent, ...early])).slice(24)).toEqual(Array(12).fill(401));
  const told = () => proxy.logs().filter(({ reason }) => reason === 'expired_secret');
  await eventually(() => told().length, 20);
  const diagnoses = told().map(({ diagnosis }) => diagnosis);
  expect(diagnoses.filter((one) => one === 'early-secret')).toHaveLength(12);
  expect(diagnoses.filter((one) => one === 'expired-secret')).toHaveLength(8);
});

test.concurrent('notBefore, notAfter and reportUntil take effect on their own', async ({ start, directory }) => {
  const at = (hours: number) => new Date(Date.now() + hours * HOUR_MS).toISOString();
  const secrets = [
    { id: 'current', env: 'CURRENT', notBefore: at(1), notAfter: at(3) },
    { id: 'old', env: 'OLD', notAfter: at(-1) },
    { id: 'other', env: 'OTHER' },
  ];
  const notify = { path: '/notify', secrets: ['current', 'old'] };
  const trial = { path: '/trial', secrets: ['other'], mode: 'report', reportUntil: at(1) };
  const { set, env, flags } = await givenClock(directory);
  const values = { CURRENT: value('a'), OLD: value('old'), OTHER: value('other') };
  const proxy = await start({ secrets, routes: [notify, trial] }, { env: { ...env, ...values }, flags });
  const seen = async () => {
    const metrics = await proxy.metrics();
    const of = (name: string) => metrics.get(`entrupy_proxy_${name}`);
    const gauges = [of('secret_live{secret="current"}'), of('route_report_mode{route="/trial"}')];
    const { routes } = await proxy.status();
    return [await deliver(proxy, 'a'), await deliver(proxy, 'forged', '/trial'), ...gauges, routes[1]?.mode];
  };
  expect(await seen()).toEqual([503, 200, 0, 1, 'report']);
  expect(await secretStates(proxy)).toMatchObject({ current: 'not_yet' });
  await set(2 * HOUR_MS);
  expect(await seen()).toEqual([200, 401, 1, 0, 'enforce']);
  // One outside its time, beside a live one.
  expect([await deliver(proxy, 'old'), await deliver(proxy, 'forged')]).toEqual([401, 401]);
  await set(4 * HOUR_MS);
  expect(await seen()).toEqual([503, 401, 0, 0, 'enforce']);
  const told = ['no_live_secret', 'expired_secret', 'signature_mismatch', 'no_live_secret'];
  await eventually(() => reasons(proxy), told);
});

describe.concurrent('overlap', () => {
  test('retire-previous ends all overlaps, or names what is unreadable', async ({ start, directory, answering }) => {
    const ids = ['one', 'two', 'three', 'four'];
    for (const id of ids) await writeFile(join(directory, id), value(`${id}-old`));
    const proxy = await start({ secrets: ids.map((id) => ({ id, file: join(directory, id), overlap: '24h' })) });
    const delivered = async (...names: string[]) => Promise.all(names.map((name) => deliver(proxy, name)));
    for (const id of ['one', 'two']) await replaceFile(join(directory, id), value(id));
    await reload(proxy);
    expect(await delivered('one-old', 'two-old')).toEqual([200, 200]);
    await replaceFile(join(directory, 'three'), value('three')); // what it replaces itself has no previous value
    const stdout = 'read: one, two, three, four\nended: 3 overlaps\n';
    expect(await retireByCommand(proxy)).toEqual({ code: 0, stdout, stderr: '' });
    expect(await delivered('one-old', 'two-old', 'three-old')).toEqual([401, 401, 401]);
    expect(await delivered('one', 'two', 'three')).toEqual([200, 200, 200]);
    expect(new Set(reasons(proxy))).toEqual(new Set(['expired_secret']));
    expect(await retire(proxy)).toEqual([200, { status: 'ok', retired: 0, read: ids }]);
    await reload(proxy);
    expect(await delivered('one-old', 'three-old')).toEqual([401, 401]);
    const secrets = ['one.previous', 'two.previous', 'three.previous'];
    const told = await proxy.waitForLog(({ msg }) => msg === 'replaced values were retired');
    expect(told).toMatchObject({ secrets, read: ids, unread: [] });

    // What cannot be read keeps its value.
    await replaceFile(join(directory, 'four'), value('four'));
    await writeFile(join(directory, 'two'), '');
    const error = `file ${join(directory, 'two')}: it is empty; the last good value is still in use`;
    expect(await retire(proxy)).toEqual([503, { status: 'failed', retired: 1, read: ['one', 'three', 'four'], error }]);
    expect(await retireByCommand(proxy)).toEqual({
      code: 1,
      stdout: 'read: one, three, four\nended: 0 overlaps\n',
      stderr: expect.stringContaining(`cannot be read whole: ${error}`),
    });
    expect(await delivered('four-old', 'two')).toEqual([401, 200]);

    const other = await answering((_, response) => response.writeHead(403).end('{"error":"forbidden"}'));
    const stderr = `${other.url}/-/retire-previous answers 403 {"error":"forbidden"}\n`;
    expect(await retireByCommand({ adminPort: other.port })).toEqual({ code: 1, stdout: '', stderr });
  });
});

describe.concurrent('missing secrets', () => {
  const readyz = async (proxy: RunningProxy) => {
    const response = await fetch(`${proxy.adminUrl}/readyz`);
    return { status: response.status, text: await response.text() };
  };

  test('at start: unready, 503 with Retry-After, and ready once they appear', async ({ start, directory }) => {
    const secrets = join(directory, 'late');
    const proxy = await start({
      secrets: [{ directory: secrets }],
      routes: [{ path: '/notify' }, { path: '/open', action: 'forward' }],
    });
    const { status, text } = await readyz(proxy);
    expect([status, text]).toEqual([503, expect.stringContaining('/notify: no live secret')]);
    expect(text).toContain('it does not exist');
    expect((await fetch(`${proxy.adminUrl}/startz`)).status).toBe(200);
    const answer = await fetch(`${proxy.url}/notify`, { method: 'POST', headers: { 'Entrupy-Signature': 'SHA256:x' } });
    const header = (name: string) => answer.headers.get(name);
    expect([answer.status, header('retry-after'), header('connection')]).toEqual([503, '1', 'close']);
    expect(await answer.text()).toBe('{"error":"no_live_secret"}');
    expect(await deliver(proxy, 'a', '/open')).toBe(200);
    await kubeletWrites(secrets, { current: 'short' });
    await eventually(async () => (await readyz(proxy)).text.includes('shorter than 16 bytes'), true);
    await kubeletWrites(secrets, { current: value('a') });
    await eventually(() => readyz(proxy), { status: 200, text: '{"status":"ok"}' });
    expect(await deliver(proxy, 'a')).toBe(200);
  });

  test('an expired one is in log, /readyz and page with its date, unless it is only reported', async ({ start }) => {
    const secrets = [{ id: 'a', env: 'KEY', notAfter: '2026-01-31T12:00:00Z' }];
    const proxy = await start({ secrets, routes: [{ path: '/notify' }] }, { env: { KEY: value('a') } });
    const expired = 'secret a expired at 2026-01-31T12:00:00Z';
    expect(await readyz(proxy)).toMatchObject({ status: 503, text: expect.stringContaining(expired) });
    await proxy.waitForLog(({ msg, causes }) => msg === 'not ready' && String(causes).includes(expired));
    expect(await deliver(proxy, 'a')).toBe(503);
    const isHint = (hint: unknown) => String(hint).startsWith(`${expired}; this machine's clock says 20`);
    await proxy.waitForLog(({ reason, hint }) => reason === 'no_live_secret' && isHint(hint), 'the hint');
    const page = await (await fetch(proxy.adminUrl)).text();
    expect(page).toContain('secret a expired at 2026-01-31 12:00 UTC');
    expect(page).not.toContain('put a value where');
    await change(proxy, () => ({
      unmatched: 'reject',
      routes: [{ path: '/notify', mode: 'report' }],
    }));
    expect((await readyz(proxy)).status).toBe(200);
    expect(await deliver(proxy, 'a')).toBe(200);
  });

  test('after it was ready: 503, a metric, and ready while its app is up', async ({ start, directory, upstream }) => {
    const { set, env, flags } = await givenClock(directory);
    const notAfter = new Date(Date.now() + HOUR_MS).toISOString();
    const config = {
      secrets: [{ id: 'current', env: 'KEY', notAfter }],
      admin: { readyNeedsUpstream: true },
      upstream: { url: upstream.url, keepAlive: '0s' },
    };
    const proxy = await start(config, { env: { ...env, KEY: value('a') }, flags });
    expect([(await readyz(proxy)).status, await deliver(proxy, 'a')]).toEqual([200, 200]);
    await set(2 * HOUR_MS);
    expect(await deliver(proxy, 'a')).toBe(503);
    expect(await readyz(proxy)).toEqual({ status: 200, text: '{"status":"ok"}' });
    expect((await proxy.metrics()).get('entrupy_proxy_secret_live{secret="current"}')).toBe(0);
    await upstream.close();
    const down = expect.stringContaining('the upstream accepts no connections');
    expect(await readyz(proxy)).toMatchObject({ status: 503, text: down });
    expect((await fetch(`${proxy.adminUrl}/startz`)).status).toBe(200);
    expect((await fetch(`${proxy.adminUrl}/livez`)).status).toBe(200);
  });
});

const LIVE = 'entrupy_proxy_secret_live{secret="current"}';

test('the new file is live and the leaked one refused, and the query names no pod any more', async ({ start }) => {
  const proxy = await start();
  expect(await deliver(proxy, 'a')).toBe(200);
  expect((await proxy.metrics()).get(LIVE)).toBe(1);
  // The other way round it would stay live: a directory without a file keeps the last value.
  const leaked = secretFile(proxy, 'current');
  await unlink(leaked);
  await proxy.waitForLog(({ msg }) => String(msg).startsWith('reload failed'), 'the failed reload');
  expect(await deliver(proxy, 'a')).toBe(200);
  expect((await proxy.metrics()).get(LIVE)).toBe(1);
  await writeFile(leaked, value('a'));
  // As written, except for openssl, which this machine may lack.
  const text = blockThat('docs/rotation.md', /rm .*current/).replace(
    'openssl rand -hex 32',
    'head -c 24 /dev/urandom | od -An -tx1 | tr -d " \\n"',
  );
  await mustRun('bash', ['-ec', text], { cwd: proxy.directory });
  await post({ url: `${proxy.adminUrl}/-/reload`, body: '' });
  await eventually(() => deliver(proxy, 'a'), 401);
  const metrics = await proxy.metrics();
  expect(metrics.get(LIVE)).toBeUndefined();
  expect(metrics.get('entrupy_proxy_secret_live{secret="next"}')).toBe(1);
});

test.concurrent('secrets that a reload swaps between two routes have proven nothing there', async ({ start }) => {
  const secrets = ['a', 'b'].map((id) => ({ id, env: id.toUpperCase() }));
  const listed = (one: string, other: string) => ({
    routes: [
      { path: '/notify', secrets: [one] },
      { path: '/other', secrets: [other] },
    ],
  });
  const proxy = await start({ secrets, ...listed('a', 'b') }, { secrets: {}, env: { A: value('a'), B: value('b') } });
  expect([await deliver(proxy, 'a'), await deliver(proxy, 'b', '/other')]).toEqual([200, 200]);
  const told = async () => (await proxy.status()).advice.map(({ id, route }) => `${id} ${route}`);
  expect(await told()).toEqual(['all-is-well null']);
  await change(proxy, () => listed('b', 'a'));
  expect(await told()).toEqual(['secret-unproven /notify', 'secret-unproven /other']);
  // A value whose id was changed has.
  await change(proxy, () => ({
    secrets: [
      { id: 'c', env: 'A' },
      { id: 'd', env: 'B' },
    ],
    ...listed('c', 'd'),
  }));
  expect(await told()).toEqual(['all-is-well null']);
});
