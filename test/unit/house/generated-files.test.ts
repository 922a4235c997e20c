// `npm run check` names every generated file that is not current, and `npm run generate` writes them.
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { generate } from '../../../scripts/generate.ts';
import { testDirectory } from '../../support/machine/files.ts';

const ROOT = new URL('../../../', import.meta.url);

test('all files that are not current are named at once, and written only on request', async () => {
  const directory = await testDirectory();
  for (const part of ['helm', 'docs/metrics.md', 'docs/configuration.md', 'config.schema.json'])
    cpSync(new URL(part, ROOT), join(directory, part), { recursive: true });
  const root = pathToFileURL(`${directory}/`);
  rmSync(new URL('config.schema.json', root));
  writeFileSync(new URL('docs/metrics.md', root), 'edited by hand');
  writeFileSync(new URL('helm/README.md', root), 'without a place for the table');
  const page = readFileSync(new URL('docs/configuration.md', ROOT), 'utf8');
  writeFileSync(new URL('docs/configuration.md', root), page.replace(/^- `listen\.port.*\n/m, ''));

  const untold = expect.stringMatching(/^docs\/configuration\.md cannot be generated: it says nothing of listen\.port/);
  const unmarked = expect.stringMatching(/^helm\/README\.md cannot be generated: it has no <!-- values/);
  expect(generate(root, null)).toEqual([
    'config.schema.json is not current: run npm run generate',
    untold,
    'docs/metrics.md is not current: run npm run generate',
    unmarked,
  ]);
  expect(readFileSync(new URL('docs/metrics.md', root), 'utf8')).toBe('edited by hand');

  expect(generate(root, writeFileSync)).toEqual([untold, unmarked]);
  for (const name of ['config.schema.json', 'docs/metrics.md'])
    expect(readFileSync(new URL(name, root), 'utf8')).toBe(readFileSync(new URL(name, ROOT), 'utf8'));
});
