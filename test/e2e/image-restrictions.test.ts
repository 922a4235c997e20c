// The image from the Dockerfile, run by podman as the docs say: read-only, uid 65532, no capability, 128 MiB.
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { SECRET, sign } from '../support/deliveries/signer.ts';
import { get, request } from '../support/http/requests.ts';
import { type Flood, startFlood } from '../support/load/flood.ts';
import { post } from '../support/load/load.ts';
import { startPacedLoad } from '../support/load/paced-load.ts';
import {
  buildImage,
  IMAGE,
  mib,
  RESTRICTIONS,
  type RunningContainer,
  startContainer,
} from '../support/machine/containers.ts';
import { ownDirectory } from '../support/machine/files.ts';
import { haveTools, mustRun, run } from '../support/machine/tools.ts';
import { eventually } from '../support/proxy/proxied.ts';

const ready = haveTools('podman', 'buildah', 'runc', 'nsenter', 'ss');
const BODY = '{"hello":"entrupy"}';
const MIB = 1024 * 1024;
const SIGNED = { 'Entrupy-Signature': sign(SECRET, BODY) };
const FLOOD_MS = 15_000;
const FOLDER = '/var/lib/entrupy-signature-proxy';
/** Writes to the folder, and prints its mode. */
const WRITES = [
  ...['/nodejs/bin/node', '-e'],
  `fs.mkdirSync('${FOLDER}/x', { mode: 0o700 }); console.log((fs.statSync('${FOLDER}').mode & 0o777).toString(8))`,
];

/** The same delivery again and again, as often as so many connections allow. */
function startLoad(url: string, body: string, connections: number) {
  const headers = { 'content-type': 'application/json', 'entrupy-signature': sign(SECRET, body) };
  const next = (nth: number) => ({ id: String(nth), path: '/notify', headers, body });
  return startPacedLoad({ url, rate: 20_000, connections, next });
}

function attacks(port: number): readonly Flood[] {
  const to = (target: string, ...lines: string[]) => request([`POST ${target} HTTP/1.1`, 'Host: h', ...lines]);
  const signed = `Entrupy-Signature: ${sign(SECRET, 'something else')}`;
  const length = (bytes: number) => `Content-Length: ${bytes}`;
  const chunks = `${'1\r\nx\r\n'.repeat(1_000_000)}0\r\n\r\n`;
  const drip = (text: string) => ({ drip: text, every: 200 });
  const rows: readonly [connections: number, first: string, next?: Flood['next']][] = [
    [200, to('/notify', signed, length(100_000)), drip('x')],
    [150, to('/open/x', length(100_000)), drip('x')],
    [100, get('/open/0').slice(0, -2), drip('a: b\r\n')],
    [100, '\r\n', drip('\r\n')],
    [200, to('/notify', length(MIB)) + '\0'.repeat(MIB)],
    [10, to('/notify', length(20_000_000)) + '\0'.repeat(20_000_000)],
    [2, to('/notify', signed, 'Transfer-Encoding: chunked') + chunks],
    [2, to('/open/x', 'Transfer-Encoding: chunked') + chunks, 'ask'],
  ];
  const floods = rows.map(([connections, first, next]) => ({
    connections,
    first,
    ...(next !== undefined && { next }),
  }));
  const readers = { connections: 150, first: get(`/open/${64 * MIB}`), deaf: true };
  return [readers, ...floods].map((flood) => ({ ...flood, port, from: '127.0.0.1', first: Buffer.from(flood.first) }));
}
const report = (text: string) => console.info(`      ${text}`);

