// `check-config` as an operator runs it: a process with two output streams and an exit code.
import { spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ownDirectory } from '../support/machine/files.ts';
import { callCommand } from '../support/proxy/command.ts';
import { PROGRAM } from '../support/proxy/program.ts';
import { createAuthority } from '../support/tls/certificates.ts';

const SECRET = 'check-config-0123456789-abcdefghij';
const KEY = 'WEBHOOK_ENDPOINT_SECRET_KEY';

const folder = ownDirectory(beforeEach, afterEach);

async function put(name: string, text: string): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, text);
  return file;
}

const check = (args: readonly string[], env: Record<string, string> = {}) =>
  callCommand(['check-config', ...args], { env });

// A named pipe is not, since nobody may ever write to it: test/unit/config/config.test.ts.
test('a pipe of the shell is read', () => {
  const yaml = 'printf "upstream: { url: http://127.0.0.1:1 }\n"';
  const command = '"$0" "$1" check-config --no-secrets --config';
  for (const script of [`${command} <(${yaml})`, `${yaml} | ${command} /dev/stdin`]) {
    const piped = spawnSync('bash', ['-c', script, process.execPath, PROGRAM], { encoding: 'utf8' });
    expect([piped.status, piped.stdout]).toEqual([0, expect.stringContaining('http://127.0.0.1:1')]);
  }
});

test('a good configuration is shown as it runs, with secrets by id and never by value', async () => {
  await mkdir(join(folder, 'secrets'));
  await put('secrets/current', `${SECRET}\n`);
  await put('old', SECRET.toUpperCase());
  const config = await put(
    'config.yaml',
    [
      'upstream: { url: unix:///run/app.sock }',
      'secrets:',
      `  - directory: ${folder}/secrets`,
      `  - { id: old, file: ${folder}/old, notAfter: 2020-01-01T00:00:00Z }`,
      'routes:',
      '  - { path: /notify, secrets: [current, absent], once: 24h }',
      '  - { path: /try/*, mode: report, reportUntil: 2999-01-01T00:00:00Z }',
      '  - { path: /healthz, action: forward, methods: [GET] }',
      '  - { path: /admin/*, action: reject }',
      'unmatched: forward',
      '',
    ].join('\n'),
  );
  const { code, stdout, stderr } = await check(['--config', config]);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  for (const line of [
    /^ {2}\/notify +verify +mode enforce; methods POST; secrets current, absent; once 24h; maxBody 1MiB; query forward$/m,
    /^ {2}\/try\/\* +verify +mode report; methods POST; reportUntil 2999-01-01T00:00:00Z; maxBody 1MiB; query forward$/m,
    /^ {2}\/healthz +forward +methods GET, HEAD$/m,
    /^ {2}\/admin\/\* +reject$/m,
    /^ {2}unmatched +forward$/m,
    /^ {2}current +\S.*\/secrets +live$/m,
    /^ {2}old +file .*\/old +expired at 2020-01-01T00:00:00Z; this machine's clock says 20\S+Z$/m,
    /^ {2}upstream\.url +unix:\/\/\/run\/app\.sock$/m,
    /^ {2}limits\.maxHeader +16KiB$/m,
    /^ {2}limits\.connections +1024$/m,
    /^ {2}shutdown\.grace +20s$/m,
    /:10:12: unmatched: forward sends every request/,
    /:6:41: routes\[0\]\.secrets\[1\]: route \/notify: no secret has the id absent now$/m,
    /^The configuration is valid\.$/m,
  ]) {
    expect(stdout).toMatch(line);
  }
  expect(stdout.toLowerCase()).not.toContain(SECRET.slice(0, 12));
});

