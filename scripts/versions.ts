// Keeps one version in the files of the package, the chart and the image:
//
//   node scripts/versions.ts --check             checks that they agree, and that CHANGELOG.md has a section for it
//   node scripts/versions.ts --release v0.2.0    checks the same, and that the tag names the version
//   node scripts/versions.ts 0.3.0               writes the version into each file
import { readFileSync, writeFileSync } from 'node:fs';

interface Place {
  readonly file: string;
  /** The text before the version in the file; what follows the version is ignored. */
  readonly before: RegExp;
}

const VERSION = /\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?/;
const PLACES: readonly Place[] = [
  { file: 'package.json', before: /^ {2}"version": "/m },
  { file: 'package-lock.json', before: /^ {2}"version": "/m },
  { file: 'package-lock.json', before: /^ {4}"": \{\n {6}"name": "[^"]+",\n {6}"version": "/m },
  { file: 'helm/Chart.yaml', before: /^version: /m },
  { file: 'helm/Chart.yaml', before: /^appVersion: /m },
  { file: 'examples/library-chart/Chart.yaml', before: /- name: entrupy-signature-proxy\n {4}version: /m },
];

const read = (file: string) => readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');

const pattern = ({ before }: Place) => new RegExp(`(${before.source})(${VERSION.source})`, before.flags);

function found(place: Place): string {
  const version = pattern(place).exec(read(place.file))?.[2];
  if (version === undefined) throw new Error(`${place.file} has no version where ${place.before} is`);
  return version;
}

function problems(tag: string | undefined): string[] {
  const [wanted = ''] = PLACES.map(found);
  const different = PLACES.filter((place) => found(place) !== wanted).map(
    (place) => `${place.file} says ${found(place)}, package.json ${wanted}: run node scripts/versions.ts ${wanted}`,
  );
  const noted = new RegExp(`^## ${wanted.replaceAll('.', '\\.')}(?: |$)`, 'm').test(read('CHANGELOG.md'));
  return [
    ...different,
    ...(noted ? [] : [`CHANGELOG.md has no section "## ${wanted}": write down what users notice`]),
    ...(tag === undefined || tag === `v${wanted}` ? [] : [`the tag is ${tag}, the version ${wanted}: tag v${wanted}`]),
  ];
}

function write(version: string): void {
  for (const place of PLACES) {
    const file = new URL(`../${place.file}`, import.meta.url);
    writeFileSync(
      file,
      read(place.file).replace(pattern(place), (_match, before: string) => `${before}${version}`),
    );
  }
}

const [first = '', tag] = process.argv.slice(2);
if (first === '--check' || (first === '--release' && tag !== undefined)) {
  const wrong = problems(tag);
  for (const sentence of wrong) process.stderr.write(`${sentence}\n`);
  process.exitCode = wrong.length > 0 ? 1 : 0;
} else if (new RegExp(`^${VERSION.source}$`).test(first)) {
  write(first);
} else {
  process.stderr.write('Usage: node scripts/versions.ts --check | --release TAG | VERSION\n');
  process.exitCode = 2;
}
