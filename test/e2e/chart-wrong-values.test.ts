// The chart refuses wrong values with a sentence.
// One wrong values file for each rule, in test/testdata/helm/bad. The first lines of each hold the expected error from
// Helm.
import { describe, expect, test } from 'vitest';
import { tryTemplate, valuesFiles } from '../support/chart/helm.ts';
import { haveTools, ROOT } from '../support/machine/tools.ts';

const ready = haveTools('helm');
const files = valuesFiles(`${ROOT}test/testdata/helm/bad`);

describe.skipIf(!ready)('the chart', () => {
  test('has at least twenty wrong files, each with its expected error', () => {
    expect(files.length).toBeGreaterThanOrEqual(20);
  });

  test.each(files)('refuses $name with its expected sentence', async ({ text, options }) => {
    const expected = [...text.matchAll(/^# expect: (.*)$/gm)].map(([, sentence = '']) =>
      sentence.replaceAll('\\n', '\n'),
    );
    expect(expected.length).toBeGreaterThan(0);
    const { code, stderr } = await tryTemplate(options);
    expect(code).not.toBe(0);
    for (const sentence of expected) expect(stderr).toContain(sentence);
    // An error may say what is wrong with a secret, never its value.
    expect(stderr).not.toMatch(/hunter2|0123456789abcdef0123456789abcdef/);
  });
});
