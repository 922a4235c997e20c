// examples/systemd, as far as it can be tested on a machine that systemd has not booted: the unit with systemd-analyze,
// its flags against the Dockerfile's, and its configuration behind a real nginx.
import { cp, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SECRET, sign } from '../support/deliveries/signer.ts';
import { blocksOf, blockThat } from '../support/docs/blocks.ts';
import { ownDirectory } from '../support/machine/files.ts';
import { freePort } from '../support/machine/free-port.ts';
import { type Started, startOnFreePort } from '../support/machine/on-free-port.ts';
import { haveTools, mustRun, ROOT, run } from '../support/machine/tools.ts';
import { runCommand } from '../support/proxy/command.ts';
import { PROGRAM } from '../support/proxy/program.ts';
import { untilReady } from '../support/proxy/proxied.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { createAuthority } from '../support/tls/certificates.ts';
import { startUpstream, type Upstream } from '../support/upstream/upstream.ts';

const EXAMPLES = `${ROOT}examples/systemd`;
const UNIT = `${EXAMPLES}/entrupy-signature-proxy.service`;
const read = (path: string) => readFile(path, 'utf8');
const PAGE = 'docs/systemd.md';

const settings = (unit: string, name: string): string[] =>
  [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value = '']) => value);

describe.skipIf(!haveTools('systemd-analyze'))('the systemd unit', () => {
  const directory = ownDirectory();

  const verified = async (text: string) => {
    const file = join(directory, 'entrupy-signature-proxy.service');
    // This clone's program takes the place of the installed one.
    await writeFile(file, text.replaceAll('/usr/local/bin/entrupy-signature-proxy', `${ROOT}dist/main.js`));
    return run('systemd-analyze', ['verify', '--man=no', file]);
  };

  test('passes systemd-analyze verify, which does find a mistake', async () => {
    const unit = await read(UNIT);
    expect(await verified(unit)).toMatchObject({ code: 0, stdout: '', stderr: '' });
    expect((await verified(unit.replace('DynamicUser=', 'DynamicUsr='))).stderr).toContain("Unknown key 'DynamicUsr'");
  });

  test('passes it with each setting that docs/systemd.md adds', async () => {
    const unit = await read(UNIT);
    const added = blocksOf(PAGE, 'ini');
    expect(added.map((text) => text.split('=')[0])).toEqual(['[Service]\nLoadCredential']);
    for (const text of added) {
      expect({ text, ...(await verified(`${unit}\n${text}`)) }).toMatchObject({ code: 0, stdout: '', stderr: '' });
    }
  });

  test('check-config accepts a secret that systemd hands over', async () => {
    const [secrets = ''] = blocksOf(PAGE, 'yaml');
    const file = join(directory, 'credential.yaml');
    await writeFile(file, secrets);
    const { code, stdout } = await runCommand(['check-config', '--config', file, '--no-secrets']);
    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('/run/credentials/entrupy-signature-proxy.service/current'),
    });
  });

  test('has an exposure of at most 1.5 of 10, and lets V8 compile', async () => {
    const options = ['--offline=yes', '--threshold=15', '--no-pager'];
    const { code, stdout } = await run('systemd-analyze', ['security', ...options, UNIT]);
    expect(stdout).toMatch(/Overall exposure level .*: \d/);
    expect(code, stdout).toBe(0);
    const unit = await read(UNIT);
    expect(settings(unit, 'MemoryDenyWriteExecute')).toEqual([]);
    const [, told] = /gives (\d\.\d) of 10/.exec(await read(`${ROOT}docs/systemd.md`)) ?? [];
    expect(stdout).toContain(`: ${told} OK`);
  });

  test("has exactly the image's environment, and its executable the image's flags", async () => {
    const [unit, dockerfile] = [await read(UNIT), (await read(`${ROOT}Dockerfile`)).replaceAll('\\\n', ' ')];
    const image = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '));
    const words = (text: string) =>
      [...text.matchAll(/([A-Za-z_]+)=(?:"([^"]*)"|(\S+))/g)].map(
        ([, name, quoted, plain]) => `${name}=${quoted ?? plain}`,
      );
    const environment = [...image.matchAll(/^ENV (.*)$/gm)].flatMap(([, text = '']) => words(text));
    expect(
      settings(unit, 'Environment')
        .map((text) => text.replace(/^"(.*)"$/, '$1'))
        .sort(),
    ).toEqual(environment.sort());
    const [, entrypoint = '[]'] = /^ENTRYPOINT (\[.*\])$/m.exec(image) ?? [];
    const flags = (JSON.parse(entrypoint) as string[]).slice(1, -1).map((flag) => `'${flag}'`);
    expect(await read(`${ROOT}scripts/release/executable.ts`)).toContain(`const FLAGS = [${flags.join(', ')}];`);
    const [start = ''] = settings(unit, 'ExecStart');
    expect(start.split(' ').slice(1)).toEqual(['serve', '--config', '/etc/entrupy-signature-proxy/config.yaml']);
  });

  test('keeps deferred deliveries where the configuration stores them by default', async () => {
    const unit = await read(UNIT);
    const [, store = ''] = /^ {2}store: (\/\S+)/m.exec(await read(`${ROOT}config.example.yaml`)) ?? [];
    expect(settings(unit, 'StateDirectory').map((name) => `/var/lib/${name}`)).toEqual([store]);
    expect(settings(unit, 'StateDirectoryMode')).toEqual(['0700']);
  });

  test('stops later than the configuration needs', async () => {
    const [unit, config] = [await read(UNIT), await read(`${EXAMPLES}/config.yaml`)];
    const seconds = [...config.matchAll(/(?:delay|grace): (\d+)s/g)].reduce((sum, [, text]) => sum + Number(text), 0);
    expect(Number(settings(unit, 'TimeoutStopSec')[0])).toBeGreaterThan(seconds);
  });
});

