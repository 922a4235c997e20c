// Prints the notes of a release: the section of CHANGELOG.md for a version, `node scripts/release/notes.ts 0.2.0`.
import { readFileSync } from 'node:fs';

const [version = ''] = process.argv.slice(2);
const changelog = readFileSync(new URL('../../CHANGELOG.md', import.meta.url), 'utf8');
const [, ...sections] = changelog.split(/^## /m);
const section = sections.find((text) => text.startsWith(`${version}\n`) || text.startsWith(`${version} `));
const notes = section?.slice(section.indexOf('\n')).trim() ?? '';
if (version === '' || notes === '') {
  process.stderr.write(
    `CHANGELOG.md has no section "## ${version}" with something in it: write down what users notice\n`,
  );
  process.exitCode = 1;
} else {
  process.stdout.write(`${notes}\n`);
}
