// Rules about the repository's own files: workflows have no logic, no test measures time, undici is pinned, issue forms ask
// something.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import manifest from '../../../package.json' with { type: 'json' };
import renovate from '../../../renovate.json' with { type: 'json' };

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

interface Workflow {
  readonly jobs: Readonly<Record<string, { readonly steps: readonly { readonly run?: string }[] }>>;
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

  test('runs what .ci/run runs, except test:chart, which is part of the end-to-end tests', () => {
    const gate = read('.ci/run');
    expect(gate).toContain('npm test'); // on the project's own Node, like scripts/ci-test.sh
    for (const command of new Set(commands)) {
      if (command === 'npm run test:chart') continue;
      expect(gate).toContain(command.replace(/ \$\{\{.*$/, ''));
    }
  });
});

test('test:chart finds the chart’s tests', () => {
  const [prefix = ''] = /test\/e2e\/\S+$/.exec(manifest.scripts['test:chart']) ?? [];
  const files = readdirSync(join(ROOT, 'test/e2e')).map((file) => `test/e2e/${file}`);
  expect(files.filter((file) => file.startsWith(prefix)).length).toBeGreaterThan(5);
});

test('no test asserts on elapsed time, since a busy machine would fail it', () => {
  const tests = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' }).filter((file) =>
    /^(?!servers).*\.test\.ts$/.test(file),
  );
  const bounded = tests.filter((file) =>
    /(?:now\(\) -|\b(?:took|elapsed|after)\b).*\)\.toBe(?:Less|Greater)/.test(read(`test/${file}`)),
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
