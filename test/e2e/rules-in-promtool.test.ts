// Each alerting rule is sound, and fires and stays silent as its cases say.
// promtool checks the alerting rules and runs the cases of test/rules: weeks of evaluations, which take half a
// minute of one core.
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { withRunbook } from '../../dashboard/runbook.ts';
import { promtoolFile } from '../rules/rule-case.ts';
import { RULE_FILES } from '../rules/rule-files.ts';
import { testDirectory } from '../support/machine/files.ts';
import { haveTools, ROOT, run } from '../support/machine/tools.ts';

test.skipIf(!haveTools('promtool'))('promtool checks and tests the rules', async () => {
  // The cases are written for rules without a publisher's address, which changes nothing else.
  const directory = await testDirectory();
  const rules = readFileSync(join(ROOT, 'helm/files/rules.yaml'), 'utf8');
  await writeFile(join(directory, 'rules.yaml'), withRunbook(rules, null));
  await writeFile(join(directory, 'addressed.yaml'), withRunbook(rules, 'https://git.example/docs'));
  const files = await Promise.all(
    RULE_FILES.map(async (file, at) => {
      const name = `cases-${at}.json`;
      await writeFile(join(directory, name), promtoolFile('rules.yaml', file));
      return name;
    }),
  );
  for (const name of ['rules.yaml', 'addressed.yaml']) {
    const checked = await run('promtool', ['check', 'rules', name], { cwd: directory });
    expect(checked.code, checked.stdout + checked.stderr).toBe(0);
  }
  const patience = { cwd: directory, timeout: 500_000 };
  const tested = await Promise.all(files.map((name) => run('promtool', ['test', 'rules', name], patience)));
  for (const { code, stdout, stderr } of tested) expect(code, stdout + stderr).toBe(0);
});
