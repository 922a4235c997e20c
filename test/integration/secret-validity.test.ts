// Secrets begin and end at their second, without a reload.
// Validity, overlap and report mode end on their own. A secret that has ended never verifies again and has its own
// reason.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { across, deliver } from '../support/deliveries/deliver.ts';
import { replaceFile } from '../support/machine/files.ts';
import { kubeletWrites } from '../support/machine/kubelet.ts';
import { eventually, test, value } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { reload, secretFile } from '../support/proxy/reloads.ts';

/** Less than the milliseconds for which contents must not change before they count. */
const SETTLED_MS = 200;

const iso = (at: number) => new Date(at).toISOString();
const reasons = (proxy: RunningProxy) => proxy.logs().flatMap(({ reason }) => (reason === undefined ? [] : [reason]));

async function retire(proxy: RunningProxy): Promise<readonly [number, unknown]> {
  const answer = await fetch(`${proxy.adminUrl}/-/retire-previous`, { method: 'POST' });
  return [answer.status, await answer.json()];
}

async function secretStates(proxy: RunningProxy): Promise<Readonly<Record<string, string>>> {
  const { secrets } = await proxy.status();
  return Object.fromEntries(secrets.map(({ id, state }) => [id, state]));
}

describe.concurrent('validity', () => {
  test('notBefore and notAfter take effect at their second', async ({ start, directory }) => {
    const file = join(directory, 'key');
    await writeFile(file, value('a'));
    const proxy = await start({ secrets: [{ id: 'current', file }] });
    const [begins, ends] = [Date.now() + 3000, Date.now() + 6000];
    const bounds = `    notBefore: ${iso(begins)}\n    notAfter: ${iso(ends)}\n`;
    await reload(proxy, (config) => config.replace(/ {4}file: .*\n/, (line) => line + bounds));
    expect(await secretStates(proxy)).toEqual({ current: 'not_yet' });
    const first = await across(begins, () => deliver(proxy, 'a'));
    expect([first.before, first.after]).toEqual([[503], [200]]);
    expect((await proxy.metrics()).get('entrupy_proxy_secret_live{secret="current"}')).toBe(1);
    const second = await across(ends, () => deliver(proxy, 'a'));
    expect([second.before, second.after]).toEqual([[200], [503]]);
    expect((await proxy.metrics()).get('entrupy_proxy_secret_live{secret="current"}')).toBe(0);
    expect(new Set(reasons(proxy))).toEqual(new Set(['no_live_secret']));
  });

  test('outside it, beside a live secret, is 401 with the reason expired_secret', async ({ start, directory }) => {
    await writeFile(join(directory, 'old'), value('old'));
    await writeFile(join(directory, 'current'), value('a'));
    const secrets = [
      { id: 'old', file: join(directory, 'old'), notAfter: iso(Date.now() - 1000) },
      { id: 'current', file: join(directory, 'current') },
    ];
    const proxy = await start({ secrets });
    expect([await deliver(proxy, 'old'), await deliver(proxy, 'forged'), await deliver(proxy, 'a')]).toEqual([
      401, 401, 200,
    ]);
    await eventually(() => reasons(proxy), ['expired_secret', 'signature_mismatch']);
  });

  test('reportUntil: the route enforces from that second on', async ({ start }) => {
    const proxy = await start({ routes: [{ path: '/notify' }] });
    const until = Date.now() + 3000;
    const report = `    mode: report\n    reportUntil: ${iso(until)}\n`;
    await reload(proxy, (config) => config.replace(/ {2}- path: .*\n/, (line) => line + report));
    expect((await proxy.metrics()).get('entrupy_proxy_route_report_mode{route="/notify"}')).toBe(1);
    const { before, after } = await across(until, () => deliver(proxy, 'forged'));
    expect([before, after]).toEqual([[200], [401]]);
    expect((await proxy.metrics()).get('entrupy_proxy_route_report_mode{route="/notify"}')).toBe(0);
  });
});

