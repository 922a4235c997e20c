// What a run prints or writes behind vitest's own report.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import type { Reporter, TestModule } from 'vitest/node';
import { MISSING } from '../machine/tools.ts';

export class Reports implements Reporter {
  readonly #missing = new Set<string>();

  onUserConsoleLog({ content }: { readonly content: string }): void {
    for (const line of content.split('\n')) {
      if (line.startsWith(MISSING)) for (const name of line.slice(MISSING.length).split(', ')) this.#missing.add(name);
    }
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    if (this.#missing.size > 0) console.log(`${MISSING}${[...this.#missing].join(', ')}\n`);
    writeSkipped(modules, process.env.SKIPPED_FILES ?? '');
  }
}

/** Writes the files in which a test was skipped to the file that SKIPPED_FILES names, if it names one: .ci/run runs them. */
function writeSkipped(modules: readonly TestModule[], path: string): void {
  if (path === '') return;
  const skipped = modules.filter((module) => [...module.children.allTests('skipped')].length > 0);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, skipped.map(({ moduleId }) => `${relative('', moduleId)}\n`).join(''));
}
