// The archive of scripts/release/executable.ts for this machine's platform: what is in it, what it needs, and that it
// works as the image does, under podman in an image that holds the libraries of docs/systemd.md and nothing else.
import { chmod, copyFile, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { blockThat } from '../support/docs/blocks.ts';
import { RESTRICTIONS } from '../support/machine/containers.ts';
import { ownDirectory } from '../support/machine/files.ts';
import { haveTools, mustRun, ROOT, read, run } from '../support/machine/tools.ts';
import { eventually } from '../support/proxy/proxied.ts';
import { defer, redeliver, results, test } from '../support/redelivery/proxy.ts';

const ready = haveTools('podman', 'buildah', 'runc', 'ldd', 'systemd-analyze');
const IMAGE = 'localhost/entrupy-signature-proxy:executable';
const COMMANDS = ['serve', 'check-config', 'check', 'sign', 'verify', 'explain', 'probe', 'healthcheck', 'demo'];
/** glibc's own; every system that has glibc has them. */
const GLIBC = /^(?:ld-linux-\S+|linux-vdso|lib(?:c|m|dl|pthread|rt))\.so/;

describe.skipIf(!ready)('the executable', () => {
  const directory = ownDirectory();
  let archive = '';
  let folder = '';
  let program = '';
  let libraries: { name: string; path: string }[] = [];

  beforeAll(async () => {
    const options = ['scripts/release/executable.ts', '--out', directory];
    archive = (await mustRun(process.execPath, options, { timeout: 600_000 })).trim();
    await mustRun('tar', ['--extract', '--gzip', `--file=${archive}`, `--directory=${directory}`]);
    folder = archive.replace(/\.tar\.gz$/, '');
    program = join(folder, manifest.name);
    const needed = await mustRun('ldd', [program]);
    libraries = [...needed.matchAll(/^\s*(\S+)(?: => (\S+))? \(0x/gm)].map(([, name = '', path = name]) => ({
      name: name.slice(name.lastIndexOf('/') + 1),
      path,
    }));
    const root = join(directory, 'root');
    for (const { path } of libraries.filter((library) => library.path.startsWith('/'))) {
      await mkdir(join(root, dirname(path)), { recursive: true });
      await copyFile(path, join(root, path));
    }
    await copyFile(program, join(root, manifest.name));
    await chmod(join(root, manifest.name), 0o755);
    // With the environment of the image, which the systemd unit has too.
    const [, environment = ''] =
      /^(ENV NODE_ENV=production(?:.*\\\n)*.*)$/m.exec(await readFile(`${ROOT}Dockerfile`, 'utf8')) ?? [];
    const lines = ['FROM scratch', 'COPY root/ /', environment, `ENTRYPOINT ["/${manifest.name}"]`];
    const file = join(directory, 'Containerfile');
    await writeFile(file, `${lines.join('\n')}\n`);
    await mustRun('buildah', ['bud', '--format=docker', '-f', file, '-t', IMAGE, directory]);
  }, 900_000);
  afterAll(async () => {
    await run('podman', ['rmi', '--force', IMAGE]);
  });

  test('comes with the licences and an SBOM that names Node too', async () => {
    for (const name of [
      'LICENSE',
      'LICENSE-NODE',
      'THIRD-PARTY-LICENSES.txt',
      'config.example.yaml',
      'config.schema.json',
      'examples/systemd/entrupy-signature-proxy.service',
      'examples/events/authentication-v2.json',
    ]) {
      expect((await stat(join(folder, name))).size, name).toBeGreaterThan(400);
    }
    const sbom = JSON.parse(await readFile(join(folder, 'sbom.cdx.json'), 'utf8')) as {
      specVersion: string;
      components: { purl: string }[];
    };
    expect(sbom.specVersion).toBe('1.6');
    const purls = sbom.components.map(({ purl }) => decodeURIComponent(purl));
    for (const name of ['undici', 'http-proxy-3', 'yaml', 'zod', 'prom-client', '@redis/client']) {
      expect(purls).toContainEqual(expect.stringMatching(new RegExp(`^pkg:npm/${name}@\\d`)));
    }
    expect(purls).toContain(`pkg:generic/node@${process.versions.node}`);
  });

  test('needs no library but those that docs/systemd.md names', async () => {
    const page = read('docs/systemd.md').replaceAll(/\s+/g, ' ');
    const [, named = ''] = /three libraries that small systems may lack: (.*?) \(/.exec(page) ?? [];
    const needed = libraries.map(({ name }) => name).filter((name) => !GLIBC.test(name));
    expect(needed.sort()).toEqual([...named.matchAll(/`(\S+)`/g)].map(([, name = '']) => name).sort());
  });

  test('is installed by the commands of docs/systemd.md, and the unit accepts it', async () => {
    expect(read('docs/systemd.md')).toContain(
      'npm ci && node_modules/.bin/node scripts/release/executable.ts --out .\n',
    ); // as above
    const install = blockThat('docs/systemd.md', /^tar /);
    const empty = join(directory, 'empty');
    await mkdir(empty);
    await copyFile(archive, join(empty, archive.slice(archive.lastIndexOf('/') + 1)));
    // As written, except for the root directory.
    const here = install.replaceAll(' /usr/', ` ${directory}/usr/`);
    expect(here).not.toBe(install);
    await mustRun('bash', ['-ec', here], { cwd: empty });
    const installed = join(directory, 'usr/local/bin', manifest.name);
    expect((await mustRun(installed, ['--version'])).trim()).toBe(manifest.version);
    const unit = await readFile(join(empty, 'examples/systemd/entrupy-signature-proxy.service'), 'utf8');
    const file = join(directory, 'entrupy-signature-proxy.service');
    await writeFile(file, unit.replaceAll(`/usr/local/bin/${manifest.name}`, installed));
    expect(await run('systemd-analyze', ['verify', '--man=no', file])).toMatchObject({ code: 0, stderr: '' });
    await writeFile(file, unit.replaceAll(`/usr/local/bin/${manifest.name}`, `${installed}-not`));
    expect((await run('systemd-analyze', ['verify', '--man=no', file])).code).not.toBe(0);
  });

  test('has the version and the commands of the bundle, word for word', async () => {
    expect((await mustRun(program, ['--version'])).trim()).toBe(manifest.version);
    for (const command of COMMANDS) {
      const [here, there] = await Promise.all([
        run(program, [command, '--help']),
        run(process.execPath, [`${ROOT}dist/main.js`, command, '--help']),
      ]);
      expect(here, command).toEqual(there);
    }
    const check = ['check-config', '--config', `${ROOT}config.example.yaml`, '--no-secrets', '--json'];
    expect(await run(program, check)).toEqual(await run(process.execPath, [`${ROOT}dist/main.js`, ...check]));
  });

  test('tells everything with demo --once, with every restriction and nothing to write to but /tmp', async () => {
    const ran = await run('podman', ['run', '--rm', ...RESTRICTIONS, '--tmpfs=/tmp', IMAGE, 'demo', '--once']);
    expect(ran).toMatchObject({ code: 0, stdout: expect.stringContaining('Every step went as expected.') });
  });

  test('stores what the app does not take, and delivers it: the thread of the store starts there too', async ({
    app,
    redeliverer,
  }) => {
    app.answer = () => 503;
    const proxy = await redeliverer({ executable: program });
    await defer(proxy, 'stored');
    app.answer = () => 200;
    await eventually(async () => (await redeliver(proxy)) && (await results(proxy, 'delivered')), 1);
    expect(app.bodies().at(-1)).toBe('stored');
  });
});