describe.concurrent('overlap', () => {
  const withOverlap = (overlap: string) => (secrets: string) => ({ secrets: [{ directory: secrets, overlap }] });

  test('the old value is valid as .previous until the end of the overlap in metrics', async ({ start, directory }) => {
    const file = join(directory, 'key');
    await writeFile(file, value('a'));
    const proxy = await start({ secrets: [{ id: 'current', file, overlap: '3s' }] });
    await replaceFile(file, value('b'));
    await reload(proxy);
    const ends = (await proxy.metrics()).get(
      'entrupy_proxy_secret_not_after_timestamp_seconds{secret="current.previous"}',
    );
    const { before, after } = await across((ends ?? 0) * 1000, () => deliver(proxy, 'a'));
    expect([before, after]).toEqual([[200], [401]]);
    expect(await deliver(proxy, 'b')).toBe(200);
    expect(new Set(reasons(proxy))).toEqual(new Set(['expired_secret']));
    expect(await secretStates(proxy)).toEqual({ current: 'live', 'current.previous': 'expired' });
    const metrics = await proxy.metrics();
    expect(
      metrics.get('entrupy_proxy_secret_matches_total{route="unmatched",secret="current.previous"}'),
    ).toBeGreaterThan(0);
    expect(metrics.get('entrupy_proxy_secret_live{secret="current.previous"}')).toBe(0);
  });

  test('half a file never stays; a restart ends overlaps', async ({ start, directory, upstream }) => {
    await writeFile(join(directory, 'current'), value('a'));
    const config = { upstream: { url: upstream.url }, ...withOverlap('1h')(directory) };
    const proxy = await start(config);
    expect(await deliver(proxy, 'a')).toBe(200);
    for (const name of ['half', 'whole']) {
      await writeFile(join(directory, 'current'), value(name));
      await reload(proxy);
    }
    const outcomes = async (now: RunningProxy) => Promise.all(['whole', 'half', 'a'].map((name) => deliver(now, name)));
    expect(await outcomes(proxy)).toEqual([200, 401, 200]);
    const matches = 'entrupy_proxy_secret_last_match_timestamp_seconds{secret="current.previous"}';
    expect((await proxy.metrics()).get(matches)).toBeGreaterThan(0);
    await proxy.stop();
    expect(await outcomes(await start(config))).toEqual([200, 401, 401]);
  });

  test('POST /-/retire-previous ends every overlap at once', async ({ start, directory }) => {
    for (const id of ['one', 'two']) await writeFile(join(directory, id), value(`${id}-old`));
    const proxy = await start(withOverlap('24h')(directory));
    for (const id of ['one', 'two']) await replaceFile(join(directory, id), value(id));
    await reload(proxy);
    expect([await deliver(proxy, 'one-old'), await deliver(proxy, 'two-old')]).toEqual([200, 200]);
    expect(await retire(proxy)).toEqual([200, { status: 'ok', retired: 2, read: ['one', 'two'] }]);
    expect([await deliver(proxy, 'one-old'), await deliver(proxy, 'two-old')]).toEqual([401, 401]);
    expect([await deliver(proxy, 'one'), await deliver(proxy, 'two')]).toEqual([200, 200]);
    expect(new Set(reasons(proxy))).toEqual(new Set(['expired_secret']));
    expect(await retire(proxy)).toEqual([200, { status: 'ok', retired: 0, read: ['one', 'two'] }]);
    await reload(proxy);
    expect(await deliver(proxy, 'one-old')).toBe(401);
  });

  test('retire-previous reads all first: what it replaces has no previous', async ({ start, directory }) => {
    await writeFile(join(directory, 'one'), value('leaked'));
    const proxy = await start(withOverlap('24h')(directory));
    await replaceFile(join(directory, 'one'), value('one'));
    expect(await retire(proxy)).toEqual([200, { status: 'ok', retired: 1, read: ['one'] }]);
    expect([await deliver(proxy, 'leaked'), await deliver(proxy, 'one')]).toEqual([401, 200]);
    await reload(proxy);
    expect(await deliver(proxy, 'leaked')).toBe(401);
    expect(proxy.logs().find(({ msg }) => msg === 'replaced values were retired')).toMatchObject({
      secrets: ['one.previous'],
      read: ['one'],
      unread: [],
    });
  });

  test('a source that keeps changing is named; it holds up no end, nor a reload', async ({ start, directory }) => {
    const [one, two] = [join(directory, 'one'), join(directory, 'two')];
    const secrets = [one, two].map((file, at) => ({ id: ['one', 'two'][at], file, overlap: '24h' }));
    const changing = async () => {
      for (const file of [one, two]) await writeFile(file, value(`old of ${file}`));
      const proxy = await start({ secrets });
      await replaceFile(one, value('new one'));
      const retiring = retire(proxy).then((answer) => ({ proxy, answer }));
      let retired = false;
      void retiring.finally(() => (retired = true));
      let longest = 0;
      for (let writes = 0, last = performance.now(); !retired; last = performance.now()) {
        await replaceFile(two, value(`write ${writes++}`));
        longest = Math.max(longest, performance.now() - last);
      }
      return { ...(await retiring), stoodStill: longest > SETTLED_MS };
    };
    let ended = await changing();
    while (ended.stoodStill) ended = await changing();
    const { proxy, answer } = ended;
    const error = `file ${two}: it keeps changing while it is being read; the last good value is still in use`;
    expect(answer).toEqual([503, { status: 'failed', retired: 1, read: ['one'], error }]);
    expect([await deliver(proxy, `old of ${one}`), await deliver(proxy, 'new one')]).toEqual([401, 200]);
    await writeFile(two, value('new two'));
    expect(await retire(proxy)).toEqual([200, { status: 'ok', retired: 1, read: ['one', 'two'] }]);
    expect([await deliver(proxy, `old of ${two}`), await deliver(proxy, 'new two')]).toEqual([401, 200]);
  });

  test('retire-previous names a source that cannot be read: its next value overlaps', async ({ start, directory }) => {
    for (const id of ['one', 'two']) await writeFile(join(directory, id), value(`${id}-old`));
    const secrets = ['one', 'two'].map((id) => ({ id, file: join(directory, id), overlap: '24h' }));
    const proxy = await start({ secrets });
    await replaceFile(join(directory, 'one'), value('one'));
    await writeFile(join(directory, 'two'), '');
    const error = `file ${join(directory, 'two')}: it is empty; the last good value is still in use`;
    expect(await retire(proxy)).toEqual([503, { status: 'failed', retired: 1, read: ['one'], error }]);
    expect([await deliver(proxy, 'one-old'), await deliver(proxy, 'two-old')]).toEqual([401, 200]);
  });
});

