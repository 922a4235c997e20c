// Prints the notes of a release: the section of CHANGELOG.md for a version, `node scripts/release/notes.ts 0.2.0`.
import { changesOf } from './changelog.ts';

const [version = ''] = process.argv.slice(2);
const notes = version === '' ? '' : changesOf(version);
if (notes === '') {
  process.stderr.write(
    `CHANGELOG.md has no section "## ${version}" with something in it: write down what users notice\n`,
  );
  process.exitCode = 1;
} else {
  process.stdout.write(`${notes}\n`);
}
