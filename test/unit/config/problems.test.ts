// One file for each rule in test/testdata/config. Its last lines, which start with `#! `, are exactly the expected
// problems. And texts that were made to cost time or memory: test/fuzz/config.fuzz.test.ts makes up others.
import { readdirSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { expect, test } from 'vitest';
import { formatProblem } from '../../../src/config/problems.ts';
import { parseText, problemsOf } from '../../support/proxy/config-text.ts';

const problemsIn = (text: string, name = 'c.yaml') => problemsOf(() => parseText(text, name, {})).map(formatProblem);

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

test.each(cases('bad'))('refused: $name', ({ name, text, expected }) => {
  expect(problemsIn(text, name)).toEqual(expected);
  expect(expected.length).toBeGreaterThan(0);
});

test.each(cases('odd'))('accepted with a warning: $name', ({ name, text, expected }) => {
  const { warnings } = parseText(text, name, {});
  expect(warnings.map(formatProblem)).toEqual(expected);
});

test('text pasted in place of a secret is never repeated', () => {
  const holding = cases('bad').filter(({ text }) => text.includes('PASTED'));
  expect(holding.length).toBeGreaterThan(8);
  for (const { name, text } of holding) {
    const problems = problemsOf(() => parseText(text, name, {}));
    expect(JSON.stringify(problems)).not.toContain('PASTED');
  }
});

const OWN = Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address));

test.each<[string, readonly string[], readonly string[]]>([
  [
    '::',
    ['0.0.0.0', '::', 'localhost', '127.3.4.5', '::1', '::ffff:127.0.0.1', '::ffff:0.0.0.0', ...OWN],
    ['192.0.2.99', '127.example'],
  ],
  ['0.0.0.0', ['0.0.0.0', 'localhost', '127.0.0.1', '::ffff:127.0.0.1'], ['::', '::1', 'app']],
  ['127.0.0.1', ['0.0.0.0', 'localhost', '127.0.0.1', '::ffff:7f00:1'], ['::', '127.0.0.2']],
  ['0:0:0:0:0:0:0:1', ['::', '::1', 'localhost'], ['0.0.0.0', '127.0.0.1']],
  ['localhost', ['0.0.0.0', '::', 'LOCALHOST'], ['127.0.0.2']],
  ['192.0.2.99', ['192.0.2.99'], ['0.0.0.0', 'localhost']],
  ['Own.Example', ['own.example'], ['app.example']],
])('an upstream at which the proxy itself listens, on %s, is refused', (host, refused, accepted) => {
  const problems = (upstream: string, section: string, port = 81) => {
    const at = `${upstream.includes(':') ? `[${upstream}]` : upstream}${port === 80 ? '' : `:${port}`}`;
    const other = section === 'listen' ? 'admin' : 'listen';
    return problemsIn(`upstream: { url: 'http://${at}' }
${section}: { host: '${host}', port: ${port} }
${other}: { host: 127.9.9.9, port: 9999 }`);
  };
  for (const section of ['listen', 'admin']) {
    const is = `the proxy itself listens on this address (${section}.port)`;
    for (const upstream of refused) {
      expect(problems(upstream, section), upstream).toEqual([expect.stringContaining(is)]);
      expect(problems(upstream, section, 80), upstream).toEqual([expect.stringContaining(is)]);
    }
    for (const upstream of accepted) expect(problems(upstream, section), upstream).toEqual([]);
  }
});

test('too many routes are refused quickly', () => {
  const routes = Array.from({ length: 1001 }, (_, index) => `  - path: /r${index}\n`).join('');
  expect(problemsIn(`routes:\n${routes}`)).toEqual(['c.yaml:2:3: routes: more than 1000 entries']);
});

const lines = (count: number, line: (index: number) => string) =>
  Array.from({ length: count }, (_, i) => line(i)).join('\n');

test.each([
  ['deep lists', '['.repeat(50_000)],
  ['deep mappings', '{a: '.repeat(20_000)],
  ['deep blocks', '- '.repeat(20_000)],
  ['many keys', lines(20_000, (index) => `k${index}: 1`)],
  ['many list items', `listen: { trustedProxies: [${'a,'.repeat(20_000)}] }`],
  ['many long paths, the last as the first', `routes:\n${lines(1000, (i) => `- path: /${i % 999}${'x'.repeat(900)}`)}`],
  ['many line breaks', `"${'\n'.repeat(200_000)}`],
  ['many anchors', lines(5000, (i) => `k${i}: &a${i} [*a${i}, *a${i}]`)],
])('hostile text: %s', (what, text) => {
  const before = process.cpuUsage();
  const [problem] = problemsIn(text);
  expect(problem).toMatch(what.startsWith('deep') ? /^c\.yaml:1:\d+: .*nested too deeply$/ : /./);
  expect(process.cpuUsage(before).user).toBeLessThan(3_000_000); // microseconds of CPU time
});

test('more mistakes than a function call takes arguments', () => {
  const routes = lines(51, (index) => `  - { path: /${index}, allowHeaders: [${'":",'.repeat(999)}] }`);
  expect(problemsIn(`routes:\n${routes}`).join()).toContain('more than 50000 entries in the whole file');
});
