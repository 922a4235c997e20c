// Imports only go down, as docs/architecture.md shows.
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
  redis: ['base'],
  once: ['redis', 'core', 'base'],
  log: ['core', 'base'],
  metrics: ['core', 'base'],
  secrets: ['config', 'core', 'base'],
  bodies: ['wire', 'core', 'base'],
  downstream: ['bodies', 'wire', 'core', 'base'],
  upstream: ['bodies', 'wire', 'core', 'base'],
  admin: ['downstream', 'config', 'log', 'metrics', 'core', 'base'],
  redelivery: ['upstream', 'bodies', 'wire', 'once', 'redis', 'core', 'base'],
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
  commands: ['runtime', 'admin', 'redelivery', 'hints', 'downstream', 'wire', 'secrets', 'config', 'core', 'base'],
  'main.ts': ['commands', 'core', 'base'],
};

/** The folder of a file, or the file itself if it is right under src. */
function place(file: string): string {
  return file.split('/')[0] ?? '';
}

function importsOf(file: string): string[] {
  const found = readFileSync(join(ROOT, 'src', file), 'utf8').matchAll(/(?:from|import\()\s*'(\.[^']+\.ts)'/g);
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

  test('there is no import cycle, not even of types', () => {
    const open = new Set<string>();
    const done = new Set<string>();
    const visit = (file: string, trail: readonly string[]) => {
      if (done.has(file)) return;
      expect(open.has(file), [...trail, file].join(' -> ')).toBe(false);
      open.add(file);
      for (const target of importsOf(file)) visit(target, [...trail, file]);
      open.delete(file);
      done.add(file);
    };
    for (const file of FILES) visit(file, []);
  });
});

describe('docs/architecture.md', () => {
  const page = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8');
  /** Each line of the tree as a path: two spaces a level. */
  const [, lines = ''] = /^```text\nsrc\/\n([\s\S]*?)^```$/m.exec(page) ?? [];
  const trail: string[] = [];
  const tree = [...lines.matchAll(/^( +)(\S+)/gm)].map(([, indent = '', name = '']) => {
    trail.splice(indent.length / 2 - 1, trail.length, name.replace(/\/$/, ''));
    return trail.join('/');
  });

  test('its tree shows the floors from above, and names only what exists', () => {
    expect([...new Set(tree.map(place))]).toEqual(Object.keys(MAY).reverse());
    for (const path of tree) expect(existsSync(join(ROOT, 'src', path)), path).toBe(true);
  });
});
