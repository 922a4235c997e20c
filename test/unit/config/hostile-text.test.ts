// Texts that were made to cost time or memory give a ConfigError, quickly. test/fuzz/config.fuzz.test.ts makes up others.
import { expect, test } from 'vitest';
import { formatProblem } from '../../../src/config/problems.ts';
import { parseText, problemsOf } from '../../support/proxy/config-text.ts';

/** The problems, or null if it was accepted. Any other error fails the test. */
function outcome(text: string): string | null {
  const problems = problemsOf(() => parseText(text, 'c.yaml', {})).map(formatProblem);
  return problems.length === 0 ? null : problems.join('\n');
}

test('a mapping in place of a list is reported, even with a key named length', () => {
  expect(outcome('secrets: { length: { file: /run/secrets/a } }')).toMatch(/secrets/);
});

const lines = (count: number, line: (index: number) => string) =>
  Array.from({ length: count }, (_, i) => line(i)).join('\n');

test.each([
  ['deep lists', '['.repeat(100_000)],
  ['deep mappings', '{a: '.repeat(20_000)],
  ['deep blocks', '- '.repeat(20_000)],
  ['many keys', lines(40_000, (index) => `k${index}: 1`)],
  ['many list items', `listen: { trustedProxies: [${'a,'.repeat(40_000)}] }`],
  ['many long paths, the last as the first', `routes:\n${lines(1000, (i) => `- path: /${i % 999}${'x'.repeat(900)}`)}`],
  ['many line breaks', `"${'\n'.repeat(200_000)}`],
  ['many anchors', lines(5000, (i) => `k${i}: &a${i} [*a${i}, *a${i}]`)],
])('hostile text: %s', (_, text) => {
  const before = process.cpuUsage();
  expect(outcome(text)).not.toBeNull();
  expect(process.cpuUsage(before).user).toBeLessThan(5_000_000); // microseconds of CPU time
});

test('more mistakes than a function call takes arguments', () => {
  const routes = lines(60, (index) => `  - { path: /${index}, allowHeaders: [${'":",'.repeat(999)}] }`);
  expect(outcome(`routes:\n${routes}`)).toContain('more than 50000 entries in the whole file');
});
