// `npm pack` of a clone without a build, installed from the tarball alone, run on the Node versions that it supports
// and on those that it refuses. Nothing is downloaded here: scripts/ci-setup.sh has fetched the Nodes.
import { cp, mkdir, readFile, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { SECRET, sign } from '../support/deliveries/signer.ts';
import { spawnTied } from '../support/machine/children.ts';
import { ownDirectory } from '../support/machine/files.ts';
import { freePort } from '../support/machine/free-port.ts';
import { haveTools, mustRun, ROOT, type RunOptions, run, TOOLS } from '../support/machine/tools.ts';
import { eventually } from '../support/proxy/proxied.ts';

const TOO_OLD = ['18.20.8', '20.20.2', '22.23.3', '24.16.0'];
const nodeOf = (version: string) => `${TOOLS}/nodes/${version}/bin/node`;
const TAKEN = { [process.versions.node]: process.execPath, '24.17.0': nodeOf('24.17.0') };
const ready = haveTools('npm', ...TOO_OLD.map(nodeOf), nodeOf('24.17.0'));
const BODY = '{"hello":"entrupy"}';
const QUIET = ['--no-audit', '--no-fund', '--no-update-notifier', '--prefer-offline'];

describe.skipIf(!ready)('the npm package', () => {
  const directory = ownDirectory();
  let tarball = '';
  let bin = '';
  const on =
    (node: string, options: RunOptions = {}) =>
    (...args: readonly string[]) =>
      run(bin, args, {
        ...options,
        cwd: directory,
        env: { PATH: `${dirname(node)}:/usr/bin:/bin`, WEBHOOK_ENDPOINT_SECRET_KEY: SECRET, ...options.env },
      });

  beforeAll(async () => {
    const clone = join(directory, 'clone');
    await mkdir(clone);
    const shipped = manifest.files.filter((file) => file !== 'dist');
    const parts = ['package.json', 'package-lock.json', '.npmrc', 'scripts', 'src', 'docs', ...shipped];
    for (const part of parts) await cp(`${ROOT}${part}`, join(clone, part), { recursive: true });
    await symlink(`${ROOT}node_modules`, join(clone, 'node_modules'));
    await mustRun('npm', ['pack', '--pack-destination', directory], { cwd: clone });
    tarball = join(directory, `${manifest.name}-${manifest.version}.tgz`);
    await mustRun('npm', ['install', '--global', '--prefix', join(directory, 'global'), ...QUIET, tarball]);
    bin = join(directory, 'global/bin', manifest.name);
  });

  test('contains the program, its licences, the example and the schema, and no source', async () => {
    const files = (await mustRun('tar', ['-tzf', tarball]))
      .trim()
      .split('\n')
      .map((file) => file.replace('package/', ''));
    expect(files.filter((file) => !file.startsWith('dist/')).sort()).toEqual(
      [
        ...['CHANGELOG.md', 'LICENSE', 'README.md', 'config.example.yaml', 'config.schema.json', 'package.json'],
        ...['examples/events/authentication-v1.json', 'examples/events/authentication-v2.json'],
      ].sort(),
    );
    expect(files).toEqual(expect.arrayContaining(['dist/main.js', 'dist/program.js', 'dist/serve.js']));
    expect(files.filter((file) => /\.(?:ts|map)$/.test(file))).toEqual([]);
    const licences = await mustRun('tar', ['-xzOf', tarball, 'package/dist/THIRD-PARTY-LICENSES.txt']);
    for (const name of ['undici', 'http-proxy-3', 'yaml', 'zod', 'prom-client', '@redis/client']) {
      expect(licences).toMatch(new RegExp(`^${name} \\d+\\.\\d+\\.\\d+ \\(`, 'm'));
    }
    expect(licences).toContain('Copyright Fedor Indutny'); // of llhttp, which undici bundles
    expect(licences).not.toMatch(/^(?:vitest|esbuild) \d/m);
  });

  test("the example for Node's test runner passes with it", async () => {
    const app = join(directory, 'app');
    await mkdir(join(app, 'node_modules'), { recursive: true });
    await symlink(join(directory, 'global/lib/node_modules', manifest.name), join(app, 'node_modules', manifest.name));
    await cp(`${ROOT}examples/ci/webhook.test.mjs`, join(app, 'webhook.test.mjs'));
    await mustRun(process.execPath, ['--test', 'webhook.test.mjs'], { cwd: app });
  });

  test('npx runs it from the tarball', async () => {
    const npx = ['exec', '--yes', ...QUIET, `--package=${tarball}`, '--', manifest.name];
    const env = {
      npm_config_cache: join(directory, 'npm-cache'),
      PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ''}`,
    };
    expect(await mustRun('npm', [...npx, '--version'], { cwd: directory, env })).toBe(`${manifest.version}\n`);
  });

  describe.each(Object.entries(TAKEN))('on Node %s', (_version, node) => {
    test('every command works outside of a clone', async () => {
      const ask = on(node, { stdin: BODY });
      const signature = sign(SECRET, BODY);
      const help = await ask('sign', '--help');
      expect(help).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^Usage: entrupy-signature-proxy /),
        stderr: '',
      });
      expect(await ask('sign')).toMatchObject({ code: 0, stdout: `${signature}\n`, stderr: '' });
      expect(await ask('verify', '--signature', signature)).toMatchObject({ code: 0 });
      expect(await ask('check-config')).toMatchObject({ code: 0, stderr: '' });
      expect(await ask('explain', 'POST', '/x/..;/notify')).toMatchObject({ code: 0, stderr: '' });
      const demo = await ask('demo', '--once');
      expect(demo).toMatchObject({ code: 0, stderr: '' });
      expect(demo.stdout).toContain('Every step went as expected.');
    });

    test('serve serves, healthcheck and probe reach it, and SIGTERM ends it with 0', async () => {
      const [port, admin] = [await freePort(), await freePort()];
      const env = { LISTEN_PORT: String(port), ADMIN_PORT: String(admin), WEBHOOK_ENDPOINT_SECRET_KEY: SECRET };
      const PATH = `${dirname(node)}:/usr/bin:/bin`;
      const proxy = spawnTied(bin, ['serve'], { cwd: directory, env: { PATH, ...env }, stdio: 'ignore' });
      const ended = new Promise((resolve) => proxy.once('exit', resolve));
      try {
        const ask = on(node, { env });
        await eventually(async () => (await ask('healthcheck')).code, 0);
        expect(await ask('check', '--json')).toMatchObject({
          stdout: expect.stringContaining('"ready","state":"ok"'),
        });
        const url = `http://127.0.0.1:${port}/notify`;
        expect(await ask('probe', '--url', url, '--expect', '401')).toMatchObject({ code: 0 });
      } finally {
        proxy.kill('SIGTERM');
      }
      expect(await ended).toBe(0);
    });
  });

  describe.each(TOO_OLD)('on Node %s', (version) => {
    // Before any command is looked at.
    test.each(['serve', 'serve --help', ''])('“%s” ends with one line', async (line) => {
      const stderr = `entrupy-signature-proxy needs Node 24.17 or later, and this is ${version}: use a newer one.\n`;
      const words = line.split(' ').filter((word) => word !== '');
      expect(await on(nodeOf(version))(...words)).toMatchObject({ code: 1, stdout: '', stderr });
    });

    test('--help and --version work', async () => {
      expect(await on(nodeOf(version))('--version')).toMatchObject({
        code: 0,
        stdout: `${manifest.version}\n`,
        stderr: '',
      });
      expect((await on(nodeOf(version))('--help')).stdout).toContain('check-config');
    });
  });

  test('the required version is the one in package.json', async () => {
    expect(manifest.engines.node).toBe(
      `>=${/NEEDED = '([\d.]+)'/.exec(await readFile(`${ROOT}scripts/bin.js`, 'utf8'))?.[1]}`,
    );
  });

  describe('a clone', () => {
    test('npm ci on Node 20 prints no wall of warnings', async () => {
      const clone = join(directory, 'bare');
      await mkdir(clone);
      for (const file of ['package.json', 'package-lock.json', '.npmrc']) await cp(`${ROOT}${file}`, join(clone, file));
      const npm = (await mustRun('bash', ['-c', 'readlink -f "$(command -v npm)"'])).trim();
      const args = ['ci', '--dry-run', '--offline', '--ignore-scripts'];
      const { code, stdout, stderr } = await run(nodeOf('20.20.2'), [npm, ...args], { cwd: clone });
      expect(code, stderr).toBe(0);
      expect(`${stdout}${stderr}`).not.toMatch(/EBADENGINE|warn/);
      const loud = await run(nodeOf('20.20.2'), [npm, ...args, '--loglevel=warn'], { cwd: clone });
      expect(loud.stderr).toContain('EBADENGINE');
    });

    test.each(['demo', 'start'])('npm run %s without the development packages says what to run', async (script) => {
      const clone = join(directory, `production-${script}`);
      await mkdir(clone);
      for (const part of ['package.json', '.npmrc', 'scripts', 'src', 'docs', 'examples/events'])
        await cp(`${ROOT}${part}`, join(clone, part), { recursive: true });
      for (const node of [nodeOf('20.20.2'), process.execPath]) {
        const env = { PATH: `${dirname(node)}:${process.env.PATH ?? ''}`, NODE_ENV: 'production' };
        const { code, stderr } = await run('npm', ['run', script], { cwd: clone, env });
        expect(code).toBe(1);
        expect(stderr).toBe(
          'The development packages are not installed (NODE_ENV=production leaves them out): run npm ci --include=dev; or take the executable of a release, which needs none (docs/systemd.md)\n',
        );
      }
    });
  });
});
