// What a run prints or writes behind vitest's own report.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Reporter, TestModule } from 'vitest/node';
import { MISSING } from '../machine/tools.ts';

/** A test of `vitest list --json`: its file, and its title after those of the suites around it. */
export interface NamedTest {
  readonly file: string;
  readonly name: string;
}

const passedIn = (modules: readonly TestModule[]) =>
  modules.flatMap((module) => [...module.children.allTests('passed')]);

export class Reports implements Reporter {
  readonly #missing = new Set<string>();

  onUserConsoleLog({ content }: { readonly content: string }): void {
    for (const line of content.split('\n')) {
      if (line.startsWith(MISSING)) for (const name of line.slice(MISSING.length).split(', ')) this.#missing.add(name);
    }
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    if (this.#missing.size > 0) console.log(`${MISSING}${[...this.#missing].join(', ')}\n`);
    writePassed(modules, process.env.PASSED_TESTS ?? '');
  }
}

/** Writes the tests that passed to the file that PASSED_TESTS names, if it names one: scripts/test-rest.ts runs the others. */
function writePassed(modules: readonly TestModule[], path: string): void {
  if (path === '') return;
  const passed = passedIn(modules).map((test): NamedTest => ({ file: test.module.moduleId, name: test.fullName }));
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, JSON.stringify(passed));
}
