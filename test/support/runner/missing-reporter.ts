// Prints one line after the summary: the programs that were missing for skipped tests, and how to install them.
import type { Reporter } from 'vitest/node';
import { MISSING } from '../machine/tools.ts';

export default class MissingReporter implements Reporter {
  readonly #missing = new Set<string>();

  onUserConsoleLog({ content }: { readonly content: string }): void {
    for (const line of content.split('\n')) {
      if (line.startsWith(MISSING)) for (const name of line.slice(MISSING.length).split(', ')) this.#missing.add(name);
    }
  }

  onTestRunEnd(): void {
    if (this.#missing.size > 0) console.log(`${MISSING}${[...this.#missing].join(', ')}\n`);
  }
}
