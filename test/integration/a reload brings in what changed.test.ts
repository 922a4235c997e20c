// Config and secrets change under a running proxy, in every way that people, editors and the kubelet change files.
import { execFileSync } from 'node:child_process';
import { appendFile, mkdir, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { parse, stringify } from 'yaml';
import { replaceFile } from '../support/files.ts';
import { kubeletWrites } from '../support/kubelet.ts';
import { post } from '../support/load.ts';
import { eventually, test, value } from '../support/proxied.ts';
import type { RunningProxy } from '../support/proxy.ts';
import { sign } from '../support/signer.ts';

const BODY = '{"event":1}';

const deliver = async (proxy: RunningProxy, name: string, path = '/notify') =>
  (await post({ url: proxy.url + path, body: BODY, headers: { 'Entrupy-Signature': sign(value(name), BODY) } })).status;

/** The log lines about reloads so far, by message. */
const reloads = (proxy: RunningProxy) =>
  proxy.logs().flatMap(({ msg }) => (msg === 'reloaded' || String(msg).startsWith('reload failed') ? [msg] : []));

async function nextReload(proxy: RunningProxy, change: () => Promise<unknown>): Promise<void> {
  const before = reloads(proxy).length;
  await change();
  // More than one when a slow machine lets a poll see only the first of two changes.
  await eventually(() => reloads(proxy).length > before, true);
}

/** The current config, with changes. */
async function edit(proxy: RunningProxy, change: (config: Record<string, object>) => object): Promise<void> {
  const now = parse(await readFile(proxy.configFile, 'utf8')) as Record<string, object>;
  await replaceFile(proxy.configFile, stringify(change(now)));
}

const secretFile = (proxy: RunningProxy, id: string) => join(proxy.directory, 'secrets', id);

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

  test('by POST /-/reload, which responds once the change is in force', async ({ start }) => {
    const proxy = await start();
    for (const name of ['b', 'c', 'd']) {
      await replaceFile(secretFile(proxy, 'current'), value(name));
      const response = await fetch(`${proxy.adminUrl}/-/reload`, { method: 'POST' });
      expect([response.status, await response.text()]).toEqual([200, '{"status":"ok"}']);
      expect(await deliver(proxy, name)).toBe(200);
    }
  });

  test('ten concurrent reload requests are answered, and the last content is in force', async ({ start }) => {
    const proxy = await start();
    await replaceFile(secretFile(proxy, 'current'), value('b'));
    const asked = Array.from({ length: 10 }, () => fetch(`${proxy.adminUrl}/-/reload`, { method: 'POST' }));
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect(await deliver(proxy, 'b')).toBe(200);
  });
});

