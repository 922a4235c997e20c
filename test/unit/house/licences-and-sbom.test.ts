// Licences and SBOM name what is in the bundle, by the bundler's own list of inputs. Every package that the program uses is a development
// dependency, so a tool that reads `dependencies` finds none.
import { execFile } from 'node:child_process';
import { cp, readdir, readFile, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import manifest from '../../../package.json' with { type: 'json' };
import { packagePath } from '../../../scripts/bundled-packages.ts';
import { ownDirectory } from '../../support/machine/files.ts';
import { ROOT } from '../../support/machine/tools.ts';

const USED = ['@redis/client', 'http-proxy-3', 'prom-client', 'undici', 'yaml', 'zod'];
const ONLY_FOR_DEVELOPMENT = ['vitest', 'esbuild', 'typescript', 'fast-check', 'ws'];

interface Component {
  readonly name: string;
  readonly group?: string;
  readonly version: string;
  readonly purl: string;
  readonly licenses: readonly [{ readonly license?: { readonly id: string }; readonly expression?: string }];
  readonly hashes: readonly [{ readonly alg: string; readonly content: string }];
}

describe('of a build', () => {
  const clone = ownDirectory();
  let licences = '';
  let sbom: { bomFormat: string; specVersion: string; metadata: { component: Component }; components: Component[] };

  // In a copy, since another test may be building dist.
  beforeAll(async () => {
    for (const part of ['package.json', 'package-lock.json', 'scripts', 'src', 'examples/events', 'docs'])
      await cp(join(ROOT, part), join(clone, part), { recursive: true });
    await symlink(join(ROOT, 'node_modules'), join(clone, 'node_modules'));
    const run = (script: string) => promisify(execFile)(process.execPath, [`scripts/${script}`], { cwd: clone });
    await expect(run('bundle-sbom.ts')).rejects.toThrow('run node scripts/build.ts first');
    await run('build.ts');
    await Promise.all([run('bundle-licences.ts'), run('bundle-sbom.ts')]);
    licences = await readFile(join(clone, 'dist/THIRD-PARTY-LICENSES.txt'), 'utf8');
    sbom = JSON.parse(await readFile(join(clone, 'dist/sbom.cdx.json'), 'utf8'));
  });

  test.each(USED)('%s is in both, with its version and its licence', async (name) => {
    const installed = JSON.parse(await readFile(join(ROOT, 'node_modules', name, 'package.json'), 'utf8'));
    expect(`\n${licences}`).toContain(`\n${name} ${installed.version} (${installed.license})\n`);
    const found = sbom.components.find(({ purl }) => decodeURIComponent(purl).startsWith(`pkg:npm/${name}@`));
    expect(found).toMatchObject({ version: installed.version, licenses: [{ license: { id: installed.license } }] });
  });

  test.each(ONLY_FOR_DEVELOPMENT)('%s is in neither', (name) => {
    expect(licences).not.toMatch(new RegExp(`^${name} \\d`, 'm'));
    expect(sbom.components.map((component) => component.name)).not.toContain(name);
  });

  test('the licence of llhttp, which undici bundles, is included', () => {
    expect(licences).toContain('Copyright Fedor Indutny');
  });

  // A part that both of the build's bundles share is one file only while its imports are the same in both.
  test('no large part of dist is there twice', async () => {
    const names = await readdir(join(clone, 'dist'));
    const sizes = await Promise.all(names.map(async (name) => (await stat(join(clone, 'dist', name))).size));
    const large = sizes.filter((size) => size > 32 * 1024).toSorted((a, b) => a - b);
    expect(large.length).toBeGreaterThan(5);
    // Copies differ by the names in their imports.
    expect(large.filter((size, nth) => size - (large[nth - 1] ?? 0) < 256)).toEqual([]);
  });

  test('the SBOM is CycloneDX, with the name, version, purl, licence and hash of each package', () => {
    expect(sbom).toMatchObject({ bomFormat: 'CycloneDX', specVersion: '1.6' });
    expect(sbom.metadata.component).toMatchObject({ name: manifest.name, version: manifest.version });
    for (const { name, group, version, purl, licenses, hashes } of sbom.components) {
      expect(decodeURIComponent(purl)).toBe(`pkg:npm/${group === undefined ? '' : `${group}/`}${name}@${version}`);
      expect(licenses[0].license?.id ?? licenses[0].expression).toMatch(/\w/);
      expect(hashes[0].alg).toBe('SHA-512');
      expect(hashes[0].content).toMatch(/^[0-9a-f]{128}$/);
    }
    expect(sbom.components).toHaveLength(licences.split(`\n${'='.repeat(80)}\n`).length);
  });
});

test('a file maps to its package, however deep that is installed', () => {
  expect(packagePath('node_modules/undici/lib/llhttp/llhttp-wasm.js')).toBe('node_modules/undici');
  expect(packagePath('node_modules/@redis/client/dist/index.js')).toBe('node_modules/@redis/client');
  expect(packagePath('node_modules/a/node_modules/@b/c/d.js')).toBe('node_modules/a/node_modules/@b/c');
  expect(packagePath('../elsewhere/node_modules/zod/v4/index.js')).toBe('node_modules/zod');
  expect(packagePath('src/main.ts')).toBeUndefined();
});

test('installing the package installs no other package, and undici is pinned', () => {
  expect(Object.keys(manifest).filter((key) => /dependencies$/i.test(key))).toEqual(['devDependencies']);
  expect(manifest.devDependencies.undici).toMatch(/^\d+\.\d+\.\d+$/);
});
