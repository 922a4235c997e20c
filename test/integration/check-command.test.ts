// `check` against running proxies, with one thing really wrong at a time.
import { readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { basename, join } from 'node:path';
import { describe, expect } from 'vitest';
import { exchange } from '../support/http/raw-client.ts';
import { delivery } from '../support/http/requests.ts';
import { NOBODY } from '../support/machine/free-port.ts';
import { listening } from '../support/machine/listening.ts';
import { callCommand, runCommand } from '../support/proxy/command.ts';
import { test, value } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { reload, secretFile } from '../support/proxy/reloads.ts';
import { shared } from '../support/proxy/shared.ts';
import { startUpstream } from '../support/upstream/upstream.ts';

async function check(proxy: Pick<RunningProxy, 'adminPort' | 'configFile'>, args: readonly string[] = []) {
  const env = { ADMIN_PORT: String(proxy.adminPort) };
  const words = ['check', '--config', proxy.configFile, '--json', ...args];
  const { code, stdout, stderr } = await callCommand(words, { env });
  expect(stderr).toBe('');
  const told = JSON.parse(stdout) as { ok: boolean; checks: Readonly<Record<string, string | null>>[] };
  expect(Object.keys(told)).toEqual(['ok', 'checks']);
  const { ok, checks } = told;
  for (const one of checks) expect(Object.keys(one)).toEqual(['id', 'state', 'message', 'remedy', 'page']);
  expect([code, ok]).toEqual(checks.some(({ state }) => state === 'failed') ? [1, false] : [0, true]);
  for (const { state, remedy, page } of checks) if (state !== 'ok') expect([remedy, page]).not.toContain(null);
  for (const { remedy } of checks) expect(remedy).not.toBe('');
  const states = checks.map(({ id, state }) => `${id} ${state}`);
  return { states, messages: checks.map(({ message }) => message).join('\n') };
}

describe('check', () => {
  const on = shared(startUpstream, { routes: [{ path: '/trial', mode: 'report' }] });

  test('prints lines for people', async () => {
    const env = { ADMIN_PORT: String(on.proxy.adminPort) };
    const { code, stdout } = await runCommand(['check', '--config', on.proxy.configFile], { env });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^warning {2}report-mode: \/trial only reports/); // the worst first
    expect(stdout).toMatch(/\nok {7}ready: The proxy is ready \(version [^\n]+\)\.\n/);
    expect(stdout).toContain(`ok       upstream: The upstream ${on.upstream.url} accepts connections.\n`);
    expect(stdout).toContain('See entrupy-signature-proxy explain report-mode, or docs/alerts.md#report-mode\n');
    expect(stdout).toMatch(/\n0 failed, 0 unknown, \d warnings?\.\n$/);
  });

  test('without a proxy: failed, and a file that a start would refuse is told first', async ({ directory }) => {
    const configFile = join(directory, 'config.yaml');
    await writeFile(configFile, 'unmatched: verify\n');
    const { states, messages } = await check({ adminPort: 1, configFile }, ['--wait', '10ms']);
    expect(states).toEqual(['ready failed']);
    expect(messages).toContain('No proxy answers at http://127.0.0.1:1/: the connection was refused.');
    for (const bad of ['unmached: verify\n', 'listen: { tls: { certFile: /none.pem, keyFile: /none.key } }\n']) {
      await writeFile(configFile, bad);
      expect((await check({ adminPort: 1, configFile })).states).toEqual(['configuration failed', 'ready failed']);
    }
    // A proxy that started before may run on another port.
    const gone = await check({ adminPort: 1, configFile: join(directory, 'gone.yaml') });
    expect(gone.states).toEqual(['configuration failed', 'ready failed']);
  });

  test('no text of an answer controls the terminal', async ({ answering, directory }) => {
    const found = { id: 'log-gaps\u009b', state: 'warning', message: 'a\u001b[2J\u202e' };
    const evil = { ...found, remedy: '\u009b', page: 'x\u001b[2J', follows: [found] };
    const body = JSON.stringify({
      ...(await on.proxy.status()),
      right: [{ id: '\u001b', message: '' }],
      advice: [evil],
    });
    const { port } = await answering((_, response) => response.end(body));
    const env = { ADMIN_PORT: String(port) };
    const words = ['check', '--config', join(directory, 'none.yaml')];
    const { stdout } = await callCommand(words, { env });
    const message = 'log-gaps\\u009b: a\\u001b[2J\\u202e\n';
    expect(stdout).toContain(`${message}         So ${message}         \\u009b See docs/x\\u001b[2J\n`);
    const json = await callCommand([...words, '--json'], { env });
    for (const text of [stdout, json.stdout]) expect(text).not.toMatch(/[\u001b\u009b\u202e]/);
    expect(JSON.parse(json.stdout).checks).toContainEqual(expect.objectContaining({ id: found.id, page: evil.page }));
  });

  test('a file that is not the one in use', async ({ directory }) => {
    const { adminPort, configFile } = on.proxy;
    const other = join(directory, 'other.yaml');
    await writeFile(other, 'unmatched: verify\n');
    const { states, messages } = await check({ adminPort, configFile: other });
    expect(states).toContain('configuration failed');
    expect(messages).toContain(`${other} is not the configuration in use, which is ${configFile}.`);
    const absent = await check({ adminPort, configFile: join(directory, 'absent.yaml') });
    expect(absent.states).toContain('configuration failed');
  });

  /** What `check` says after this change, whose reload is answered so; then it is taken back. */
  async function checkedAfter(change: (config: string) => string, wanted: number) {
    const before = await readFile(on.proxy.configFile, 'utf8');
    await reload(on.proxy, change, wanted);
    const checked = await check(on.proxy);
    await reload(on.proxy, () => before);
    return checked;
  }

  test('of a changed file that is refused one line says since when, and why', async () => {
    const { states, messages } = await checkedAfter((config) => `${config}unmatched: nonsense\n`, 500);
    expect(states.filter((state) => state.startsWith('configuration'))).toEqual([]);
    expect(states.filter((state) => state.endsWith('failed'))).toEqual(['reload-failed failed']);
    expect(messages).toMatch(/^The last reload failed \d+ s ago .* before \(the configuration is of \d{4}-.* UTC\): /);
    expect(messages).toContain('unmatched: found "nonsense"');
  });

  test('a changed key that only a restart puts in use', async () => {
    const { states, messages } = await checkedAfter((config) => config.replace(on.upstream.url, NOBODY), 200);
    expect(states.filter((state) => state.startsWith('configuration'))).toEqual([]);
    expect(states).toContain('awaiting-restart warning');
    expect(messages).toContain('Changed, but not in use before a restart: upstream.url.');
  });

  test('a reload that fails for a secret leaves the configuration right', async () => {
    await rm(secretFile(on.proxy, 'current'));
    await reload(on.proxy, undefined, 500);
    const { states, messages } = await check(on.proxy);
    expect(states).toEqual(expect.arrayContaining(['configuration ok', 'secret-problem warning', 'secrets ok']));
    expect(messages).toContain('\nSo reload-failed: The last reload failed');
  });
});

