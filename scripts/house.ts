// How large the house is: `node scripts/house.ts` prints the figures that test/unit/house/size.test.ts holds to its ceilings.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

export interface Figures {
  readonly files: number;
  readonly lines: number;
  /** In lines. */
  readonly longest: number;
  /** Files of fewer than 30 lines. */
  readonly short: number;
  /** The share of lines that hold nothing but a comment, in per cent. */
  readonly comments: number;
}

/** The figures of all TypeScript below a folder, such as `src/admin`. Lines are as the formatter breaks them. */
export function figuresOf(folder: string): Figures {
  const files = globSync(`${folder}/**/*.ts`, { cwd: ROOT, exclude: (path) => path.endsWith('node_modules') });
  const lengths = files.map((file) => linesOf(file));
  const all = lengths.flat();
  const comments = all.filter((line) => /^\s*(?:\/\/|\/?\*)/.test(line)).length;
  return {
    files: files.length,
    lines: all.length,
    longest: Math.max(0, ...lengths.map((lines) => lines.length)),
    short: lengths.filter((lines) => lines.length < 30).length,
    comments: Math.round((1000 * comments) / Math.max(1, all.length)) / 10,
  };
}

/** Words of the pages for users, as `cat README.md docs/*.md | wc -w` counts them. */
export function wordsOfDocs(): number {
  const pages = ['README.md', ...globSync('docs/*.md', { cwd: ROOT })];
  return pages.reduce((sum, page) => sum + (read(page).match(/\S+/g)?.length ?? 0), 0);
}

function linesOf(file: string): string[] {
  return read(file).replace(/\n$/, '').split('\n');
}

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

if (import.meta.main) {
  const folders = globSync('src/*/', { cwd: ROOT })
    .map((folder) => folder.replace(/[\\/]$/, ''))
    .sort();
  console.table(Object.fromEntries(['src', ...folders, 'test'].map((folder) => [folder, figuresOf(folder)])));
  console.log(`${wordsOfDocs()} words in README.md and docs`);
}
