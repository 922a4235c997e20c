// Inputs that keep changing while they are read count as unreadable, and hold up no other; those that did not change are not
// read. What breaks off unexpectedly ends no process. And how many connections the limit of open files has room for.
import { existsSync, mkdirSync, renameSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { parseConfig } from '../../../src/config/load.ts';
import { stateOf } from '../../../src/core/keyring.ts';
import { Health } from '../../../src/health/health.ts';
import { Ledger } from '../../../src/health/ledger.ts';
import { readInputs, settledInputs, stampOf } from '../../../src/runtime/inputs.ts';
import { fitMachine, fitOpenFiles } from '../../../src/runtime/machine-limits.ts';
import { startProxy } from '../../../src/runtime/proxy.ts';
import { LiveRuleset } from '../../../src/runtime/reload.ts';
import { rotate } from '../../../src/secrets/rotation.ts';
import { ownDirectory, replaceFile } from '../../support/machine/files.ts';
import { makeIdentity } from '../../support/tls/x509.ts';

const folder = ownDirectory();

test.concurrent.each<[what: string, told: string, file: string]>([
  ['nothing', '', 'another'],
  ['a directory of secrets', 'directory secrets', 'secrets/one'],
  ['a file of two secrets', 'file two', 'two'],
  ['a certificate', 'listen.tls.certFile crt', 'crt'],
  ['the configuration', 'c.yaml', 'c.yaml'],
])('while %s keeps changing, all else that was read counts', async (what, told, file) => {
  const own = join(folder, what);
  const at = (name: string) => join(own, name);
  mkdirSync(at('secrets'), { recursive: true });
  const { certificate, key } = makeIdentity({ name: 'a' });
  const tls = `listen: { tls: { certFile: ${at('crt')}, keyFile: ${at('key')} } }`;
  const ended = `{ id: ended, file: ${at('two')}, notAfter: 2020-01-01T00:00:00Z }`;
  const config = `${tls}\nsecrets: [{ directory: ${at('secrets')} }, { id: two, file: ${at('two')} }, ${ended}]\n`;
  const write = (texts: Readonly<Record<string, string>>) =>
    Promise.all(Object.entries(texts).map(([name, text]) => replaceFile(at(name), text)));
  await write({ crt: certificate, key, 'secrets/one': 'a value of the start', two: 'a value of the start' });
  await write({ 'c.yaml': config });
  const before = await readInputs(at('c.yaml'), {}, null);
  const changed = { crt: `${certificate}\n`, 'secrets/one': 'another value of one', two: 'another value of two' };
  await write({ ...changed, 'c.yaml': `${config}unmatched: reject\n` });
  let writes = 0;
  // One that is under way at the end may find the directory gone.
  const noise = setInterval(() => void replaceFile(at(file), `# its text number ${++writes}\n`).catch(() => {}), 20);
  const { loaded, broken, tlsFiles, ...read } = await settledInputs(at('c.yaml'), {}, before);
  clearInterval(noise);
  const secrets = read.secrets.flat();
  const problems = [
    ...broken,
    ...secrets.flatMap(({ source, problem }) => (problem === null ? [] : `${source}: ${problem}`)),
    ...tlsFiles.flatMap(({ problem }) => problem ?? []),
  ];
  const expected = told === '' ? [] : [`${told}: it keeps changing while it is being read`];
  expect([...new Set(problems)].map((problem) => problem.replaceAll(`${own}/`, ''))).toEqual(expected);
  const kept = rotate(rotate(null, before.secrets.flat(), 0), secrets, Date.now());
  expect(kept.map((secret) => [secret.id, stateOf(secret, Date.now())])).toEqual([
    ['one', 'live'],
    ['two', 'live'],
    ['ended', 'expired'],
  ]);
  expect(loaded.config.unmatched.action).toBe(file === 'c.yaml' ? 'verify' : 'reject');
  const values = secrets.map(({ key }) => key?.export().toString());
  const two = file === 'two' ? undefined : changed.two;
  expect(values).toEqual([file === 'secrets/one' ? undefined : changed['secrets/one'], two, two]);
  expect(tlsFiles[0]?.bytes.toString()).toBe(file === 'crt' ? '' : changed.crt);
});

test('a look at files tells of each change, whatever times it leaves', async () => {
  const own = join(folder, 'stamps');
  const at = (name: string) => join(own, name);
  for (const name of ['secrets', 'one', 'two']) mkdirSync(at(name), { recursive: true });
  for (const name of ['secrets/a', 'one/key', 'two/key']) writeFileSync(at(name), 'a value of the start');
  utimesSync(at('secrets/a'), 1e9, 1e9);
  symlinkSync('one', at('..data'));
  symlinkSync('..data/key', at('key'));
  writeFileSync(at('c.yaml'), `secrets: [{ directory: ${at('secrets')} }, { id: key, file: ${at('key')} }]\n`);
  const inputs = await readInputs(at('c.yaml'), {}, null);
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
  onTestFinished(() => void vi.useRealTimers());
  const young = await stampOf(inputs);
  vi.setSystemTime(Date.now() + 1);
  expect(await stampOf(inputs), 'a young file may change within the same time').not.toBe(young);
  vi.setSystemTime(1e7 * Math.ceil(Date.now() / 1e7 + 1));
  let last = await stampOf(inputs);
  const rewritten = () => {
    writeFileSync(at('secrets/a'), 'a value of later....');
    utimesSync(at('secrets/a'), 1e9, 1e9);
  };
  const swapped = () => {
    symlinkSync('two', at('..new'));
    renameSync(at('..new'), at('..data'));
  };
  const added = () => writeFileSync(at('secrets/b'), 'another value');
  const later = () => void vi.setSystemTime(Date.now() + 10_000);
  for (const change of [rewritten, swapped, added, later]) {
    expect(await stampOf(inputs), 'unchanged').toBe(last);
    change();
    expect(await stampOf(inputs), change.name).not.toBe(last);
    last = await stampOf(inputs);
  }
});

/** An environment in which the variable is read by `read`. */
const envWith = (name: string, read: () => string) => Object.defineProperty({}, name, { get: read });

test('a swap of all while the secrets are read is taken as a whole', async () => {
  const own = join(folder, 'swapped');
  const at = (name: string) => join(own, name);
  for (const name of ['old', 'new']) {
    mkdirSync(at(`${name}/secrets`), { recursive: true });
    writeFileSync(at(`${name}/secrets/${name}`), 'a value that is long enough');
    const secrets = `secrets: [{ id: env, env: READ }, { directory: ${at('now/secrets')} }]`;
    writeFileSync(at(`${name}/c.yaml`), `${secrets}\nroutes: [{ path: /${name} }]\n`);
  }
  symlinkSync('old', at('now'));
  symlinkSync('new', at('next'));
  let swap = () => {};
  const env = envWith('READ', () => {
    swap();
    return 'a value that is long enough';
  });
  const before = await readInputs(at('now/c.yaml'), env, null);
  // The variable is read after the configuration, and before the directory.
  swap = () => void (existsSync(at('next')) && renameSync(at('next'), at('now')));
  const { loaded, secrets } = await settledInputs(at('now/c.yaml'), env, before);
  expect(loaded.config.routes.map(({ path }) => path)).toEqual(['/new']);
  expect(secrets.flat().map(({ id }) => id)).toEqual(['env', 'new']);
});

/** A ruleset with one secret, from the variable ONE, and the messages of its log. */
async function liveWith(env: Readonly<Record<string, string>>) {
  const configFile = join(folder, 'live.yaml');
  writeFileSync(configFile, 'secrets: [{ id: one, env: ONE }]\n');
  const told: string[] = [];
  const stdout = new PassThrough().on('data', (line) => void told.push(JSON.parse(String(line)).msg));
  const live = new LiveRuleset(await readInputs(configFile, env, null), { configFile, env, stdout });
  onTestFinished(() => live.stop());
  return { live, told };
}

test('a reload that breaks off unexpectedly has failed, is told once, and tried again until it works', async () => {
  let [breaks, added] = [0, ''];
  const env = envWith('ONE', () => {
    if (breaks-- > 0) throw new Error('out of order');
    return `a value that is long enough: more than 31${added}`;
  });
  const { live, told } = await liveWith(env);
  breaks = 2;
  expect(await live.reload()).toEqual(['the reload broke off: Error: out of order']);
  expect(live.lastReload).toMatchObject({ ok: false, refused: true });
  breaks = 2;
  const unread = ['the reload broke off: Error: out of order'];
  expect(await live.retirePrevious()).toEqual({ retired: 0, read: [], unread });
  told.splice(1);
  await expect.poll(() => told).toEqual(['reload failed: what could not be loaded stays in use as before', 'reloaded']);
  expect(live.reloads).toEqual([]); // with nothing new
  added = ', and new';
  vi.spyOn(live.services, 'adopt').mockImplementationOnce(() => {
    throw new Error('out of order');
  });
  expect(await live.reload()).toHaveLength(1);
  await expect.poll(() => live.reloads).toHaveLength(1);
});

test('what could not be read is tried again each second, even if no look tells of a change', async () => {
  const env: Record<string, string> = {};
  const { live } = await liveWith(env);
  const clock = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 3_600_000); // `poll` would advance a fake timer
  onTestFinished(() => clock.mockRestore());
  expect(await live.reload()).toHaveLength(1);
  env.ONE = 'a value that came later and is long enough';
  await expect.poll(() => live.ruleset.failures).toEqual([]);
});

