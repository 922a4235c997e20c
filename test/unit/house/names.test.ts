// Names lead somewhere: a test file is named by its subject in kebab case, and each file that a comment or a page names
// exists.
import { globSync } from 'node:fs';
import { sep } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT, read } from '../../support/machine/tools.ts';

const find = (...patterns: readonly string[]) =>
  globSync(patterns, { cwd: ROOT, exclude: (path) => /(?:^|[\\/])(?:node_modules|dist)$/.test(path) })
    .map((path) => path.replaceAll(sep, '/'))
    .sort();

const ALL = find('*', '{src,test,docs,scripts,bench,preview,helm,examples}/**');
const SOURCES = find('{src,test,scripts,bench,preview}/**/*.{ts,tsx,js,mjs,sh,py,go}', '*.ts', 'Dockerfile');
/** Without those that tell the past: the changelog and the decisions. */
const PAGES = find('*.md', 'docs/*.md').filter((page) => page !== 'CHANGELOG.md');
const TESTS = find('test/**/*.test.ts');

const COMMENT = /(?:^\s*\*|(?:^|\s)(?:\/\/|\/\*+|#))(?:\s|$)(.*)$/;
const PATH = /(?<![\w/.@*-])(?:src|test|docs|scripts|bench)\/[\w./-]*\w(?![\w*-])/g;
/** A source file, with or without its folders. What the build writes ends in `.js`. */
const SOURCE = /(?<![\w/.@*-])[\w./-]+\.(?:ts|tsx|mjs|sh|py)\b/g;

/** The comments of a file. Those on adjacent lines are one line. */
function commentsOf(text: string): string {
  const lines = text.split('\n').map((line) => COMMENT.exec(line)?.[1] ?? '\n');
  return lines.join(' ').replaceAll(/ {2,}/g, ' ');
}

const isPath = (path: string) => path.includes('node_modules') || ALL.includes(path);
const isFile = (name: string) => ALL.some((path) => path === name || path.endsWith(`/${name}`));
const missingPaths = (text: string) => (text.match(PATH) ?? []).filter((path) => !isPath(path));
const missingFiles = (text: string) => (text.match(SOURCE) ?? []).filter((name) => !isFile(name));

test('a test file is named in kebab case, in five words at most', () => {
  expect(TESTS.length).toBeGreaterThan(150);
  const KEBAB = /^test\/(?:[a-z0-9]+(?:-[a-z0-9]+)*\/)+[a-z0-9]+(?:-[a-z0-9]+){0,4}(?:\.fuzz)?\.test\.ts$/;
  expect(TESTS.filter((file) => !KEBAB.test(file))).toEqual([]);
});

test('comments name only files that exist', () => {
  const missing = SOURCES.flatMap((file) => {
    const comments = commentsOf(read(file));
    return [...missingPaths(comments), ...missingFiles(comments)].map((name) => `${file}: ${name}`);
  });
  expect(missing).toEqual([]);
});

test('pages name only paths that exist', () => {
  expect(PAGES.flatMap((page) => missingPaths(read(page)).map((path) => `${page}: ${path}`))).toEqual([]);
});
