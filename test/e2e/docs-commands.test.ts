// Runs the commands that README.md, docs/docker.md and docs/kubernetes.md give their readers. `docker` is podman here.
// There is no cluster, so `helm install` and `kubectl create` are dry runs and their output is checked.
import { chmod, cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { startApiServer } from '../support/chart/api-server.ts';
import { allContainers, type Manifest, only, parseManifests, podSpec, proxyOf } from '../support/chart/helm.ts';
import { typeProblems } from '../support/chart/kubernetes-types.ts';
import { restrictedProblems } from '../support/chart/pod-security.ts';
import { SECRET, sign } from '../support/deliveries/signer.ts';
import { blocksOf } from '../support/docs/blocks.ts';
import { post } from '../support/load/load.ts';
import { atTheEnd } from '../support/machine/children.ts';
import { buildImage, buildOptions, IMAGE } from '../support/machine/containers.ts';
import { ownDirectory } from '../support/machine/files.ts';
import { haveTools, mustRun, ROOT, run, TOOLS } from '../support/machine/tools.ts';
import { eventually, untilReady } from '../support/proxy/proxied.ts';

const ready = haveTools('podman', 'buildah', 'runc', 'helm', 'promtool', `${TOOLS}/node_modules/kubernetes-models`);
const BODY = '{"hello":"entrupy"}';
const PAGES = ['README.md', 'docs/docker.md', 'docs/kubernetes.md', 'docs/rotation.md', 'docs/upgrading.md'];

/** After the commands, which name what they make. */
const CLEANING =
  'podman rm --force --time 0 proxy legacy; podman network rm --force hooks; podman volume rm --force deferred';

/** Each command of the page's shell blocks; lines continued by a backslash or a pipe are joined. */
const commandsOf = (page: string) =>
  blocksOf(page).flatMap((block) =>
    block
      .replaceAll(/\\\n\s*/g, ' ')
      .replaceAll(/\|\n\s*/g, '| ')
      .split('\n')
      .map((line) => line.replace(/\s+#\s.*$/, '').trim())
      .filter((line) => line !== '' && !line.startsWith('#')),
  );

describe.skipIf(!ready)('the commands of the docs', () => {
  const directory = ownDirectory();
  let clean: (() => Promise<unknown>) | undefined;
  const shell = (command: string, env: Readonly<Record<string, string>> = {}) =>
    run('bash', ['-c', command], {
      env: {
        ...env,
        PATH: `${directory}/bin:${TOOLS}/bin:${process.env.PATH ?? ''}`,
        WEBHOOK_ENDPOINT_SECRET_KEY: SECRET,
        TOKEN: 'the token of a registry',
      },
      cwd: join(directory, 'clone'),
    });

  beforeAll(async () => {
    await buildImage();
    clean = atTheEnd('sh', '-c', CLEANING);
    await mkdir(join(directory, 'bin'));
    await mkdir(join(directory, 'clone'));
    for (const name of ['helm', 'examples', 'compose.yaml'])
      await cp(`${ROOT}${name}`, join(directory, 'clone', name), { recursive: true });
    const files = {
      'current.key': SECRET,
      next: `${SECRET}, the next one`,
      'ca.crt': 'a certificate',
      'routes.yaml': 'config: {routes: [{path: /notify}], unmatched: reject}\n',
      'config.yaml': 'routes: [{path: /notify}]\n',
      'values-of-orders.yaml': 'replicaCount: 2\n',
    };
    for (const [name, text] of Object.entries(files)) await writeFile(join(directory, 'clone', name), text);
    const shims = {
      docker: `exec podman "$@"`,
      helm: `case "$1" in install|upgrade) exec ${TOOLS}/bin/helm install --dry-run=client "\${@:2}";; *) exec ${TOOLS}/bin/helm "$@";; esac`,
      kubectl: `[ -n "\${KUBECONFIG-}" ] && exec ${TOOLS}/bin/kubectl "$@"; exec ${TOOLS}/bin/kubectl "$@" --dry-run=client -o yaml`,
    };
    for (const [name, text] of Object.entries(shims)) {
      await writeFile(join(directory, 'bin', name), `#!/usr/bin/env bash\n${text}\n`);
      await chmod(join(directory, 'bin', name), 0o755);
    }
    await mustRun('podman', ['tag', IMAGE, 'localhost/entrupy-signature-proxy:latest']);
  });
  afterAll(() => clean?.());

  test('the README: image, network, app and proxy, on a machine that has only a clone', async () => {
    const commands = commandsOf('README.md').filter((line) => line.startsWith('docker '));
    expect(commands.map((line) => line.split(' ')[1])).toEqual(['build', 'network', 'run', 'run']);
    await run('podman', ['network', 'rm', '--force', 'hooks']);
    for (const command of commands) {
      // As written, except for the port, which may be in use, and the base images, since there is no registry.
      const here = command
        .replace('docker build', `cd ${ROOT} && docker build ${buildOptions().join(' ')}`)
        .replace('-p 8080:8080 -p 127.0.0.1:9464:9464', '-p 127.0.0.1::8080 -p 127.0.0.1::9464')
        .replace('docker run', 'docker run --pull=never');
      expect({ command, ...(await shell(here)) }).toMatchObject({ command, code: 0 });
    }
    const admin = (await mustRun('podman', ['port', 'proxy', '9464'])).trim();
    await untilReady(`http://${admin}`);
    const url = `http://${(await mustRun('podman', ['port', 'proxy', '8080'])).trim()}/notify`;
    const signed = { 'Entrupy-Signature': sign(SECRET, BODY) };
    await eventually(async () => (await post({ url, body: BODY, headers: signed })).status, 200);
    expect(await post({ url, body: BODY })).toMatchObject({ status: 401 });
  });

  test('the Docker page, after the README: app, proxy, an added secret, the commands inside the container', async () => {
    await mustRun('podman', ['tag', IMAGE, 'localhost/legacy:1']);
    const commands = commandsOf('docs/docker.md');
    const ask = async (command: string) => {
      // As written, except for ports, which may be in use, and the ten seconds before a container is killed; an image
      // without a command is the demo app.
      const free = command
        .replace('-p 8080:8080 -p 127.0.0.1:9464:9464', '-p 127.0.0.1::8080 -p 127.0.0.1::9464 --pull=never')
        .replace('rm --force proxy', 'rm --force --time 0 proxy')
        .replace(/legacy:1$/, '--pull=never legacy:1 demo --upstream-only');
      const ran = await shell(free);
      expect({ command, ...ran }).toMatchObject({ command, code: 0 });
      return ran.stdout;
    };
    const signed = { 'Entrupy-Signature': sign(SECRET, BODY) };
    const status = async (headers: Record<string, string>) => {
      const url = `http://${(await mustRun('podman', ['port', 'proxy', '8080'])).trim()}/notify`;
      return (await post({ url, body: BODY, headers })).status;
    };
    const steps = commands.filter((line) => /^(?:docker (?:rm|network|run -d)|mkdir)/.test(line));
    expect(steps.map((line) => line.split(' ').slice(0, 3).join(' '))).toEqual([
      'docker rm --force', // what the README's commands left
      'docker network rm',
      'docker network create',
      'docker run -d',
      'docker run -d',
      'docker rm --force',
      'mkdir -p secrets',
      'docker run -d',
      'docker rm --force', // with a volume
      'docker run -d',
      'mkdir -p secrets', // Compose
    ]);
    for (const command of steps.slice(0, 5)) await ask(command);
    await eventually(() => status(signed), 200);
    expect(await status({})).toBe(401);

    for (const command of steps.slice(5, 8)) await ask(command);
    await eventually(() => status(signed), 401);
    await writeFile(join(directory, 'clone/secrets/next'), SECRET);
    await eventually(() => status(signed), 200);
    const inside = commands.filter((line) => line.startsWith('docker exec'));
    expect(inside.length).toBeGreaterThan(2);
    for (const command of inside) await ask(command);

    const config = join(directory, 'clone/examples/docker/config.yaml');
    await writeFile(config, (await readFile(config, 'utf8')).replace('#redeliver:', 'redeliver:'));
    for (const command of steps.slice(8, 10)) await ask(command);
    await eventually(() => status(signed), 200);
    await mustRun('podman', ['stop', '--time', '0', 'legacy']);
    expect(await status(signed)).toBe(202);
    const deferred = (...words: string[]) =>
      ask(`docker exec proxy entrupy-signature-proxy deferred ${words.join(' ')}`);
    expect(await deferred()).toMatch(/ waiting +connect +0 +\S.* \d+ +POST \/notify\n$/);
    const received = async () => (await mustRun('podman', ['logs', 'legacy'])).match(/^POST /gm)?.length ?? 0;
    const before = await received();
    await mustRun('podman', ['start', 'legacy']);
    // The proxy may have been faster.
    expect(await deferred('deliver')).toMatch(/^(?:1 of 1 is gone from the store|Nothing is deferred)/);
    expect(await deferred()).toMatch(/^Nothing is deferred in /);
    expect(await received()).toBe(before + 1);
  });

  /** What a helm command prints; a dependency update prints none. */
  const renderedBy = async (command: string): Promise<Manifest[]> => {
    const { code, stdout, stderr } = await shell(command);
    expect({ command, code, stderr: code === 0 ? '' : stderr }).toEqual({ command, code: 0, stderr: '' });
    if (command.startsWith('helm dependency')) return [];
    const [rendered = ''] = (stdout.split('\nMANIFEST:\n')[1] ?? stdout).split('\nNOTES:\n');
    const manifests = parseManifests(rendered);
    expect(manifests.length, command).toBeGreaterThan(1);
    return manifests;
  };

  test('every helm command of the pages, and the injection example, make valid, restricted manifests', async () => {
    const commands = PAGES.flatMap(commandsOf);
    const renders = commands.filter((line) => /^helm (?:install|upgrade|template|dependency)/.test(line));
    expect(renders.length).toBeGreaterThan(5);
    const sources = new Map<string, Manifest[]>();
    for (const command of renders) sources.set(command, await renderedBy(command));
    for (const name of ['inject/namespace', 'inject/trial', 'inject/shop', 'gateway/network-policy'])
      sources.set(name, parseManifests(await readFile(`${ROOT}examples/${name}.yaml`, 'utf8')));
    const named = [...sources].flatMap(([from, manifests]) => manifests.map((manifest) => ({ from, manifest })));
    expect(await typeProblems(named)).toEqual([]);
    for (const { from, manifest } of named)
      if (['Deployment', 'Pod'].includes(manifest.kind))
        expect(restrictedProblems(podSpec(manifest)), from).toEqual([]);
    expect(allContainers(podSpec(only(sources.get('inject/shop') ?? [], 'Deployment')))).toHaveLength(1);
    const library = sources.get('helm template shop examples/library-chart') ?? [];
    const container = proxyOf(podSpec(only(library, 'Deployment')));
    expect(container).toMatchObject({ restartPolicy: 'Always', lifecycle: { preStop: {} } });
    expect(only(library, 'Service').spec?.ports).toMatchObject([{ targetPort: 'traffic' }]);
  });

  test('every kubectl create makes the objects that the chart mounts', async () => {
    const commands = PAGES.flatMap(commandsOf);
    const creates = commands.filter((line) => /(?:^|\| )kubectl (?:-n \S+ )?create (?:secret|configmap)/.test(line));
    expect(creates.length).toBeGreaterThan(0);
    for (const command of creates) expect({ command, ...(await shell(command)) }).toMatchObject({ command, code: 0 });
    const fromVariable = creates.find((line) => line.startsWith('printf')) ?? '';
    const { data } = parse((await shell(fromVariable)).stdout) as { data: Record<string, string> };
    expect(data).toEqual({ current: Buffer.from(SECRET).toString('base64') });
  });

  test('every other kubectl that changes or lists something does what the page says', async () => {
    const api = await startApiServer();
    try {
      const kubeconfig = join(directory, 'kubeconfig');
      await writeFile(kubeconfig, api.kubeconfig);
      const ask = async (command: string) => {
        const ran = await shell(command, { KUBECONFIG: kubeconfig });
        expect({ command, ...ran }).toMatchObject({ command, code: 0 });
        // No warning either.
        expect(ran.stderr.replace('No resources found\n', '')).toBe('');
        return ran.stdout;
      };
      const commands = PAGES.flatMap(commandsOf);
      const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } };
      await ask(`echo '${JSON.stringify(namespace)}' | kubectl create --validate=false -f -`);
      for (const command of commands.filter((line) => /^kubectl (?:-n \S+ )?create secret/.test(line))) {
        await shell(command, { KUBECONFIG: kubeconfig });
      }
      // The stand-in for a cluster knows no types of an operator.
      const others = commands.filter((line) => /^kubectl (?:label|patch|get (?!crd ))/.test(line));
      expect(others.length).toBeGreaterThan(3);
      const [remove = '', ...more] = others.filter((line) => line.includes('"op":"remove"'));
      expect(more).toEqual([]);
      for (const command of others.filter((line) => line !== remove)) await ask(command);
      const secret = JSON.parse(await ask('kubectl get secret hook-keys -o json')) as { data: Record<string, string> };
      const values = Object.entries(secret.data).map(([id, text]) => [id, Buffer.from(text, 'base64').toString()]);
      expect(Object.fromEntries(values)).toEqual({ current: SECRET, next: `${SECRET}, the next one` });
      await ask(remove);
      const after = JSON.parse(await ask('kubectl get secret hook-keys -o json')) as { data: Record<string, string> };
      expect(Object.keys(after.data)).toEqual(['next']);
    } finally {
      await api.close();
    }
  });

  test('compose.yaml runs the proxy as the docs say, and its files exist', async () => {
    const { services }: { services: Record<string, { volumes?: string[]; command?: string[] }> } = parse(
      await readFile(`${ROOT}compose.yaml`, 'utf8'),
    );
    expect(services.proxy).toMatchObject({ read_only: true, cap_drop: ['ALL'], mem_limit: '128m' });
    for (const { volumes = [] } of Object.values(services)) {
      for (const volume of volumes.filter((text) => !text.startsWith('./secrets'))) {
        await readFile(`${ROOT}${volume.split(':')[0]}`).catch((error: NodeJS.ErrnoException) =>
          expect(error.code).toBe('EISDIR'),
        );
      }
    }
    const secrets = join(directory, 'secrets');
    await mkdir(secrets);
    await writeFile(join(secrets, 'current'), SECRET);
    const places = [`${ROOT}examples/docker:/etc/entrupy-signature-proxy`, `${secrets}:/etc/entrupy/secrets`];
    const mounts = places.flatMap((place) => ['-v', `${place}:ro`]);
    const command = services.proxy?.command ?? [];
    const check = ['run', '--rm', '--pull=never', ...mounts, IMAGE, 'check-config', ...command.slice(1)];
    expect(await mustRun('podman', check)).toContain('The configuration is valid.');
    await mustRun('promtool', ['check', 'config', '--syntax-only', `${ROOT}examples/docker/prometheus.yaml`]);
  });
});
