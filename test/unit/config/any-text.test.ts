// Any text and any environment give a configuration or a ConfigError, quickly, and the error repeats nothing pasted
// under `secrets`.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { CONFIG_KEYS } from '../../../src/config/describe.ts';
import { ConfigError } from '../../../src/config/load.ts';
import { parseText } from '../../support/proxy/config-text.ts';

const BOUNDS = { numRuns: 400, interruptAfterTimeLimit: 1000 };

/** The problems, or null if it was accepted. Any other error fails the test. */
function outcome(text: string, env: Record<string, string> = {}): string | null {
  try {
    parseText(text, 'c.yaml', env);
    return null;
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
}

const names = [...new Set(CONFIG_KEYS.flatMap(({ path }) => path.replaceAll('[]', '').split('.')))];
const word = fc.oneof(
  fc.constantFrom(...names, '__proto__', 'constructor', 'hasOwnProperty', '<<', ''),
  fc.string({ maxLength: 8 }),
);
const leaf = fc.oneof(
  fc.constantFrom<unknown>(
    'verify',
    'forward',
    'report',
    '5s',
    '1MiB',
    '/notify',
    '/a/*',
    'http://a',
    '::',
    0,
    80,
    true,
    null,
  ),
  fc.string(),
  fc.double(),
  fc.integer(),
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

test('any environment', () => {
  const variable = fc.constantFrom(
    ...[
      'UPSTREAM_URL',
      'LISTEN_PORT',
      'ADMIN_PORT',
      'LOG_LEVEL',
      'VERIFY_PATHS',
      'FORWARD_PATHS',
      'ALLOW_SHORT_SECRET',
    ],
    ...['', '_PREVIOUS', '_FILE'].map((end) => `WEBHOOK_ENDPOINT_SECRET_KEY${end}`),
  );
  const value = fc.oneof(fc.string(), fc.constantFrom('/a', '/a,/b/*', '80', 'tcp://x:1', 'true', 'http://a'));
  fc.assert(
    fc.property(fc.dictionary(variable, value), (env) => void outcome('listen: { host: "::" }', env)),
    BOUNDS,
  );
});

test('nothing pasted under secrets is repeated', () => {
  const pasted = 'pAsTeD-9f8e7d6c';
  const holder = fc.letrec<{ at: unknown }>((tie) => ({
    at: fc.oneof(
      { depthSize: 'xsmall' },
      fc.constant(pasted),
      fc.array(tie('at'), { minLength: 1, maxLength: 2 }),
      fc.tuple(fc.oneof(word, fc.constant(pasted)), tie('at')).map(([name, inner]) => ({ [name]: inner })),
    ),
  }));
  fc.assert(
    fc.property(holder.at, (secrets) => {
      expect(outcome(stringify({ secrets })) ?? '').not.toContain(pasted);
    }),
    BOUNDS,
  );
});

test('a mapping in place of a list is reported, even with a key named length', () => {
  expect(outcome('secrets: { length: { file: /run/secrets/a } }')).toMatch(/secrets/);
});

test.each([
  ['deep lists', '['.repeat(100_000)],
  ['deep mappings', '{a: '.repeat(20_000)],
  ['deep blocks', '- '.repeat(20_000)],
  ['many keys', Array.from({ length: 40_000 }, (_, index) => `k${index}: 1`).join('\n')],
  ['many list items', `listen: { trustedProxies: [${'a,'.repeat(40_000)}] }`],
  ['many line breaks', `"${'\n'.repeat(200_000)}`],
  [
    'many anchors',
    Array.from({ length: 5000 }, (_, index) => `k${index}: &a${index} [*a${index}, *a${index}]`).join('\n'),
  ],
])('hostile text: %s', (_, text) => {
  const before = process.cpuUsage();
  expect(outcome(text)).not.toBeNull();
  expect(process.cpuUsage(before).user).toBeLessThan(5_000_000); // microseconds of CPU time
});

test('more mistakes than a function call takes arguments', () => {
  const routes = Array.from(
    { length: 150 },
    (_, index) => `  - { path: /${index}, allowHeaders: [${'":",'.repeat(999)}] }`,
  );
  expect(outcome(`routes:\n${routes.join('\n')}`)).toContain('more than 50000 entries in the whole file');
});