describe.concurrent('as the kubelet swaps `..data`', () => {
  test.for([2, 10])('%i times, secrets: each swap is one reload and ends the old value', async (times, { start }) => {
    const proxy = await start({ secrets: [{ id: 'none-yet', file: '/nowhere' }] }, { secrets: {} });
    const directory = join(proxy.directory, 'mounted');
    await kubeletWrites(directory, { current: value('k0'), steady: value('steady') });
    await nextReload(proxy, () => edit(proxy, (config) => ({ ...config, secrets: [{ directory }] })));
    for (let nth = 1; nth <= times; nth++) {
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
    expect(reloads(proxy)).toEqual(Array(times + 1).fill('reloaded'));
    const live = [...(await proxy.metrics())].filter(([name]) => name.startsWith('entrupy_proxy_secret_live'));
    expect(live.map(([, state]) => state)).toEqual([1, 1, 1]);
  });
});

describe.concurrent('an incomplete file never becomes policy', () => {
  test.for([
    ['empty', ''],
    ['comments alone', '# yaml-language-server: $schema=config.schema.json\n# the rest is on its way\n'],
    ['truncated YAML', 'upstream:\n  url: "http://127.0'],
    ['a truncated key', 'upstream:\n  ur'],
  ])(
    'a config file that is %s: the old policy stays until the next good edit',
    async ([, content = ''], { start, upstream }) => {
      // The environment alone would be a valid configuration.
      const proxy = await start({}, { env: { UPSTREAM_URL: upstream.url } });
      const good = await readFile(proxy.configFile, 'utf8');
      await nextReload(proxy, () => writeFile(proxy.configFile, content));
      expect(reloads(proxy)).toEqual(['reload failed: the previous state stays in use']);
      expect(await deliver(proxy, 'a')).toBe(200);
      await nextReload(proxy, () => writeFile(proxy.configFile, good.replace('listen:', 'unmatched: verify\nlisten:')));
      expect(reloads(proxy).at(-1)).toBe('reloaded');
    },
  );

  test('a config file that disappears and comes back', async ({ start, upstream }) => {
    const proxy = await start({}, { env: { UPSTREAM_URL: upstream.url } });
    const good = await readFile(proxy.configFile, 'utf8');
    await nextReload(proxy, () => unlink(proxy.configFile));
    expect(await deliver(proxy, 'a')).toBe(200);
    await nextReload(proxy, () => writeFile(proxy.configFile, ''));
    expect(await deliver(proxy, 'a')).toBe(200);
    await nextReload(proxy, () => writeFile(proxy.configFile, good));
    expect(reloads(proxy).at(-1)).toBe('reloaded');
  });

  test('a file written in two steps is loaded once, when it is complete', async ({ start }) => {
    const proxy = await start();
    const old = await readFile(proxy.configFile, 'utf8');
    const more = `${old}routes:\n  - path: /first\n`;
    await nextReload(proxy, async () => {
      await writeFile(secretFile(proxy, 'current'), value('b').slice(0, 20));
      await writeFile(proxy.configFile, more);
      await new Promise((resolve) => setTimeout(resolve, 100)); // within the 250 ms for which contents must not change
      await appendFile(secretFile(proxy, 'current'), value('b').slice(20));
      await appendFile(proxy.configFile, '  - path: /second\n');
    });
    expect(reloads(proxy)).toEqual(['reloaded']);
    expect(await deliver(proxy, 'b')).toBe(200);
    const series = await proxy.metrics();
    expect(series.has('entrupy_proxy_route_report_mode{route="/second"}')).toBe(true);
  });

  test('an emptied secret keeps its last good value, and says so until it is good again', async ({ start }) => {
    const proxy = await start();
    await nextReload(proxy, () => writeFile(secretFile(proxy, 'current'), ''));
    expect(await deliver(proxy, 'a')).toBe(200);
    const { secrets, lastReload } = (await (await fetch(`${proxy.adminUrl}/api/status`)).json()) as {
      secrets: { id: string; state: string; problem: string }[];
      lastReload: { ok: boolean };
    };
    expect(secrets).toMatchObject([
      { id: 'current', state: 'live', problem: 'it is empty; the last good value is still in use' },
    ]);
    expect(lastReload.ok).toBe(false);
    await nextReload(proxy, () => writeFile(secretFile(proxy, 'current'), value('b')));
    expect([await deliver(proxy, 'b'), await deliver(proxy, 'a')]).toEqual([200, 401]);
    expect((await proxy.metrics()).get('entrupy_proxy_last_reload_successful')).toBe(1);
  });

  test('a directory that disappears keeps all of its secrets, and says so', async ({ start }) => {
    const proxy = await start();
    await nextReload(proxy, () => rm(join(proxy.directory, 'secrets'), { recursive: true }));
    expect(await deliver(proxy, 'a')).toBe(200);
    expect((await proxy.metrics()).get('entrupy_proxy_last_reload_successful')).toBe(0);
    expect(await (await fetch(`${proxy.adminUrl}/readyz`)).text()).toBe('{"status":"ok"}');
  });
});

describe.concurrent('a broken edit', () => {
  test('keeps the old policy; the log, the status page and the response give line and column', async ({ start }) => {
    const proxy = await start({ routes: [{ path: '/notify' }] });
    const good = await readFile(proxy.configFile, 'utf8');
    const line = good.split('\n').length;
    await nextReload(proxy, () => appendFile(proxy.configFile, 'limits: { maxBody: "lots" }\n'));
    const place = `${proxy.configFile}:${line}:20`;
    expect(proxy.logs().find(({ level }) => level === 'error')?.problems).toEqual([expect.stringContaining(place)]);
    expect(await (await fetch(proxy.adminUrl)).text()).toContain(place);
    const answer = await fetch(`${proxy.adminUrl}/-/reload`, { method: 'POST' });
    expect(answer.status).toBe(500);
    expect(await answer.text()).toContain(`:${line}:20`);
    expect(await deliver(proxy, 'a')).toBe(200);
  });

  test('shows in the two gauges and in reloads_total, and is logged once', async ({ start }) => {
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
    await nextReload(proxy, () => appendFile(proxy.configFile, 'nonsense: 1\n'));
    expect(await gauges()).toEqual([0, 0, 1]);
    expect(await successAt()).toBe(atStart);
    // A secret still rotates, although the reload counts as a failure.
    await nextReload(proxy, () => replaceFile(secretFile(proxy, 'current'), value('b')));
    expect(await gauges()).toEqual([0, 0, 2]);
    expect([await deliver(proxy, 'b'), await deliver(proxy, 'a')]).toEqual([200, 401]);
    await nextReload(proxy, () => writeFile(proxy.configFile, good));
    expect(await gauges()).toEqual([1, 1, 2]);
    expect(await successAt()).toBeGreaterThan(atStart);
  });
});

describe.concurrent('what a reload changes', () => {
  test('routes and limits take effect at once; the log and the status page say what needs a restart', async ({
    start,
  }) => {
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

describe.concurrent('a source that can never change causes a warning', () => {
  const warnings = (proxy: RunningProxy) =>
    proxy.logs().flatMap(({ level, problem }) => (level === 'warn' && typeof problem === 'string' ? [problem] : []));

  test('an environment variable; a new one after a reload, once', async ({ start }) => {
    const env = { ONE: value('a'), TWO: value('two') };
    const proxy = await start({ secrets: [{ id: 'one', env: 'ONE' }] }, { env });
    expect(warnings(proxy)).toEqual([expect.stringContaining('a variable (ONE)')]);
    const secrets = [
      { id: 'one', env: 'ONE' },
      { id: 'two', env: 'TWO' },
    ];
    await nextReload(proxy, () => edit(proxy, (config) => ({ ...config, secrets })));
    expect(warnings(proxy).map((text) => text.slice(0, 10))).toEqual(['secret one', 'secret two']);
    expect(await deliver(proxy, 'two')).toBe(200);
  });

  test('a config that becomes a pipe or a directory is a failed reload, and nothing waits for it', async ({
    start,
  }) => {
    const proxy = await start();
    expect(warnings(proxy)).toEqual([]);
    const good = await readFile(proxy.configFile, 'utf8');
    for (const become of ['mkdir', 'mkfifo']) {
      await rm(proxy.configFile, { recursive: true });
      execFileSync(become, [proxy.configFile]);
      const response = await fetch(`${proxy.adminUrl}/-/reload`, { method: 'POST' });
      expect([response.status, await response.text()]).toEqual([500, expect.stringContaining('not a regular file')]);
    }
    await replaceFile(secretFile(proxy, 'current'), value('b'));
    await eventually(() => deliver(proxy, 'b'), 200);
    await unlink(proxy.configFile);
    await writeFile(proxy.configFile, `${good}unmatched: reject\n`);
    await eventually(() => deliver(proxy, 'b'), 404);
  });
});
