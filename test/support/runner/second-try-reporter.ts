// Prints after the summary why tests that passed at a second try had failed: vitest keeps that to itself.
import { stripVTControlCharacters } from 'node:util';
import type { Reporter, TestModule } from 'vitest/node';

export default class SecondTryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    for (const test of modules.flatMap((module) => [...module.children.allTests('passed')])) {
      for (const { message, stack, diff } of test.result().errors ?? []) {
        const where = stack?.split('\n').find((line) => line.includes('/test/')) ?? '';
        const said = stripVTControlCharacters([message, diff ?? [], where].flat().join('\n'));
        console.log(
          `passed at a second try: ${test.module.relativeModuleId}: ${test.fullName}\n${said.slice(0, 2000)}\n`,
        );
      }
    }
  }
}