test('a secret that cannot be used, or none for a route that enforces, is exit 2', async () => {
  const config = await put('config.yaml', `secrets: [{ id: a, file: ${folder}/missing }]\n`);
  const { code, stdout, stderr } = await check(['--config', config]);
  expect(code).toBe(2);
  expect(stdout).toMatch(/^ {2}a +file .*\/missing +cannot be used: /m);
  expect(stderr).toMatch(/:1:26: secrets\[0\]\.file: secret a \(file .*\/missing\): /m);
  expect(stderr).toMatch(
    /:1:1: unmatched: route unmatched: no live secret, so its requests would be answered with 503$/m,
  );

  const unread = await check(['--config', config, '--no-secrets']);
  expect([unread.code, unread.stderr]).toEqual([0, '']);
  expect(unread.stdout).toMatch(/^ {2}a +file .*\/missing +not read$/m);
});

test('every problem is reported at once, with its line, column and key: of the file, the environment, secrets and TLS files', async () => {
  const config = await put(
    'config.yaml',
    [
      'listen:',
      '  port: many',
      `  tls: { certFile: ${folder}/tls.crt, keyFile: ${folder}/tls.key }`,
      'secrets:',
      `  - { id: a, file: ${folder}/missing }`,
      '  - { id: b, file: /b, overlap: forever }',
      '',
    ].join('\n'),
  );
  const { code, stdout, stderr } = await check(['--config', config], { ADMIN_PORT: 'http' });
  expect(stdout).toBe('');
  expect([code, stderr.split('\n').slice(0, -2)]).toEqual([
    2,
    [
      expect.stringMatching(/:2:9: listen\.port: found "many"/),
      `${config}:3:20: listen.tls.certFile: ${folder}/tls.crt cannot be read: it does not exist`,
      expect.stringMatching(/:3:\d+: listen\.tls\.keyFile: \S*tls\.key cannot be read: /),
      expect.stringMatching(/:5:20: secrets\[0\]\.file: secret a \(file .*\/missing\): it does not exist/),
      expect.stringMatching(/:6:33: secrets\[1\]\.overlap: /),
      'environment: ADMIN_PORT: found "http", allowed is a whole number from 0 to 65535',
    ],
  ]);
  expect(stderr).toMatch(/^6 errors$/m);
  expect((await check(['--config', config, '--no-secrets'])).stderr).toMatch(/^2 errors$/m);
});

test('a certificate that has expired is an error', async () => {
  const { certFile, keyFile } = createAuthority(folder, 'authority').issue('expired', {
    names: ['DNS:localhost'],
    expired: true,
  });
  const config = await put('config.yaml', `listen: { tls: { certFile: ${certFile}, keyFile: ${keyFile} } }\n`);
  expect(await check(['--config', config], { [KEY]: SECRET })).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/:1:28: listen\.tls\.certFile: \S*expired\.pem: the certificate expired on 2020-02/),
  });
});

test('the mode of an ended report is enforce', async () => {
  const secret = await put('secret', SECRET);
  const ended = 'routes: [{ path: /a, mode: report, reportUntil: 2021-01-01T00:00:00Z }]';
  const config = await put('config.yaml', `secrets: [{ id: a, file: ${secret} }]\n${ended}\n`);
  const open = await check(['--config', config]);
  expect([open.code, open.stderr]).toEqual([0, '']);
  expect(open.stdout).toMatch(/^ {2}\/a +verify +mode enforce;.* reportUntil 2021-01-01T00:00:00Z/m);
  const { stdout } = await check(['--config', config, '--json']);
  expect(JSON.parse(stdout)).toMatchObject({ routes: [{ path: '/a', mode: 'enforce' }, {}] });
});

