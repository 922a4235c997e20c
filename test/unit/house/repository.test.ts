// Rules about the repository's own files: workflows have no logic, no test measures time, undici is pinned, issue forms ask
// something.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import manifest from '../../../package.json' with { type: 'json' };
import renovate from '../../../renovate.json' with { type: 'json' };
import { E2E } from '../../../vitest.config.ts';
import { ROOT, read } from '../../support/machine/tools.ts';

interface Workflow {
  readonly jobs: Readonly<Record<string, { readonly steps: readonly { readonly run?: string }[] }>>;
}

interface Step {
  readonly run?: string;
  readonly uses?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}

describe('.github/workflows/check.yaml', () => {
  const { jobs } = parse(read('.github/workflows/check.yaml')) as Workflow;
  const commands = Object.values(jobs).flatMap(({ steps }) => steps.flatMap(({ run }) => run ?? []));

  test('has jobs for types and lint, a bare machine, both Nodes, fuzzing, end to end and the chart', () => {
    expect(Object.keys(jobs)).toEqual(['check', 'bare', 'test', 'fuzz', 'e2e', 'chart']);
  });

  test.each([...new Set(commands)])('%s is one npm script or one script of this repository', (command) => {
    const [, script, file] =
      /^npm (?:run ([\w:]+)(?: -- --once)?|ci)$|^(scripts\/[\w-]+\.sh)(?: \$\{\{ matrix\.node \}\})?$/.exec(
        command,
      ) ?? ['', 'none'];
    if (file !== undefined) expect(existsSync(join(ROOT, file))).toBe(true);
    else if (script !== undefined) expect(Object.keys(manifest.scripts)).toContain(script);
  });

  test('runs what .ci/run runs, which runs the end-to-end tests project by project', () => {
    const gate = read('.ci/run');
    // Together all tests on the project's own Node, like scripts/ci-test.sh.
    expect(gate).toMatch(/^scripts\/bare\.sh$[\s\S]*^npm run test:rest$/m);
    for (const command of new Set(commands)) {
      if (command === 'npm run test:chart' || command === 'npm run test:e2e') continue; // project by project there
      expect(gate).toContain(command.replace(/ \$\{\{.*$/, ''));
    }
  });

  test('each end-to-end file that vitest.config.ts names exists, and .ci/run runs each project', () => {
    const named = Object.values(E2E).flatMap(({ files }) => files);
    const missing = named.filter((name) => !name.includes('*') && !existsSync(join(ROOT, `test/e2e/${name}.test.ts`)));
    expect(missing).toEqual([]);
    for (const name of Object.keys(E2E)) expect(read('.ci/run')).toContain(` --project e2e-${name}\n`);
  });
});

describe('every workflow', () => {
  const names = readdirSync(join(ROOT, '.github/workflows'));

  const expression = (name: string) => `\${{ ${name} }}`;

  /** What is wrong with a workflow's text. */
  function problemsOf(text: string): string[] {
    const { permissions, jobs } = parse(text) as {
      permissions?: object;
      jobs: Readonly<Record<string, { permissions?: object; steps?: readonly Step[] }>>;
    };
    const uses = [...text.matchAll(/^ *(?:- )?uses: (.*)$/gm)].map(([, action = '']) => action);
    const steps = Object.values(jobs).flatMap(({ steps: own = [] }) => own);
    return [
      ...uses.filter((action) => !/^(?:\.\/|[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$)/.test(action)),
      ...(JSON.stringify(permissions) === '{}' ? [] : ['the workflow has permissions that every job gets']),
      ...Object.keys(jobs).filter((name) => jobs[name]?.permissions === undefined),
      ...steps
        .filter((step) => step.uses?.startsWith('actions/checkout@') && step.with?.['persist-credentials'] !== false)
        .map(() => 'a checkout leaves its credentials'),
      ...steps.flatMap(({ run = '' }) => run.match(/\$\{\{.*?\}\}/g) ?? []).filter((text) => !/matrix\./.test(text)),
      ...(text.match(/secrets\.\w+/g) ?? []),
    ];
  }

  test.each(names)(
    '%s pins its actions by commit, gives rights per job, and puts no expression and no secret into a script',
    (name) => {
      const text = read(`.github/workflows/${name}`);
      expect(problemsOf(text)).toEqual([]);
      const planted: readonly (readonly [RegExp, string])[] = [
        [/@[0-9a-f]{40} # v/, '@v'],
        [/@[0-9a-f]{40} # v[\d.]+/, '@main'],
        [/^permissions: \{\}$/m, 'permissions: read-all'],
        [/^ {4}permissions:\n(?: {6}.*\n)+/m, ''],
        [/persist-credentials: false/, 'persist-credentials: true'],
        [/^( +)steps:\n/m, `$1steps:\n$1  - run: echo ${expression('github.head_ref')}\n`],
        [
          /^( +)steps:\n/m,
          `$1steps:\n$1  - run: npm publish\n$1    env: {TOKEN: "${expression('secrets.NPM_TOKEN')}"}\n`,
        ],
      ];
      for (const [pattern, replacement] of planted) {
        const broken = text.replace(pattern, replacement);
        expect(broken, String(pattern)).not.toBe(text);
        expect(problemsOf(broken), String(pattern)).not.toEqual([]);
      }
    },
  );

  test('one action has one version everywhere', () => {
    const pins = names.flatMap((name) => read(`.github/workflows/${name}`).match(/[\w/-]+@[0-9a-f]{40} # .*/g) ?? []);
    const repositories = new Set(pins.map((pin) => pin.split('@')[0]?.split('/').slice(0, 2).join('/')));
    const versions = new Set(pins.map((pin) => pin.replace(/^([\w-]+\/[\w-]+)[\w/-]*@/, '$1@')));
    expect(versions.size).toBe(repositories.size);
  });

  test('Renovate moves the pins', () => {
    expect(renovate.extends).toContain('helpers:pinGitHubActionDigests');
  });
});

test('test:chart finds the chart’s tests', () => {
  const [prefix = ''] = /test\/e2e\/\S+$/.exec(manifest.scripts['test:chart']) ?? [];
  const files = readdirSync(join(ROOT, 'test/e2e')).map((file) => `test/e2e/${file}`);
  expect(files.filter((file) => file.startsWith(prefix)).length).toBeGreaterThan(5);
});

test('no test asserts on elapsed time, nor waits a second by vi.waitFor: a busy machine would fail it', () => {
  const tests = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' }).filter((file) =>
    /^(?!servers).*\.test\.ts$/.test(file),
  );
  const bounded = tests.filter((file) =>
    /(?:now\(\) -|\b(?:took|elapsed|after)\b).*\)\.toBe(?:Less|Greater)|vi\.wait(?:For|Until)\(/.test(
      read(`test/${file}`),
    ),
  );
  expect(bounded).toEqual([]);
});

test('undici is updated separately, to an exact version', () => {
  const rules = renovate.packageRules.filter(({ matchPackageNames = [] }) => matchPackageNames.includes('undici'));
  expect(rules).toEqual([expect.objectContaining({ groupName: 'undici', rangeStrategy: 'pin' })]);
});

test('each issue form has a question, and the bug form points to SECURITY.md', () => {
  for (const name of readdirSync(join(ROOT, '.github/ISSUE_TEMPLATE')).filter((file) => file !== 'config.yml')) {
    const form = parse(read(`.github/ISSUE_TEMPLATE/${name}`)) as { name: string; body: { type: string }[] };
    expect(form.name).toMatch(/\w/);
    expect(form.body.some(({ type }) => type === 'textarea')).toBe(true);
  }
  expect(read('.github/ISSUE_TEMPLATE/bug.yml')).toContain('SECURITY.md');
});

test('package.json has keywords', () => {
  expect(manifest.keywords).toEqual(expect.arrayContaining(['webhook', 'entrupy', 'kubernetes']));
});