test('the file in use is the one that the proxy reads, wherever check runs', async ({ start, directory }) => {
  const proxy = await start({}, { cwd: 'own' }); // it is told a relative path
  await writeFile(join(directory, basename(proxy.configFile)), 'unmatched: reject\n');
  const { stdout } = await runCommand(['check'], { env: { ADMIN_PORT: String(proxy.adminPort) }, cwd: directory });
  expect(stdout).toContain(`ok       configuration: ${proxy.configFile} is the configuration in use.`);
});

describe.concurrent('check --wait', () => {
  /** An admin port that tells of each question before the proxy answers it. */
  async function relay(to: RunningProxy, onQuestion: () => void) {
    const server = createServer((socket) => {
      onQuestion();
      const proxy = connect(to.adminPort, '127.0.0.1');
      for (const one of [socket, proxy]) one.on('error', () => {});
      socket.pipe(proxy).pipe(socket);
    });
    const { port, close } = await listening(server);
    return { adminPort: port, close };
  }

  test('looks again until a route has the live secret that it lacked', async ({ start, onTestFinished }) => {
    const proxy = await start({ routes: [{ path: '/notify' }] }, { secrets: {} });
    const lacking = await check(proxy);
    expect(lacking.states.filter((state) => !state.endsWith('ok'))).toEqual(['secret-problem failed']);
    expect(lacking.messages).toMatch(
      /^Secret directory \S+ cannot be used: .*\nSo no-live-secret: No secret is live on \/notify, unmatched.*\nSo not-ready: Not ready/,
    );
    let questions = 0;
    const { adminPort, close } = await relay(proxy, () => {
      // Only the first answer finds no secret: the next question comes after it.
      if (++questions === 2) void writeFile(secretFile(proxy, 'current'), value('a'));
    });
    onTestFinished(close);
    const { states, messages } = await check({ ...proxy, adminPort }, ['--wait', '10m']);
    const well = ['configuration ok', 'ready ok', 'secrets ok', 'upstream ok', 'reload ok', 'nothing-proven ok'];
    expect(states).toEqual(well); // no line for what is not configured
    expect(messages).toContain('Live secrets: 1 on /notify, 1 on unmatched.');
    expect(messages).toContain('Nothing is known to be wrong, but this is not proven');
    expect(questions).toBeGreaterThan(1);
  });

  test('fails if its time is over before it is known whether a route fails', async ({ start, answering }) => {
    const { port: app } = await answering((_, response) => response.writeHead(500).end());
    const proxy = await start({ upstream: { url: `http://127.0.0.1:${app}` } });
    expect((await exchange(proxy.port, delivery('event', value('a')))).status).toBe(500);
    const env = { ADMIN_PORT: String(proxy.adminPort) };
    expect((await callCommand(['check', '--wait', '10ms'], { env })).code).toBe(1);
  });
});