describe.concurrent('missing secrets', () => {
  const readyz = async (proxy: RunningProxy) => {
    const response = await fetch(`${proxy.adminUrl}/readyz`);
    return { status: response.status, text: await response.text() };
  };

  test('at start: the proxy is unready, says 503 with Retry-After, and ready once they appear', async ({ start }) => {
    const proxy = await start({ routes: [{ path: '/notify' }, { path: '/open', action: 'forward' }] }, { secrets: {} });
    expect(await readyz(proxy)).toMatchObject({
      status: 503,
      text: expect.stringContaining('/notify: no live secret'),
    });
    expect((await fetch(`${proxy.adminUrl}/startz`)).status).toBe(200);
    const answer = await fetch(`${proxy.url}/notify`, { method: 'POST', headers: { 'Entrupy-Signature': 'SHA256:x' } });
    const header = (name: string) => answer.headers.get(name);
    expect([answer.status, header('retry-after'), header('connection')]).toEqual([503, '1', 'close']);
    expect(await answer.text()).toBe('{"error":"no_live_secret"}');
    expect(await deliver(proxy, 'a', '/open')).toBe(200);
    await writeFile(secretFile(proxy, 'current'), 'short');
    await proxy.waitForLog(({ msg }) => String(msg).startsWith('reload failed'), 'the short secret');
    expect((await readyz(proxy)).text).toContain('shorter than 16 bytes');
    await writeFile(secretFile(proxy, 'current'), value('a'));
    await eventually(() => readyz(proxy), { status: 200, text: '{"status":"ok"}' });
    expect(await deliver(proxy, 'a')).toBe(200);
  });

  test('an expired one is shown with its date in the log, /readyz and the page', async ({ start }) => {
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
    expect(page).not.toContain('Put a value where');
  });

  test('after it was ready: 503 and a metric, but still ready, asked before or not', async ({ start, directory }) => {
    const file = join(directory, 'key');
    const proxy = await start({ secrets: [{ id: 'current', file }] });
    await writeFile(file, value('a'));
    await reload(proxy);
    // Only a config without the secret drops its last good value.
    await reload(
      proxy,
      (config) => config.replace(file, join(directory, 'none')).replace('id: current', 'id: other'),
      500,
    );
    await eventually(() => deliver(proxy, 'a'), 503);
    expect(await readyz(proxy)).toEqual({ status: 200, text: '{"status":"ok"}' });
    expect((await proxy.metrics()).get('entrupy_proxy_secret_live{secret="other"}')).toBe(0);
  });

  test('of a route in report mode do not affect readiness', async ({ start }) => {
    const proxy = await start({ unmatched: 'reject', routes: [{ path: '/notify', mode: 'report' }] }, { secrets: {} });
    expect((await readyz(proxy)).status).toBe(200);
    expect(await deliver(proxy, 'a')).toBe(200);
  });

  test('readyNeedsUpstream: ready only while the upstream is up; started in any case', async ({ start, upstream }) => {
    const proxy = await start({
      admin: { readyNeedsUpstream: true },
      upstream: { url: upstream.url, keepAlive: '0s' },
    });
    expect((await readyz(proxy)).status).toBe(200);
    await upstream.close();
    expect(await readyz(proxy)).toMatchObject({
      status: 503,
      text: expect.stringContaining('the upstream accepts no connections'),
    });
    expect((await fetch(`${proxy.adminUrl}/startz`)).status).toBe(200);
    expect((await fetch(`${proxy.adminUrl}/livez`)).status).toBe(200);
  });

  test('a directory that is missing at start counts once it appears', async ({ start, directory }) => {
    const secrets = join(directory, 'late');
    const proxy = await start({ secrets: [{ directory: secrets }] });
    expect((await readyz(proxy)).text).toContain('it does not exist');
    await kubeletWrites(secrets, { current: value('a') });
    await eventually(() => deliver(proxy, 'a'), 200);
  });
});