test('a judgement that breaks off is told, and ends no process', async () => {
  vi.spyOn(Ledger.prototype, 'hasEpisode').mockReturnValue(true); // so that each second has one
  const advice = vi.spyOn(Health.prototype, 'advice').mockImplementationOnce(() => {
    throw new Error('out of order');
  });
  onTestFinished(() => void vi.restoreAllMocks());
  const configFile = join(folder, 'judged.yaml');
  writeFileSync(configFile, 'listen: { host: 127.0.0.1, port: 0 }\nadmin: { host: 127.0.0.1, port: 0 }\n');
  const stdout = new PassThrough();
  const proxy = await startProxy({ configFile, env: {}, stdout });
  await expect.poll(() => advice.mock.calls.length).toBe(2);
  await proxy.stop({ delay: 'skip' });
  expect((await stdout.end().toArray()).join('')).toContain('the judgement failed');
});

describe('of the files that a process may open, connections get', () => {
  const fits = (yaml: string, files: number) => {
    const loaded = parseConfig({ file: 'config.yaml', bytes: Buffer.from(yaml) }, {});
    const { config, warnings } = fitOpenFiles(loaded, files);
    return [
      config.limits.connections,
      config.upstream.connections,
      warnings.some(({ key }) => key === 'limits.connections'),
    ];
  };

  test.each([
    ['all that they may be, where there is no limit', '', Number.POSITIVE_INFINITY, [1024, 128, false]],
    ['all that they may be, where it is high enough', '', 1408, [1024, 128, false]],
    ['what upstream sockets and the rest leave', '', 1407, [1023, 128, true]],
    ['a half, where there are not many', '', 512, [256, 128, true]],
    ['two for each one to the upstream, where there are few', '', 64, [11, 5, true]],
    ['no more than they may be, and the upstream less', 'limits: { connections: 9 }', 64, [9, 5, true]],
    ['two, and the upstream one, where our own fill them', '', 30, [2, 1, true]],
  ] as const)('%s', (_, yaml, files, expected) => {
    expect(fits(yaml, files)).toEqual(expected);
  });
});

test.each<[string, string, readonly string[]]>([
  ['by default', '', []],
  ['of up to half of seven eighths', 'limits: { maxBody: 7MiB, bufferedBytes: 16MiB }', []],
  [
    'of more than seven eighths, by a route of its own and by all',
    'limits: { maxBody: 9MiB, bufferedBytes: 16MiB }\nroutes: [{ path: /a }, { path: /b, maxBody: 15MiB }]',
    [
      'limits.maxBody: limits.bufferedBytes, 16MiB, is sure to hold a body in chunks only up to 7340032 bytes: larger ones get 503',
      'routes[1].maxBody: limits.bufferedBytes, 16MiB, is sure to hold a body in chunks only up to 7340032 bytes: larger ones get 503',
    ],
  ],
])('bodies that never fit into the byte budget are told: %s', (_what, yaml, expected) => {
  const loaded = parseConfig({ file: 'config.yaml', bytes: Buffer.from(yaml) }, {});
  const told = fitMachine(loaded).warnings.filter(({ key }) => key.endsWith('maxBody'));
  expect(told.map(({ key, message }) => `${key}: ${message.replace(/, however.*/, '')}`)).toEqual(expected);
});
