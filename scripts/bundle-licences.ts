// Writes the licence texts of every package that the bundle may hold (whatever package-lock.json does not mark as dev) to
// one file, which goes into the image. It must never pass over a package without a text: for one that ships none, the text
// of its repository is kept in scripts/licences, named after the package with - for / and without @.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

interface LockedPackage {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
}

const root = fileURLToPath(new URL('..', import.meta.url));
const target = process.argv[2] ?? 'dist/THIRD-PARTY-LICENSES.txt';

async function licenceText(name: string, directory: string): Promise<string> {
  const files = (await readdir(directory)).filter((file) => /^(?:licen[cs]e|copying|notice)/i.test(file)).sort();
  const kept = `${root}scripts/licences/${name.replace('@', '').replace('/', '-')}.txt`;
  const paths = files.length > 0 ? files.map((file) => `${directory}/${file}`) : [kept];
  const texts = await Promise.all(paths.map((path) => readFile(path, 'utf8')));
  return texts.map((text) => text.trim()).join('\n\n');
}

const lock = JSON.parse(await readFile(`${root}package-lock.json`, 'utf8')) as {
  readonly packages: Readonly<Record<string, LockedPackage>>;
};
const shipped = Object.entries(lock.packages).filter(([path, { dev }]) => path !== '' && dev !== true);
const parts = await Promise.all(
  shipped.map(async ([path, { version = '', license = 'see below' }]) => {
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    return `${name} ${version} (${license})\n\n${await licenceText(name, `${root}${path}`)}\n`;
  }),
);
await writeFile(target, parts.join(`\n${'='.repeat(80)}\n\n`));
console.log(`${target}: ${parts.length} packages`);