describe.skipIf(!ready)('the image', () => {
  const directory = ownDirectory();

  /** A legacy app without a published port, and the proxy in its network namespace, published. */
  const startPair = async (given: { env?: Record<string, string>; options?: string[]; readyz?: number } = {}) => {
    const { env = { WEBHOOK_ENDPOINT_SECRET_KEY: SECRET }, options = [], readyz = 200 } = given;
    const demo = ['demo', '--upstream-only', '--port', '3000'];
    const app = await startContainer({ args: demo, ports: [8080, 9464], options: ['--memory=512m'] });
    const proxy = await startContainer({
      options: [`--network=container:${app.name}`, ...options],
      env: { UPSTREAM_URL: 'http://127.0.0.1:3000', ...env },
    });
    const [url, adminUrl] = [`http://${await app.address(8080)}`, `http://${await app.address(9464)}`];
    await eventually(async () => (await fetch(`${adminUrl}/readyz`)).status, readyz);
    return { app, proxy, url, adminUrl };
  };
  const received = async (app: RunningContainer) => (await app.logs()).match(/^POST /gm)?.length ?? 0;

  beforeAll(async () => {
    const { seconds, bytes } = await buildImage();
    report(`built in ${seconds.toFixed(1)} s, ${mib(bytes)} uncompressed`);
    await chmod(directory, 0o755);
  });

  test('has no shell, and has a numeric user, the labels, the licences and an SBOM', async () => {
    const [image] = JSON.parse(await mustRun('podman', ['image', 'inspect', IMAGE])) as [
      Record<'Config' | 'Healthcheck' | 'Labels', Record<string, unknown>>,
    ];
    expect(image.Config).toMatchObject({ User: '65532:65532', StopSignal: 'SIGTERM' });
    expect(image.Config.Entrypoint).toEqual([
      '/nodejs/bin/node',
      '--no-maglev-destroy-on-background',
      '--heap-growing-percent=100',
      '/app/dist/main.js',
    ]);
    expect(image.Healthcheck.Test).toEqual(['CMD', '/nodejs/bin/node', '/app/dist/main.js', 'healthcheck']);
    expect(image.Labels).toMatchObject({
      'org.opencontainers.image.title': 'entrupy-signature-proxy',
      'org.opencontainers.image.version': 'test',
      'org.opencontainers.image.revision': 'abc123',
      'org.opencontainers.image.licenses': 'Apache-2.0',
    });
    expect((await run('podman', ['run', '--rm', '--pull=never', '--entrypoint', '/bin/sh', IMAGE])).code).not.toBe(0);
    const listing = `console.log(JSON.stringify([fs.readdirSync('/app/dist'), fs.readFileSync('/app/dist/THIRD-PARTY-LICENSES.txt', 'utf8').length, JSON.parse(fs.readFileSync('/app/dist/sbom.cdx.json')).components.map((c) => decodeURIComponent(c.purl))]))`;
    const entry = ['--entrypoint', '/nodejs/bin/node', IMAGE, '-e', listing];
    const [files, licences, components] = JSON.parse(
      await mustRun('podman', ['run', '--rm', '--pull=never', ...entry]),
    ) as readonly [string[], number, string[]];
    expect(files).toContain('main.js');
    expect(files.filter((file) => !file.endsWith('.js'))).toEqual(['THIRD-PARTY-LICENSES.txt', 'sbom.cdx.json']);
    expect(licences).toBeGreaterThan(5000);
    for (const name of ['undici', 'http-proxy-3', 'yaml', 'zod', 'prom-client', '@redis/client']) {
      expect(components).toContainEqual(expect.stringMatching(new RegExp(`^pkg:npm/${name}@\\d`)));
    }
    expect(components.join()).not.toContain('vitest');
  });

  test('has no privilege that it does not need, and takes little memory', async () => {
    const { proxy } = await startPair();
    const look = `
      const status = fs.readFileSync('/proc/1/status', 'utf8');
      const read = (key) => status.match(new RegExp('^' + key + ':\\\\s*(\\\\S+)', 'm'))[1];
      let write = []; for (const path of ['/app/x', '/tmp/x', '/x', '${FOLDER}/x']) try { fs.writeFileSync(path, ''); write.push(path) } catch {}
      console.log(JSON.stringify({ uid: read('Uid'), capabilities: read('CapEff'), noNewPrivileges: read('NoNewPrivs'), seccomp: read('Seccomp'), write }))`;
    const { stdout } = await proxy.exec(['/nodejs/bin/node', '-e', look]);
    expect((await proxy.memory()).anonymous).toBeLessThan(64 * MIB); // idle
    expect(JSON.parse(stdout)).toEqual({
      ...{ uid: '65532', capabilities: '0000000000000000', noNewPrivileges: '1', seccomp: '2', write: [] },
    });
  });

  test('every command works inside it, and its user can write a volume for deferred deliveries', async () => {
    const { proxy } = await startPair({ options: ['-v', FOLDER] });
    expect(await proxy.exec(WRITES)).toMatchObject({ code: 0, stdout: '770\n' });
    const command = async (...args: string[]) => proxy.exec(['entrupy-signature-proxy', ...args], BODY);
    expect((await command('--version')).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(await command('sign')).toMatchObject({ code: 0, stdout: `${SIGNED['Entrupy-Signature']}\n` });
    for (const words of ['check-config', 'explain POST /x/..;/notify', 'healthcheck', 'check', 'probe /notify'])
      expect({ words, ...(await command(...words.split(' '))) }).toMatchObject({ code: 0, stderr: '' });
    // Only the demo writes: the secrets that it rotates.
    const demo = await run('podman', ['run', '--rm', ...RESTRICTIONS, '--tmpfs', '/tmp', IMAGE, 'demo', '--once']);
    expect(demo).toMatchObject({ code: 0, stderr: '' });
    expect(demo.stdout).toContain('Every step went as expected.');
  });

  test('a secret that its user may not read is reported, not hidden', async () => {
    const secrets = join(directory, 'unreadable');
    await mkdir(secrets);
    await writeFile(join(secrets, 'current'), SECRET, { mode: 0o600 });
    const { proxy, adminUrl } = await startPair({
      env: { WEBHOOK_ENDPOINT_SECRET_KEY_FILE: '/etc/entrupy/secrets/current' },
      options: ['-v', `${secrets}:/etc/entrupy/secrets:ro`],
      readyz: 503,
    });
    const text = `${await (await fetch(`${adminUrl}/readyz`)).text()}${await proxy.logs()}`;
    expect(text).toMatch(/permission|EACCES|may not be read/i);
    expect(text).not.toContain(SECRET);
  });

  test('under load it stays far below its memory; SIGTERM then loses no request, and it exits with 0', async () => {
    const { app, proxy, url, adminUrl } = await startPair();
    const body = randomBytes(8 * 1024).toString('base64');
    const begun = performance.now();
    const load = startLoad(url, body, 50);
    await eventually(() => load.count() > 5000, true);
    const rate = Math.round(load.count() / ((performance.now() - begun) / 1000));
    const memory = await proxy.memory();
    report(
      `loaded: ${rate} requests/s of 11 KiB from one client process; peak ${mib(memory.peak)}, ${mib(memory.anonymous)} anonymous`,
    );
    expect(memory.anonymous).toBeLessThan(100 * 1024 * 1024);

    const notReady = eventually(async () => (await fetch(`${adminUrl}/readyz`)).status, 503);
    // The last byte of this body comes after SIGTERM.
    const slow = post({ url: `${url}/notify`, body: BODY, headers: SIGNED, holdUntil: notReady });
    const before = performance.now();
    const stopped = proxy.stop();
    await notReady;
    // A load balancer has noticed by now; everything that it sent before must be answered.
    const count = load.count();
    await eventually(() => load.count() > count + 200, true);
    const sent = [...(await load.stop()), await slow];
    expect(await stopped).toBe(0);
    report(`${sent.length} requests around SIGTERM, stopped after ${Math.round(performance.now() - before)} ms`);
    expect(sent.filter(({ status }) => status !== 200)).toEqual([]);
    expect(await received(app)).toBe(sent.length);
  });

  test('at 96 MiB, the least that the chart allows, commands beside it under load kill nobody and lose nothing', async () => {
    const config = join(directory, 'commands');
    await mkdir(config);
    await writeFile(join(config, 'config.yaml'), 'routes: [{path: /notify, redeliver: 1h}]\n');
    const mounts = ['-v', `${config}:/etc/entrupy-signature-proxy:ro`, '-v', FOLDER];
    const { proxy, url } = await startPair({ options: ['--memory=96m', ...mounts] });
    const load = startLoad(url, randomBytes(8 * 1024).toString('base64'), 50);
    // Together more than `bufferedBytes` allows: some of these get 503.
    const large = startLoad(url, randomBytes(MIB * 0.75).toString('base64'), 40);
    await eventually(() => load.count() > 3000, true);
    const alone = await proxy.memory();
    let beside = 0;
    for (const command of [['check'], ['deferred'], ['probe', '/notify'], ['check-config'], ['healthcheck']]) {
      const ran = proxy.exec(['entrupy-signature-proxy', ...command]);
      let isOver = false;
      void ran.finally(() => {
        isOver = true;
      });
      while (!isOver) beside = Math.max(beside, (await proxy.memory()).anonymous);
      // 1 where it has found that deliveries are turned away; 137 would be a kill.
      expect([0, 1], command[0]).toContain((await ran).code);
    }
    const [sent, bodies] = [await load.stop(), await large.stop()];
    report(`under load ${mib(alone.anonymous)} anonymous, with a command beside it ${mib(beside)} at most`);
    expect((await proxy.memory()).oomKills).toBe(0);
    for (const { status } of [...sent, ...bodies]) expect([200, 503]).toContain(status);
  });

  test('runs with any uid and gid 0, as on OpenShift', async () => {
    const secrets = join(directory, 'openshift');
    await mkdir(secrets);
    await writeFile(join(secrets, 'current'), `${SECRET}\n`, { mode: 0o640 });
    const { proxy, url } = await startPair({
      env: { WEBHOOK_ENDPOINT_SECRET_KEY_FILE: '/etc/entrupy/secrets/current', VERIFY_PATHS: '/notify' },
      options: ['--user=1000660000:0', '-v', FOLDER, '-v', `${secrets}:/etc/entrupy/secrets:ro`],
    });
    expect(await proxy.exec(WRITES)).toMatchObject({ code: 0, stdout: '770\n' });
    const [identity] = (
      await proxy.exec(['/nodejs/bin/node', '-p', '[process.getuid(), process.getgid()].join()'])
    ).stdout.split('\n');
    expect(identity).toBe('1000660000,0');
    expect(await post({ url: `${url}/notify`, body: BODY, headers: SIGNED })).toMatchObject({ status: 200 });
  });

  test("every attack at once at 128 MiB: its own memory and the kernel's, both printed", async () => {
    const { proxy, url, adminUrl } = await startPair({
      env: { WEBHOOK_ENDPOINT_SECRET_KEY: SECRET, VERIFY_PATHS: '/notify' },
      options: ['--user=1000660000:0'],
    });
    const attackers = await startFlood(...attacks(Number(new URL(url).port)));
    let [anonymous, sockets, answered] = [0, 0, 0];
    try {
      const deadline = performance.now() + FLOOD_MS;
      while (performance.now() < deadline) {
        if ((await proxy.state()) !== 'running') break;
        const [memory, buffered] = await Promise.all([proxy.memory(), proxy.socketBuffers()]);
        [anonymous, sockets] = [Math.max(anonymous, memory.anonymous), Math.max(sockets, buffered)];
        const { status } = await post({ url: `${url}/notify`, body: BODY, headers: SIGNED });
        if (status === 200) answered++;
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
    } finally {
      report(`attackers: ${JSON.stringify(await attackers.stop())}`);
    }
    report(
      `every attack at once, ${FLOOD_MS / 1000} s: ${mib(anonymous)} anonymous, ${mib(sockets)} in the kernel's socket buffers at most`,
    );
    expect(await proxy.state()).toBe('running');
    expect((await proxy.memory()).oomKills).toBe(0);
    expect((await fetch(`${adminUrl}/livez`)).status).toBe(200);
    expect(answered).toBeGreaterThan(0);
    expect(anonymous).toBeLessThan(110 * 1024 * 1024);
    await eventually(async () => (await post({ url: `${url}/notify`, body: BODY, headers: SIGNED })).status, 200);
  });
});
