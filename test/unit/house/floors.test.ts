// Imports only go down (docs/architecture.md), and every path that the page names exists.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const FILES = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((file) =>
  /\.ts$/.test(file),
);

/** The folders that each folder may import from, lowest floor first. Each may also import from itself. */
const MAY: Readonly<Record<string, readonly string[]>> = {
  base: [],
  core: [],
  wire: ['core', 'base'],
  config: ['core', 'base'],
  hints: ['core', 'base'],
  once: ['core', 'base'],
  log: ['core', 'base'],
  metrics: ['core', 'base'],
  secrets: ['config', 'core', 'base'],
  bodies: ['wire', 'core', 'base'],
  downstream: ['bodies', 'wire', 'core', 'base'],
  upstream: ['bodies', 'wire', 'core', 'base'],
  admin: ['downstream', 'config', 'log', 'metrics', 'core', 'base'],
  redelivery: ['upstream', 'bodies', 'wire', 'once', 'core', 'base'],
  'pipeline.ts': ['redelivery', 'upstream', 'downstream', 'bodies', 'once', 'hints', 'core', 'base'],
  runtime: [
    ...[
      'pipeline.ts',
      'redelivery',
      'admin',
      'upstream',
      'downstream',
      'wire',
      'secrets',
      'metrics',
      'log',
      'once',
      'config',
      'bodies',
      'core',
      'base',
    ],
  ],
  commands: ['runtime', 'admin', 'redelivery', 'hints', 'downstream', 'secrets', 'config', 'core', 'base'],
  'main.ts': ['commands', 'core', 'base'],
};

/** The folder of a file, or the file itself if it is right under src. */
function place(file: string): string {
  return file.split('/')[0] ?? '';
}

/** With or without type-only imports, which do not exist at run time. */
function importsOf(file: string, types: 'with types' | 'values alone' = 'with types'): string[] {
  const text = readFileSync(join(ROOT, 'src', file), 'utf8');
  const code = types === 'with types' ? text : text.replace(/^import type [^;]*;/gm, '');
  const found = code.matchAll(/(?:from|import\()\s*'(\.[^']+\.ts)'/g);
  return [...found].map(([, target = '']) => relative(join(ROOT, 'src'), join(ROOT, 'src', dirname(file), target)));
}

describe('floors', () => {
  test.each(FILES)('%s imports from its own floor or below', (file) => {
    const folder = place(file);
    expect(MAY[folder], `${folder} has no floor`).toBeDefined();
    const allowed = [folder, ...(MAY[folder] ?? [])];
    for (const target of importsOf(file)) expect(allowed, `${file} imports ${target}`).toContain(place(target));
  });

  test('no folder may import from a floor above: the table has no cycle', () => {
    const folders = Object.keys(MAY);
    for (const [index, folder] of folders.entries()) {
      for (const below of MAY[folder] ?? [])
        expect(folders.indexOf(below), `${folder} stands on ${below}`).toBeLessThan(index);
    }
  });

  test('the core uses no file, network, process, clock or log', () => {
    for (const file of FILES.filter((name) => place(name) === 'core')) {
      const text = readFileSync(join(ROOT, 'src', file), 'utf8');
      expect(text, file).not.toMatch(
        /node:(?:fs|net|http|https|tls|process|child_process|os)|process\.|Date\.now|performance\.|console\./,
      );
    }
  });

  test('no package is imported dynamically: the build would drop its export names', () => {
    for (const file of FILES) {
      const text = readFileSync(join(ROOT, 'src', file), 'utf8');
      expect(text, file).not.toMatch(/(?<!typeof )import\('(?!\.)/);
    }
  });

  test('there is no import cycle', () => {
    const open = new Set<string>();
    const done = new Set<string>();
    const visit = (file: string, trail: readonly string[]) => {
      if (done.has(file)) return;
      expect(open.has(file), [...trail, file].join(' -> ')).toBe(false);
      open.add(file);
      for (const target of importsOf(file, 'values alone')) visit(target, [...trail, file]);
      open.delete(file);
      done.add(file);
    };
    for (const file of FILES) visit(file, []);
  });
});

describe('docs/architecture.md', () => {
  const page = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8');
  const named = [...page.matchAll(/`(src\/[^`]*)`/g)].map(([, path = '']) => path);

  test('names only existing paths', () => {
    expect(named.length).toBeGreaterThan(20);
    for (const path of named) expect(existsSync(join(ROOT, path)), path).toBe(true);
  });

  test('names every file and folder right under src', () => {
    const top = readdirSync(join(ROOT, 'src'), { withFileTypes: true });
    const missing = top
      .map((entry) => (entry.isDirectory() ? `src/${entry.name}/` : `src/${entry.name}`))
      .filter((path) => !named.includes(path));
    expect(missing).toEqual([]);
  });
});
