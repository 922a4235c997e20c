// One file for each rule in test/testdata/config. Its last lines, which start with `#! `, are exactly the expected
// problems.
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { formatProblem } from '../../../src/config/problems.ts';
import { parseText, problemsOf } from '../../support/proxy/config-text.ts';

const TESTDATA = new URL('../../testdata/config/', import.meta.url);

function cases(folder: 'bad' | 'odd') {
  const base = new URL(`${folder}/`, TESTDATA);
  return readdirSync(base).map((name) => {
    const lines = readFileSync(new URL(name, base), 'utf8').split(/(?<=\n)/);
    const text = lines.filter((line) => !line.startsWith('#! ')).join('');
    const expected = lines.filter((line) => line.startsWith('#! ')).map((line) => `${name}:${line.slice(3).trimEnd()}`);
    return { name, text, expected };
  });
}

describe('refused', () => {
  test.each(cases('bad'))('$name', ({ name, text, expected }) => {
    const problems = problemsOf(() => parseText(text, name, {})).map(formatProblem);
    expect(problems).toEqual(expected);
    expect(expected.length).toBeGreaterThan(0);
  });
});

describe('accepted with a warning', () => {
  test.each(cases('odd'))('$name', ({ name, text, expected }) => {
    const { warnings } = parseText(text, name, {});
    expect(warnings.map(formatProblem)).toEqual(expected);
  });
});

test('text pasted in place of a secret is never repeated', () => {
  const holding = cases('bad').filter(({ text }) => text.includes('PASTED'));
  expect(holding.length).toBeGreaterThan(8);
  for (const { name, text } of holding) {
    const problems = problemsOf(() => parseText(text, name, {}));
    expect(JSON.stringify(problems)).not.toContain('PASTED');
  }
});

test('too many routes are refused quickly', () => {
  const routes = Array.from({ length: 1001 }, (_, index) => `  - path: /r${index}\n`).join('');
  expect(problemsOf(() => parseText(`routes:\n${routes}`, 'many.yaml', {})).map(formatProblem)).toEqual([
    'many.yaml:2:3: routes: more than 1000 entries',
  ]);
});

test('a problem without a position names only its file', () => {
  expect(formatProblem({ file: 'a.yaml', line: null, column: null, key: '', message: 'm' })).toBe('a.yaml: m');
});
