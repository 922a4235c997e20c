// Each alerting rule is sound, fires and stays silent as its cases say, and agrees with the status pages.
// promtool checks the rules and runs the cases and the worlds of test/rules: a minute or two of one core.
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { withRunbook } from '../../dashboard/runbook.ts';
import { agreementFile } from '../rules/agreement.ts';
import { RULE_FILES } from '../rules/cases.ts';
import { promtoolFile } from '../rules/rule-case.ts';
import { scrapesOf } from '../rules/scraped-worlds.ts';
import { worlds } from '../support/health/worlds.ts';
import { testDirectory } from '../support/machine/files.ts';
import { haveTools, ROOT, run } from '../support/machine/tools.ts';

const RULES = readFileSync(join(ROOT, 'helm/files/rules.yaml'), 'utf8');
const WORLDS = 200;

async function promtool(directory: string, files: Readonly<Record<string, string>>, command: 'check' | 'test') {
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(directory, name), text)));
  const ran = Object.keys(files).map((name) =>
    run('promtool', [command, 'rules', name], { cwd: directory, timeout: 500_000 }),
  );
  for (const { code, stdout, stderr } of await Promise.all(ran)) expect(code, stdout + stderr).toBe(0);
}

describe.skipIf(!haveTools('promtool'))('promtool (needs Debian’s prometheus)', () => {
  test('checks the rules, and finds each case as it says', async () => {
    // The cases are written for rules without a publisher's address, which changes nothing else.
    const directory = await testDirectory();
    const both = {
      'rules.yaml': withRunbook(RULES, null),
      'addressed.yaml': withRunbook(RULES, 'https://git.example/docs'),
    };
    await promtool(directory, both, 'check');
    const cases = RULE_FILES.map((file, at) => [`cases-${at}.json`, promtoolFile('rules.yaml', file)] as const);
    await promtool(directory, Object.fromEntries(cases), 'test');
  });

  test(`finds that alerts and status pages agree in ${WORLDS} worlds`, async () => {
    const directory = await testDirectory();
    // The other rules look back for days, or are not about deliveries.
    const { groups } = parse(RULES) as { groups: { rules: { alert?: string; record?: string }[] }[] };
    const [first] = groups;
    const rules = first?.rules.filter(({ alert = '' }) => !/Warning|Gone/.test(alert));
    await writeFile(join(directory, 'rules.yaml'), stringify({ groups: [{ ...first, rules }] }));
    const drawn = fc
      .sample(worlds, WORLDS)
      .map((world) => ({ name: JSON.stringify(world), scrapes: scrapesOf(world) }));
    const halves = [drawn.slice(0, WORLDS / 2), drawn.slice(WORLDS / 2)];
    const files = halves.map((half, at) => [`worlds-${at}.json`, agreementFile('rules.yaml', half)] as const);
    await promtool(directory, Object.fromEntries(files), 'test');
  });
});
