// Each alerting rule is sound, and fires and stays silent as its cases say.
// promtool checks the alerting rules and runs the cases of test/rules: weeks of evaluations, which take half a
// minute of one core.
import { readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { withRunbook } from '../../dashboard/runbook.ts';
import { testDirectory } from '../support/machine/files.ts';
import { haveTools, ROOT, run } from '../support/machine/tools.ts';

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

test.skipIf(!haveTools('promtool'))('promtool checks and tests the rules', async () => {
  // The cases are written for rules without a publisher's address, which changes nothing else.
  const directory = await testDirectory();
  const files = readdirSync(join(ROOT, 'test/rules')).filter((name) => name.endsWith('.yaml'));
  const rules = read('helm/files/rules.yaml');
  await writeFile(join(directory, 'rules.yaml'), withRunbook(rules, null));
  await writeFile(join(directory, 'addressed.yaml'), withRunbook(rules, 'https://git.example/docs'));
  for (const name of files) {
    const cases = read(`test/rules/${name}`).replace(/^rule_files: .*$/m, 'rule_files: [rules.yaml]');
    await writeFile(join(directory, name), cases);
  }
  for (const name of ['rules.yaml', 'addressed.yaml']) {
    const checked = await run('promtool', ['check', 'rules', name], { cwd: directory });
    expect(checked.code, checked.stdout + checked.stderr).toBe(0);
  }
  const patience = { cwd: directory, timeout: 500_000 };
  const tested = await Promise.all(files.map((name) => run('promtool', ['test', 'rules', name], patience)));
  for (const { code, stdout, stderr } of tested) expect(code, stdout + stderr).toBe(0);
});