describe.skipIf(!haveTools('npm', 'openssl'))('the commands of docs/systemd.md', () => {
  const directory = ownDirectory();

  test('install what the unit runs, with a secret that only its group may read', async () => {
    expect(blockThat(PAGE, /^tar /)).toMatch(/\ninstall .* \/usr\/local\/bin\/entrupy-signature-proxy\n$/);
    expect(blockThat(PAGE, /^systemctl/)).toMatch(/^systemctl daemon-reload\n(?:systemctl .*\n)+$/);
    const [install, setUp] = [blockThat(PAGE, /^npm ci$/m), blockThat(PAGE, /^groupadd /)];
    const [rotate, check] = [
      blockThat(PAGE, /^\(umask .*next/),
      blockThat(PAGE, /^entrupy-signature-proxy check-config/),
    ];
    const group = (await mustRun('id', ['-gn'])).trim();
    // As written, except for what depends on the machine: the root directory, the group and the packages.
    const here = (text: string) =>
      text
        .replaceAll(/(?<=[ >])\/(etc|usr)\//g, `${directory}/$1/`)
        .replace('groupadd --system --force entrupy-secrets', 'true')
        .replaceAll(/(-g|chgrp) entrupy-secrets/g, `$1 ${group}`)
        .replace('npm ci\n', '');
    const clone = join(directory, 'clone');
    for (const path of [
      ...['package.json', 'package-lock.json', '.npmrc', 'scripts', 'src', 'docs', 'examples', 'config.example.yaml'],
      ...['config.schema.json', 'LICENSE', 'README.md', 'CHANGELOG.md'],
    ]) {
      await cp(`${ROOT}${path}`, join(clone, path), { recursive: true });
    }
    await symlink(`${ROOT}node_modules`, join(clone, 'node_modules'));
    for (const path of ['etc/systemd/system', 'etc/nginx/conf.d', 'usr'])
      await mkdir(join(directory, path), { recursive: true });
    for (const block of [install, setUp, rotate])
      await mustRun('bash', ['-ec', here(block)], { cwd: clone, env: { npm_config_prefer_offline: 'true' } });

    const mode = async (path: string) => ((await stat(join(directory, path))).mode & 0o777).toString(8);
    expect(await mode('etc/entrupy/secrets')).toBe('750');
    for (const name of ['current', 'next']) expect(await mode(`etc/entrupy/secrets/${name}`)).toBe('640');
    const unit = await read(join(directory, 'etc/systemd/system/entrupy-signature-proxy.service'));
    const [program = ''] = settings(unit, 'ExecStart')[0]?.split(' ') ?? [];
    const config = join(directory, 'etc/entrupy-signature-proxy/config.yaml');
    await writeFile(
      config,
      (await read(config)).replace('/etc/entrupy/secrets', join(directory, 'etc/entrupy/secrets')),
    );
    expect(check).toBe('entrupy-signature-proxy check-config --config /etc/entrupy-signature-proxy/config.yaml\n');
    // systemd's own PATH begins with these two.
    const env = { PATH: `${directory}/usr/local/sbin:${directory}/usr/local/bin:/usr/bin:/bin` };
    const checked = await mustRun(join(directory, program), ['check-config', '--config', config], { env });
    expect(checked).toContain('The configuration is valid.');
    expect(checked).toMatch(/current .*\n.*next /);
    expect(await mode('etc/nginx/conf.d/hooks.conf')).toBe('644');
    expect(await read(join(directory, 'etc/nginx/conf.d/hooks.conf'))).toContain('server_name hooks.your-shop.example');
  });
});

describe.skipIf(!haveTools('nginx'))('behind nginx', () => {
  const BODY = '{"hello":"entrupy"}';
  const directory = ownDirectory();
  let upstream: Upstream;
  let proxy: RunningProxy;
  let nginx: Started;
  let url = '';
  let tlsUrl = '';
  let caFile = '';

  beforeAll(async () => {
    await mkdir(join(directory, 'secrets'));
    await writeFile(join(directory, 'secrets/current'), SECRET);
    upstream = await startUpstream();
    const [port, admin, tls] = [await freePort(), await freePort(), await freePort()];
    const authority = createAuthority(directory, 'tls');
    const { certFile, keyFile } = authority.issue('hooks', { names: ['DNS:hooks.example.com'] });
    caFile = authority.caFile;
    // As written, except for ports and directories that this machine lacks.
    const config = (await read(`${EXAMPLES}/config.yaml`))
      .replace('port: 8080', `port: ${port}`)
      .replace('port: 9464', `port: ${admin}`)
      .replace('http://127.0.0.1:3000', upstream.url)
      .replace('/etc/entrupy/secrets', join(directory, 'secrets'));
    proxy = await startProxy({ config });
    const site = (await read(`${EXAMPLES}/nginx.conf`)).replace(':8080;', `:${port};`);
    const [, server = ''] = /^(server \{[\s\S]*^\})$/m.exec(site) ?? [];
    const [lines = ''] = blocksOf(PAGE, 'nginx');
    const tlsSite = server
      .replace(/ *listen 80;.*\n/, lines)
      .replace('listen 443 ssl', `listen 127.0.0.1:${tls} ssl`)
      .replace('/etc/ssl/hooks/fullchain.pem', certFile)
      .replace('/etc/ssl/hooks/privkey.pem', keyFile);
    expect(tlsSite).toContain(keyFile);
    nginx = await startOnFreePort({
      program: 'nginx',
      args: (file) => ['-e', 'stderr', '-c', file],
      configuration: ({ port: front, directory: own }) => {
        const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
        const paths = temporary.map((name) => `${name}_temp_path ${own}/${name};`).join(' ');
        const here = site.replace('listen 80;', `listen 127.0.0.1:${front};`);
        return `daemon off; pid ${own}/nginx.pid; error_log stderr;\nevents {}\nhttp { access_log off; ${paths}\n${here}\n${tlsSite}\n}\n`;
      },
    });
    url = `http://127.0.0.1:${nginx.port}`;
    tlsUrl = `https://hooks.example.com:${tls}`;
    await untilReady(proxy.adminUrl);
  });
  afterAll(async () => {
    await nginx?.stop();
    await proxy?.stop();
    await upstream?.close();
  });

  test('a signed delivery reaches the app, an unsigned one gets 401, and an unmatched one 404', async () => {
    const send = async (path: string, headers: Record<string, string> = {}) =>
      (await fetch(`${url}${path}`, { method: 'POST', body: BODY, headers })).status;
    const signed = { 'Entrupy-Signature': sign(SECRET, BODY) };
    expect(await send('/notify', signed)).toBe(200);
    expect(await send('/notify')).toBe(401);
    expect(await send('/else', signed)).toBe(404);
    expect(await send('/healthz')).toBe(200);
  });

  test.skipIf(!haveTools('curl', 'openssl'))(
    'the last commands: over TLS, 401 without a signature and 200 with one',
    async () => {
      const commands = blockThat(PAGE, /^BODY=/);
      const { port } = new URL(tlsUrl);
      const here = commands
        .replaceAll('https://hooks.your-shop.example', tlsUrl)
        .replaceAll('curl -i', `curl -i -sS --cacert ${caFile} --resolve hooks.example.com:${port}:127.0.0.1`)
        .replaceAll('entrupy-signature-proxy', `"${process.execPath}" "${PROGRAM}"`)
        .replace('/etc/entrupy/secrets/current', join(directory, 'secrets/current'));
      const said = await mustRun('bash', ['-ec', here]);
      expect([...said.matchAll(/HTTP\/1\.1 (\d+)/gm)].map(([, status]) => status)).toEqual(['401', '200']);
    },
  );

  test('check finds nothing wrong, and the probe reaches the app', async () => {
    const commands = blockThat(PAGE, /check --wait/)
      .trim()
      .split('\n');
    const said = [/^ok +ready: /m, /^ok: expected 2xx, got 200 /];
    expect(commands).toHaveLength(said.length);
    for (const [at, command] of commands.entries()) {
      const [, ...words] = command.split(' ');
      const { code, stdout } = await runCommand([...words, '--config', proxy.configFile]);
      expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringMatching(said[at] ?? '') });
    }
  });

  test('a body as large as the proxy allows passes nginx, a larger one is refused', async () => {
    const send = async (bytes: number) => {
      const body = Buffer.alloc(bytes, 'a');
      const headers = { 'Entrupy-Signature': sign(SECRET, body) };
      return (await fetch(`${url}/notify`, { method: 'POST', body, headers })).status;
    };
    expect(await send(1024 * 1024)).toBe(200);
    expect(await send(1024 * 1024 + 1)).toBe(413);
  });
});
