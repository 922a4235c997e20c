// Imports only go down, as docs/architecture.md shows, and none loads what no start needs.
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT, read } from '../../support/machine/tools.ts';

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
  redelivery: ['upstream', 'bodies', 'wire', 'once', 'redis', 'core', 'base'],
  'facts.ts': ['redelivery', 'upstream', 'downstream', 'secrets', 'metrics', 'log', 'once', 'config', 'core', 'base'],
  health: ['facts.ts', 'config', 'log', 'core', 'base'],
  admin: ['health', 'facts.ts', 'downstream', 'config', 'log', 'metrics', 'core', 'base'],
  'pipeline.ts': ['redelivery', 'upstream', 'downstream', 'bodies', 'once', 'hints', 'core', 'base'],
  runtime: [
    ...['pipeline.ts', 'admin', 'health', 'facts.ts', 'redelivery', 'upstream', 'downstream', 'bodies', 'secrets'],
    ...['metrics', 'log', 'once', 'config', 'wire', 'core', 'base'],
  ],
  commands: [
    ...['runtime', 'admin', 'health', 'facts.ts', 'redelivery', 'downstream', 'secrets', 'hints', 'config', 'wire'],
    ...['core', 'base'],
  ],
  'main.ts': ['commands', 'core', 'base'],
};

/** The folder of a file, or the file itself if it is right under src. */
function place(file: string): string {
  return file.split('/')[0] ?? '';
}

/** Types that are derived from their only maker, on another side or above: they need not be declared twice. */
const DERIVED: Readonly<Record<string, readonly string[]>> = {
  'admin/handlers.ts': ['runtime/proxy.ts'],
  'core/hint.ts': ['health/diagnoses.ts'],
  'facts.ts': ['runtime/readiness.ts', 'runtime/reload.ts'],
  'metrics/readings.ts': ['runtime/reload.ts'],
  'metrics/recording.ts': ['runtime/services.ts'],
  'downstream/connection.ts': ['downstream/listener.ts'],
  'downstream/following-bytes.ts': ['downstream/connection.ts', 'downstream/listener.ts'],
  'downstream/reply.ts': ['downstream/connection.ts'],
  'downstream/unread-answers.ts': ['downstream/listener.ts'],
  'upstream/forwarded-headers.ts': ['downstream/client-exchange.ts'],
  'upstream/limiter.ts': ['upstream/upstream-exchange.ts'],
  'upstream/streamed-body.ts': ['upstream/upstream-exchange.ts'],
  'upstream/contract.ts': ['downstream/client-exchange.ts', 'downstream/reply.ts', 'upstream/upstream-exchange.ts'],
  'wire/llhttp.ts': ['wire/parser.ts'],
};

function importsOf(file: string) {
  const found = read(`src/${file}`).matchAll(/(import type [^;]*)?(?:from|import\()\s*'(\.[^']+\.ts)'/g);
  const imports = [...found].map(([, type, target = '']) => ({
    target: relative(join(ROOT, 'src'), join(ROOT, 'src', dirname(file), target)),
    isType: type !== undefined,
  }));
  return imports.filter(({ target, isType }) => !(isType && DERIVED[file]?.includes(target)));
}

describe('floors', () => {
  test('each file imports from its own floor or below', () => {
    expect(FILES.filter((file) => !(place(file) in MAY))).toEqual([]);
    const isBelow = (file: string, target: string) =>
      [place(file), ...(MAY[place(file)] ?? [])].includes(place(target));
    const imports = FILES.flatMap((file) => importsOf(file).map(({ target }) => ({ file, target })));
    expect(imports.filter(({ file, target }) => !isBelow(file, target))).toEqual([]);
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
      const text = read(`src/${file}`);
      expect(text, file).not.toMatch(
        /node:(?:fs|net|http|https|tls|process|child_process|os)|process\.|Date\.now|performance\.|console\./,
      );
    }
  });

  test('no package is imported dynamically: the build would drop its export names', () => {
    for (const file of FILES) {
      const text = read(`src/${file}`);
      expect(text, file).not.toMatch(/(?<!typeof )import\('(?!\.)/);
    }
  });

  test.each(['healthcheck', 'retire-previous'])(
    '%s runs within the memory limit of the proxy, so it loads none of it',
    (name) => {
      const loaded = new Set([`commands/${name}.ts`]);
      for (const file of loaded) for (const { target, isType } of importsOf(file)) if (!isType) loaded.add(target);
      const others = [...loaded].filter((file) => place(file) !== 'base').slice(1);
      const asking = ['command', 'docs-pages', 'help', 'options', 'running-proxy'].map((one) => `commands/${one}.ts`);
      expect(others.sort()).toEqual(asking);
      for (const file of loaded) expect(read(`src/${file}`), file).not.toMatch(/^import (?!type )[^;]*'node:http'/m);
    },
  );

  test('there is no import cycle, not even of types but derived ones', () => {
    const open = new Set<string>();
    const done = new Set<string>();
    const visit = (file: string, trail: readonly string[]) => {
      if (done.has(file)) return;
      expect(open.has(file), [...trail, file].join(' -> ')).toBe(false);
      open.add(file);
      for (const { target } of importsOf(file)) visit(target, [...trail, file]);
      open.delete(file);
      done.add(file);
    };
    for (const file of FILES) visit(file, []);
    // Nearly every file names a diagnosis: an import there would tie them all in one circle.
    expect(importsOf('health/diagnoses.ts')).toEqual([]);
  });
});

describe('docs/architecture.md', () => {
  const page = read('docs/architecture.md');
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

  test('its table names only files, and names in them, that exist', () => {
    const [, table = ''] = page.split('\n## Where to begin a change\n');
    const files = [...table.matchAll(/`([\w/-]+\.ts)`/g)].map(([, file = '']) => file);
    expect(files.length).toBeGreaterThan(40);
    expect(files.filter((file) => ![`src/${file}`, file].some((path) => existsSync(join(ROOT, path))))).toEqual([]);
    for (const [, name = '', file = ''] of table.matchAll(/`#?(\w+)` in `([\w/-]+\.ts)`/g))
      expect(read(`src/${file}`), `${name} in ${file}`).toMatch(new RegExp(`\\b${name}\\b`));
  });
});
