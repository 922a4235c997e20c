// Writes the licence texts of every package that the bundle may hold (whatever package-lock.json does not mark as dev) to
// one file, which goes into the image. It must never pass over a package without a text.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

interface LockedPackage {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
}

const root = fileURLToPath(new URL('..', import.meta.url));
const target = process.argv[2] ?? 'dist/THIRD-PARTY-LICENSES.txt';

async function licenceText(directory: string): Promise<string> {
  const names = (await readdir(directory)).filter((name) => /^(?:licen[cs]e|copying|notice)/i.test(name)).sort();
  const texts = await Promise.all(names.map((name) => readFile(`${directory}/${name}`, 'utf8')));
  if (texts.length === 0) throw new Error(`no licence text in ${directory}`);
  return texts.map((text) => text.trim()).join('\n\n');
}

const lock = JSON.parse(await readFile(`${root}package-lock.json`, 'utf8')) as {
  readonly packages: Readonly<Record<string, LockedPackage>>;
};
const shipped = Object.entries(lock.packages).filter(([path, { dev }]) => path !== '' && dev !== true);
const parts = await Promise.all(
  shipped.map(async ([path, { version, license }]) => {
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    return `${name} ${version ?? ''} (${license ?? 'see below'})\n\n${await licenceText(`${root}${path}`)}\n`;
  }),
);
await writeFile(target, parts.join(`\n${'='.repeat(80)}\n\n`));
console.log(`${target}: ${parts.length} packages`);
