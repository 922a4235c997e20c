// `npm test` for the files in which an earlier run has not passed every test: the file that PASSED_TESTS names has those
// that it passed. Titles that differ from run to run are of tests that have not passed yet.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { NamedTest } from '../test/support/runner/reporters.ts';

/** The files, without repetition, of the tests that have not passed. */
export function restOf(all: readonly NamedTest[], passed: readonly NamedTest[]): string[] {
  const key = ({ file, name }: NamedTest) => JSON.stringify([file, name]);
  const count = (tests: readonly NamedTest[]) => Map.groupBy(tests, key);
  const [wanted, had] = [count(all), count(passed)];
  const rest = [...wanted].filter(([test, these]) => these.length > (had.get(test)?.length ?? 0));
  return [...new Set(rest.flatMap(([, these]) => these.map(({ file }) => file)))];
}

function main(): number {
  const passed = JSON.parse(readFileSync(process.env.PASSED_TESTS ?? '', 'utf8')) as NamedTest[];
  const vitest = ['node_modules/vitest/vitest.mjs', 'list', '--no-static-parse', '--json'];
  const listed = spawnSync(process.execPath, [...vitest, '--project', 'unit', '--project', 'fast'], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (listed.status !== 0) return 1;
  const files = restOf(JSON.parse(listed.stdout) as NamedTest[], passed).map((file) => relative('', file));
  console.log(`${passed.length} tests have passed; the rest is in ${files.length} files`);
  if (files.length === 0) return 0;
  return (
    spawnSync('npm', ['test', '--', ...files], { stdio: 'inherit', env: { ...process.env, PASSED_TESTS: '' } })
      .status ?? 1
  );
}

if (import.meta.main) process.exitCode = main();
