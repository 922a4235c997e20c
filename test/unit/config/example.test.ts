// The shipped files agree with the schema: the example, the JSON Schema, the page of docs.
import { expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import * as z from 'zod';
import { CONFIG_KEYS } from '../../../scripts/generators/config-schema.ts';
import { pathProblem } from '../../../src/core/path-patterns.ts';
import { read } from '../../support/machine/tools.ts';
import { parseText } from '../../support/proxy/config-text.ts';

const example = read('config.example.yaml');
/** As its second paragraph says: the `#` of indented lines removed. */
const uncommented = example
  .replace(/^( +)#/gm, '$1')
  .replace('url: http://127.0.0.1:3000', 'url: https://app.internal');
const load = (text: string) => parseText(text, 'config.example.yaml', {}).config;

test('the example is the defaults', () => {
  expect(load(example)).toEqual(load(''));
  expect(example).toMatch(/^# yaml-language-server: \$schema=\.\/config\.schema\.json\n/);
});

test('the example is still valid with everything uncommented', () => {
  const config = load(uncommented);
  expect(config.secrets.map(({ kind }) => kind)).toEqual(['directory', 'file', 'env']);
  expect(config.routes.map(({ path }) => path)).toEqual(['/notify', '/healthz']);
});

test('every key is in the example, and has its allowed values', () => {
  for (const { path, allowed } of CONFIG_KEYS) {
    expect(allowed, path).not.toBe('');
    const name = path.split('.').at(-1)?.replace('[]', '');
    expect(uncommented, path).toMatch(new RegExp(`^ *(?:- )?${name}:`, 'm'));
  }
});

test('every default is written out in the example', () => {
  for (const { path, fallback } of CONFIG_KEYS) {
    if (path.includes('[]') || fallback === null || typeof fallback === 'object') continue;
    const value = String(fallback).replace(/^::$/, '"::"').replace(/^$/, "''");
    expect(example).toMatch(
      new RegExp(`^ *${path.split('.').at(-1)}: ${value.replace(/[.]/g, '\\.')}(?: +#.*)?$`, 'm'),
    );
  }
});

test('config.schema.json accepts the example in an editor, and refuses what parsing refuses', () => {
  const schema = z.fromJSONSchema(JSON.parse(read('config.schema.json')));
  const takes = (text: string) => schema.safeParse(parseYaml(text)).success;
  expect([example, uncommented, '{}', 'listen:\n'].map(takes)).toEqual([true, true, true, true]);
  const badPaths = [...'/:id /[id] /a/+ /$id /.+ /a* a /a//b /a/../b /./a /a/.. /.../*'.split(' '), '/my hook'];
  const bad = [
    ...['prot: 1', 'listen: { port: "8080" }', 'limits: { maxBody: 1MB }', 'log: { level: warning }', 'unmatched:'],
    ...badPaths.map((path) => `routes: [{ path: "${path}" }]`),
  ];
  expect(bad.filter(takes)).toEqual([]);
  const plain = "/ /* /a/ /a/b/* /v1/items:batch /my%20hook /caf%C3%A9 /a$b(c)[d]+e /~a,b=c@d!e&f'";
  const good = [...plain.split(' '), '/.well-known/..a.b/v1.0'];
  expect(good.filter((path) => !takes(`routes: [{ path: "${path}" }]`))).toEqual([]);
  expect(good.filter((path) => pathProblem(path) !== null)).toEqual([]);
});