test('a route without a live secret is an error where it enforces, and the clock that says so is shown', async () => {
  const checked = async (dates: string, route: string) => {
    const secrets = `secrets: [{ id: a, env: ${KEY}, ${dates} }]\nunmatched: reject\n`;
    const config = await put('config.yaml', `${secrets}routes: [{ path: /a${route} }]\n`);
    const { code, stdout, stderr } = await check(['--config', config], { [KEY]: SECRET });
    expect([code, stderr]).toEqual(code === 0 ? [0, ''] : [2, expect.stringContaining('no live secret')]);
    return [code, stdout] as const;
  };
  const [early, shown] = await checked('notBefore: 2999-01-01T00:00:00Z', '');
  expect(early).toBe(2);
  expect(shown).toMatch(/^ {2}a .* not valid before 2999-01-01T00:00:00Z; this machine's clock says 20\d\d-\d\d-/m);
  const expired = 'notAfter: 2020-01-01T00:00:00Z';
  expect((await checked(expired, ''))[0]).toBe(2);
  expect((await checked(expired, ', mode: report'))[0]).toBe(0);
  expect((await checked(expired, ', mode: report, reportUntil: 2021-01-01T00:00:00Z'))[0]).toBe(2);
});

test('with once on a route, the store is shown, and an unreadable password is a warning', async () => {
  const lines = (store: string) =>
    ['unmatched: reject', 'routes: [{ path: /a, once: 1h }]', `once: ${store}`, ''].join('\n');
  const memory = await put('memory.yaml', lines('{ maxEntries: 500 }'));
  const secret = { [KEY]: SECRET };
  expect((await check(['--config', memory], secret)).stdout).toMatch(/^ {2}once\.maxEntries +500$/m);

  const url = 'redis://valkey:6379/0';
  const redis = await put('redis.yaml', lines(`{ store: "${url}", passwordFile: ${folder}/password }`));
  const missing = await check(['--config', redis], secret);
  expect([missing.code, missing.stderr]).toEqual([0, '']);
  expect(missing.stdout).toMatch(/^ {2}once\.store +redis:\/\/valkey:6379\/0$/m);
  expect(missing.stdout).toMatch(/:3:55: once\.passwordFile: \S*\/password: it does not exist$/m);
  expect((await check(['--config', redis, '--no-secrets'])).stdout).not.toContain('does not exist');

  await put('password', 'hunter2\n');
  const { stdout } = await check(['--config', redis], secret);
  expect(stdout).not.toMatch(/does not exist|hunter2/);
});

test('--json gives each problem of a secret, a TLS file, a route or a variable its place, and a near id is named', async () => {
  await mkdir(join(folder, 'secrets'), { recursive: true });
  await put('secrets/current', SECRET);
  const { certFile } = createAuthority(folder, 'one').issue('a', { names: ['DNS:localhost'] });
  const { keyFile } = createAuthority(folder, 'two').issue('b', { names: ['DNS:localhost'] });
  const config = await put(
    'config.yaml',
    [
      `listen: { tls: { certFile: ${certFile}, keyFile: ${keyFile} } }`,
      `secrets: [{ directory: ${folder}/secrets }, { id: b, file: ${folder}/missing }]`,
      'routes:',
      '  - { path: /a, secrets: [curent] }',
      '',
    ].join('\n'),
  );
  const placed = async (args: readonly string[], env = {}) => {
    const { errors, warnings } = JSON.parse((await check(['--json', ...args], env)).stdout);
    const words = ({ line, key, message }: Record<string, string | number>) => `${line} ${key}: ${message}`;
    return [errors.map(words), warnings.map(words)];
  };
  expect(await placed(['--config', config])).toEqual([
    [
      expect.stringMatching(/^1 listen\.tls\.certFile: [^,]*a\.pem, .*: the key does not belong to the certificate$/),
      expect.stringMatching(/^2 secrets\[1\]\.file: secret b .*: it does not exist$/),
      expect.stringMatching(/^4 routes\[0\]\.secrets: route \/a: no live secret/),
    ],
    ['4 routes[0].secrets[0]: route /a: no secret has the id curent now; did you mean current?'],
  ]);
  const [errors] = await placed([], { [KEY]: SECRET, [`${KEY}_PREVIOUS`]: 'short' });
  expect(errors).toEqual([expect.stringMatching(/^null WEBHOOK_ENDPOINT_SECRET_KEY_PREVIOUS: secret env-previous/)]);
});
