// Writes the licence texts of every package in the bundle to one file, for the image and the npm package. It must
// never silently skip a package without a text. scripts/licences holds texts that packages do not ship: the repository's, or that of
// code inside a package. Files there are named after the package, with - for / and without @.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { type BundledPackage, bundledPackages } from './bundled-packages.ts';

const LICENCES = fileURLToPath(new URL('licences', import.meta.url));
const target = process.argv[2] ?? 'dist/THIRD-PARTY-LICENSES.txt';
const kept = await readdir(LICENCES);

async function licenceText({ name, directory }: BundledPackage): Promise<string> {
  const shipped = (await readdir(directory)).filter((file) => /^(?:licen[cs]e|copying|notice)/i.test(file)).sort();
  const own = kept.filter((file) => file === `${name.replace('@', '').replace('/', '-')}.txt`);
  const paths = [...shipped.map((file) => `${directory}/${file}`), ...own.map((file) => `${LICENCES}/${file}`)];
  if (paths.length === 0) throw new Error(`${name} ships no licence: put its repository's into scripts/licences`);
  const texts = await Promise.all(paths.map((path) => readFile(path, 'utf8')));
  return texts.map((text) => text.trim()).join('\n\n');
}

const packages = await bundledPackages();
const parts = await Promise.all(
  packages.map(async (one) => `${one.name} ${one.version} (${one.license})\n\n${await licenceText(one)}\n`),
);
await writeFile(target, parts.join(`\n${'='.repeat(80)}\n\n`));
console.log(`${target}: ${parts.length} packages`);
