// Any text gives a configuration or a ConfigError, quickly.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { formatProblem } from '../../../src/config/problems.ts';
import { CONFIG_KEYS } from '../../../src/config/schema-problems.ts';
import { parseText, problemsOf } from '../../support/proxy/config-text.ts';

const BOUNDS = { numRuns: 400, interruptAfterTimeLimit: 1000 };

/** The problems, or null if it was accepted. Any other error fails the test. */
function outcome(text: string): string | null {
  const problems = problemsOf(() => parseText(text, 'c.yaml', {})).map(formatProblem);
  return problems.length === 0 ? null : problems.join('\n');
}

const names = [...new Set(CONFIG_KEYS.flatMap(({ path }) => path.replaceAll('[]', '').split('.')))];
const word = fc.oneof(
  fc.constantFrom(...names, '__proto__', 'constructor', 'hasOwnProperty', '<<', ''),
  fc.string({ maxLength: 8 }),
);
const leaf = fc.oneof(
  fc.constantFrom<unknown>('verify', 'forward', 'report', '5s', '1MiB', '/notify', '/a/*', 'http://a', '::'),
  fc.constantFrom<unknown>(0, 80, true, null),
  ...[fc.string(), fc.double(), fc.integer()],
);
const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc.array(tie('tree'), { maxLength: 4 }),
    fc.array(fc.tuple(word, tie('tree')), { maxLength: 6 }).map((pairs) => Object.fromEntries(pairs)),
  ),
}));

test('any text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => void outcome(text)),
    BOUNDS,
  );
});

test('any text of YAML characters', () => {
  const unit = fc.constantFrom(...' \n\t-:[]{}#&*!|>\'"%@`?,.', 'listen', 'secrets', 'a', '1', '\r', '\0', '\ufeff');
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 60 }), (text) => void outcome(text)),
    BOUNDS,
  );
});

test('any tree of known and unknown keys', () => {
  const root = fc.array(fc.tuple(word, tree), { maxLength: 8 }).map((pairs) => Object.fromEntries(pairs));
  fc.assert(
    fc.property(root, (data) => void outcome(stringify(data))),
    BOUNDS,
  );
});

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
