// The gate runs every test and every check of the workflow, and no test asserts on time that passes. zizmor and actionlint judge
// the workflows themselves.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { E2E } from '../../../vitest.config.ts';
import { ROOT, read } from '../../support/machine/tools.ts';

interface Workflow {
  readonly jobs: Readonly<Record<string, { readonly steps: readonly { readonly run?: string }[] }>>;
}

const gate = read('.ci/run');

test('.ci/run runs what check.yaml runs, which has no logic of its own', () => {
  const { jobs } = parse(read('.github/workflows/check.yaml')) as Workflow;
  const commands = new Set(Object.values(jobs).flatMap(({ steps }) => steps.flatMap(({ run }) => run ?? [])));
  expect(commands.size).toBeGreaterThan(5);
  // Together all tests on the project's own Node, like npm test.
  expect(gate).toMatch(/^scripts\/bare\.sh$[\s\S]*^xargs .* npm test --$/m);
  for (const command of commands) {
    expect(command).toMatch(/^(?:npm (?:run [\w:]+(?: -- --once)?|ci|test)|scripts\/[\w-]+\.sh(?: e2e)?)$/);
    if (command === 'npm run test:chart' || command === 'npm run test:e2e') continue; // project by project there
    expect(gate).toContain(command);
  }
});

test('each end-to-end file that vitest.config.ts names exists, and .ci/run runs each project', () => {
  const named = Object.values(E2E).flatMap(({ files }) => files);
  const missing = named.filter((name) => !name.includes('*') && !existsSync(join(ROOT, `test/e2e/${name}.test.ts`)));
  expect(missing).toEqual([]);
  for (const name of Object.keys(E2E)) expect(gate).toContain(` --project e2e-${name}\n`);
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
