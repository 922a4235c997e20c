// Writes the tests that passed to the file that PASSED_TESTS names, if it names one: scripts/test-rest.ts runs the others.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Reporter, TestModule } from 'vitest/node';

/** A test of `vitest list --json`: its file, and its title after those of the suites around it. */
export interface NamedTest {
  readonly file: string;
  readonly name: string;
}

export default class PassedReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const path = process.env.PASSED_TESTS ?? '';
    if (path === '') return;
    const tests = modules.flatMap((module) => [...module.children.allTests('passed')]);
    const passed = tests.map((test): NamedTest => ({ file: test.module.moduleId, name: test.fullName }));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, JSON.stringify(passed));
  }
}
