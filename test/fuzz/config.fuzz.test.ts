// The configuration by its text and its environment. An accepted one can run, a refused one is reported with its
// position, and a possible secret value is never repeated. Texts are the shipped example, edited, or trees of words that
// the configuration knows, or just characters.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import type { LoadedConfig } from '../../src/config/load.ts';
import { ConfigError } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problems.ts';
import { SCHEMAS } from '../../src/config/schema-problems.ts';
import { NAMES } from '../../src/config/variables.ts';
import { pathProblem } from '../../src/core/path-patterns.ts';
import { buildPolicy } from '../../src/runtime/ruleset.ts';
import { parseText } from '../support/proxy/config-text.ts';
import { assertSome, character } from './time-box.ts';

const example = readFileSync(new URL('../../config.example.yaml', import.meta.url), 'utf8');
const lines = example.split('\n').map((line) => line.replace(/^( *)#(?=\S| {2})/, '$1'));
const PASTED = 'pAsTeD-9f8e7d6c-9f8e7d6c-9f8e7d6c';

const piece = fc.constantFrom(
  ...['\n', '  ', ' ', ':', '-', '[', ']', '{', '}', '"', "'", '#', '&a', '*a', '!!str', '|', '>', '<<: ', '%', '\t'],
  ...['null', '~', 'true', '0', '-1', '1e9', '0x10', '.inf', '2026-13-01', '5 s', '1MB', '99999h', '::', '0.0.0.0/0'],
  ...['forward', 'reject', 'report', '/*', '/', '//a', '/a;b', '/%2e', 'http://', 'unix:///', 'redis://', '\u00a0'],
  ...['\ufeff'],
  ...['secrets:', 'routes:', 'unmatched:', '__proto__:', 'constructor:', '\u{1f512}', PASTED],
);

/** Lines of the example, some repeated, with a few pieces in wrong places. */
const edited = fc
  .tuple(
    fc.array(fc.nat(lines.length - 1), { maxLength: 40 }),
    fc.array(fc.tuple(fc.nat(2000), piece, fc.nat(4)), { maxLength: 4 }),
    fc.constantFrom('ordered', 'ordered', 'whole', 'as drawn'),
  )
  .map(([chosen, edits, how]) => {
    const kept =
      how === 'whole' ? lines : (how === 'ordered' ? chosen.toSorted((a, b) => a - b) : chosen).map((at) => lines[at]);
    return edits.reduce((whole, [at, added, cut]) => {
      const place = whole.length === 0 ? 0 : at % whole.length;
      return whole.slice(0, place) + added + whole.slice(place + cut);
    }, kept.join('\n'));
  });

/** Made of the words that the configuration knows, and of others. */
const word = fc.oneof(
  fc.constantFrom(
    ...new Set([...SCHEMAS.keys()].flatMap((path) => path.replaceAll('[]', '').split('.'))),
    ...['__proto__', 'constructor', 'hasOwnProperty', '<<', ''],
  ),
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
const unit = fc.constantFrom(...' \n\t-:[]{}#&*!|>\'"%@`?,.', 'listen', 'secrets', 'a', '1', '\r', '\0', '\ufeff');
const text = fc.oneof(
  { weight: 4, arbitrary: edited },
  fc.array(fc.tuple(word, tree), { maxLength: 8 }).map((pairs) => stringify(Object.fromEntries(pairs))),
  fc.string({ unit: character, maxLength: 200 }),
  fc.string({ unit, maxLength: 60 }),
);

const names = NAMES.filter((name) => name !== 'ENTRUPY_PROXY_CONFIG');
const isSecret = (name: string) => /^WEBHOOK_ENDPOINT_SECRET_KEY(?:_PREVIOUS)?$/.test(name);
const value = fc.oneof(
  fc.constantFrom(
    ...['', '/a', '/a,/b/*', ',', '80', '0', '99999', 'tcp://x:1', 'true', 'http://a', 'http://u:p@a', 'debug'],
  ),
  fc.string({ maxLength: 20 }),
);
const env = fc
  .array(fc.tuple(fc.oneof(fc.constantFrom(...names), fc.constantFrom('VERIFY_PATH', 'PATH', '__proto__')), value), {
    maxLength: 5,
  })
  .map((pairs) => Object.fromEntries(pairs.map(([name, given]) => [name, isSecret(name) ? PASTED : given])));

function load(given: string, variables: Record<string, string>): LoadedConfig | ConfigError {
  try {
    return parseText(given, 'c.yaml', variables);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
}

function expectToRun({ config }: LoadedConfig): void {
  const policy = buildPolicy(config, []);
  for (const { path, action, methods, secrets } of config.routes) {
    expect(pathProblem(path)).toBeNull();
    expect(action === 'verify' || secrets === null).toBe(true);
    // A verify route owns its plain path whatever else is configured: no mistake opens it.
    const plain = path.replace('/*', '') || '/';
    if (action === 'verify') expect(policy.routes.routeFor(plain, 0)?.action).not.toBe('forward');
    expect(methods?.length).not.toBe(0);
  }
  for (const number of [config.limits.maxBody, config.limits.bodyTimeout, config.upstream.connections])
    expect(Number.isSafeInteger(number) && number > 0).toBe(true);
  expect(Object.isFrozen(config.routes)).toBe(true);
}

/** With a position, and with its valid parts, which can be read. */
function expectReport(given: string, { problems, salvaged }: ConfigError): void {
  expect(problems.map(formatProblem)).not.toEqual([]);
  const last = given.split(/\r\n|\r|\n/).length;
  for (const { file, line, message } of problems) {
    expect(message).not.toBe('');
    if (line === null) expect(file).toBe('environment');
    else expect(line >= 1 && line <= last).toBe(true);
  }
  for (const { kind, ...source } of salvaged?.config.secrets ?? [])
    expect(Object.hasOwn(source, kind) && Object.values(source).every((one) => one !== undefined)).toBe(true);
}

test('a configuration can run, the same every time, or is refused with a report', () => {
  let taken = 0;
  assertSome(
    fc.property(text, env, (given, variables) => {
      const loaded = load(given, variables);
      if (loaded instanceof ConfigError) return expectReport(given, loaded);
      taken++;
      expectToRun(loaded);
      expect(load(given, variables)).toEqual({ ...loaded, locate: expect.any(Function) });
    }),
    2,
    [['upstream: { url: http://127.0.0.1:1 }', {}]],
  );
  expect(taken).toBeGreaterThan(0);
});

/** Text around a value, in flow and block style: what people leave there when they paste. */
const around = fc.constantFrom(
  ...['', ' ', '"', "'", '!', '&a ', '- ', '? ', '| ', '>-\n      ', '[', '{', '#', ': ', ', '],
);

test('no value is repeated: neither from a variable nor from text pasted under secrets', () => {
  const pasted = fc
    .tuple(
      around,
      around,
      fc.constantFrom('', 'id: a, ', 'env: ', 'value: ', 'file: /a, overlap: ', 'notAfter: ', 'allowShort: '),
    )
    .map(([before, after, entry]) =>
      entry === ''
        ? `secrets:\n  - ${before}${PASTED}${after}\n`
        : `secrets:\n  - { ${entry}${before}${PASTED}${after} }\n`,
    );
  assertSome(
    fc.property(pasted, env, fc.boolean(), (given, variables, alone) => {
      const loaded = load(alone ? '' : given, variables);
      const reported = loaded instanceof ConfigError ? loaded.problems : loaded.warnings;
      for (const { key, message } of reported) expect(`${key} ${message}`).not.toContain(PASTED);
    }),
    2,
  );
});
