// Writes the contents of the bundle as CycloneDX JSON for the image, because no scanner sees packages inside a bundle.
// The same bundle gives the same bytes, so there is no time and no serial number in it.
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import manifest from '../package.json' with { type: 'json' };
import { type BundledPackage, bundledPackages } from './bundled-packages.ts';

// --node: for the executable, which holds Node too.
const { values, positionals } = parseArgs({ options: { node: { type: 'boolean' } }, allowPositionals: true });
const target = positionals[0] ?? 'dist/sbom.cdx.json';

const purl = (name: string, version: string) => `pkg:npm/${name.replace('@', '%40')}@${version}`;

/** CycloneDX has different fields for an identifier and an expression. */
const licences = (license: string) =>
  /^[\w.+-]+$/.test(license) ? [{ license: { id: license } }] : [{ expression: license }];

function component(type: 'application' | 'library', name: string, version: string, license: string) {
  const [scope, base] = name.startsWith('@') ? name.split('/') : [undefined, name];
  const ref = purl(name, version);
  const group = scope === undefined ? {} : { group: scope };
  return { type, 'bom-ref': ref, ...group, name: base, version, purl: ref, licenses: licences(license) };
}

function library({ name, version, license, integrity }: BundledPackage) {
  const [, base64 = ''] = /^sha512-(\S+)/.exec(integrity) ?? [];
  const content = Buffer.from(base64, 'base64').toString('hex');
  return { ...component('library', name, version, license), scope: 'required', hashes: [{ alg: 'SHA-512', content }] };
}

async function node() {
  const version = process.versions.node;
  const content = createHash('sha256')
    .update(await readFile(process.execPath))
    .digest('hex');
  return {
    type: 'platform',
    'bom-ref': `pkg:generic/node@${version}`,
    name: 'node',
    version,
    purl: `pkg:generic/node@${version}`,
    cpe: `cpe:2.3:a:nodejs:node.js:${version}:*:*:*:*:*:*:*`,
    licenses: licences('MIT'),
    scope: 'required',
    hashes: [{ alg: 'SHA-256', content }],
  };
}

const components = [...(await bundledPackages()).map(library), ...(values.node ? [await node()] : [])];
const program = component('application', manifest.name, manifest.version, manifest.license);
const sbom = {
  $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
  bomFormat: 'CycloneDX',
  specVersion: '1.6',
  version: 1,
  metadata: { component: program },
  components,
  dependencies: [
    { ref: program['bom-ref'], dependsOn: components.map((one) => one['bom-ref']) },
    ...components.map((one) => ({ ref: one['bom-ref'] })),
  ],
};
await writeFile(target, `${JSON.stringify(sbom, null, 2)}\n`);
console.log(`${target}: ${components.length} packages`);
