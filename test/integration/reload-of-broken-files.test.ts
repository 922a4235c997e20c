// Files that are empty, half written, broken, missing or no files at all under a running proxy. The old policy and the
// last good secrets stay in use, and the log, the metrics and the admin port say so.
import { execFileSync } from 'node:child_process';
import { appendFile, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { deliver } from '../support/deliveries/deliver.ts';
import { replaceFile } from '../support/machine/files.ts';
import { eventually, test, value } from '../support/proxy/proxied.ts';
import { nextReload, reloads, secretFile } from '../support/proxy/reloads.ts';

describe.concurrent('an incomplete file never becomes policy', () => {
  test('a config file that is gone or has no whole text: the old policy stays until the next good edit', async ({
    start,
    upstream,
  }) => {
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
      expect(reloads(proxy).at(-1), what).toBe('reload failed: the previous state stays in use');
      expect(await deliver(proxy, 'a'), what).toBe(200);
    }
    await nextReload(proxy, write(good.replace('listen:', 'unmatched: verify\nlisten:')));
    expect(reloads(proxy).at(-1)).toBe('reloaded');
  });

  test('a file written in two steps is loaded once, when it is complete; no pipe or directory is', async ({
    start,
  }) => {
    const inTwoSteps = async () => {
      const proxy = await start();
      const old = await readFile(proxy.configFile, 'utf8');
      const more = `${old}routes:\n  - path: /first\n`;
      let took = 0;
      await nextReload(proxy, async () => {
        const begun = performance.now();
        await writeFile(secretFile(proxy, 'current'), value('b').slice(0, 20));
        await writeFile(proxy.configFile, more);
        await new Promise((resolve) => setTimeout(resolve, 100));
        await appendFile(secretFile(proxy, 'current'), value('b').slice(20));
        await appendFile(proxy.configFile, '  - path: /second\n');
        took = performance.now() - begun;
      });
      return { proxy, took };
    };
    let { proxy, took } = await inTwoSteps();
    // A busy machine may take longer than the time for which contents must not change: then the first step counts.
    while (took > 250) ({ proxy, took } = await inTwoSteps());
    expect(reloads(proxy)).toEqual(['reloaded']);
    expect(await deliver(proxy, 'b')).toBe(200);
    const series = await proxy.metrics();
    expect(series.has('entrupy_proxy_route_report_mode{route="/second"}')).toBe(true);
    const good = await readFile(proxy.configFile, 'utf8');
    for (const become of ['mkdir', 'mkfifo']) {
      await rm(proxy.configFile, { recursive: true });
      execFileSync(become, [proxy.configFile]);
      const response = await fetch(`${proxy.adminUrl}/-/reload`, { method: 'POST' });
      expect([response.status, await response.text()]).toEqual([500, expect.stringContaining('not a regular file')]);
    }
    // Nothing waits for it.
    await replaceFile(secretFile(proxy, 'current'), value('c'));
    await eventually(() => deliver(proxy, 'c'), 200);
    await unlink(proxy.configFile);
    await writeFile(proxy.configFile, `${good}unmatched: reject\n`);
    await eventually(() => deliver(proxy, 'c'), 404);
  });

  test('a broken edit keeps the old policy, and is told; secrets rotate, and keep their last good value', async ({
    start,
  }) => {
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
    expect(proxy.logs().find(({ level }) => level === 'error')?.problems).toEqual([expect.stringContaining(place)]);
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
    const { secrets, lastReload } = await proxy.status();
    expect(secrets).toMatchObject([
      { id: 'current', state: 'live', problem: 'it is empty; the last good value is still in use' },
    ]);
    expect(lastReload?.ok).toBe(false);
    await nextReload(proxy, () => writeFile(secretFile(proxy, 'current'), value('c')));
    expect([await deliver(proxy, 'c'), await deliver(proxy, 'b')]).toEqual([200, 401]);
    expect((await proxy.metrics()).get('entrupy_proxy_last_reload_successful')).toBe(1);

    await nextReload(proxy, () => rm(join(proxy.directory, 'secrets'), { recursive: true }));
    expect(await deliver(proxy, 'c')).toBe(200);
    expect((await proxy.metrics()).get('entrupy_proxy_last_reload_successful')).toBe(0);
    expect(await (await fetch(`${proxy.adminUrl}/readyz`)).text()).toBe('{"status":"ok"}');
  });
});
