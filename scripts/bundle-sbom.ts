// Writes the contents of the bundle as CycloneDX JSON for the image, because no scanner sees packages inside a bundle.
// The same bundle gives the same bytes, so there is no time and no serial number in it.
import { writeFile } from 'node:fs/promises';
import manifest from '../package.json' with { type: 'json' };
import { type BundledPackage, bundledPackages } from './bundled-packages.ts';

const target = process.argv[2] ?? 'dist/sbom.cdx.json';

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

const components = (await bundledPackages()).map(library);
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
