// `explain`: the gate, the route and the query as the pipeline applies them, without a request. What it says is what the
// proxy does: test/fuzz/explain.fuzz.test.ts.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { run } from '../../../src/commands/explain.ts';
import { ownDirectory } from '../../support/machine/files.ts';
import { ran } from '../../support/proxy/command.ts';

const folder = ownDirectory();
beforeAll(async () => {
  const routes = [
    '{ path: /notify, query: refuse }',
    '{ path: /prefixed, allowHeaders: [x-forwarded-prefix] }',
    '{ path: /gone, action: reject }',
    '{ path: /trial, mode: report, reportUntil: 2099-01-01T00:00:00Z }',
  ];
  await writeFile(join(folder, 'c.yaml'), `secrets: [{ id: a, file: /a }]\nroutes: [${routes.join(', ')}]\n`);
});

const explain = (...argv: string[]) => ran(run, [...argv, '--config', join(folder, 'c.yaml')]);

const header = (line: string) => `--header=${line}`;
const PREFIX = header('X-Forwarded-Prefix: /shop');
const HEX = header(`Entrupy-Signature: SHA256:${'a1'.repeat(32)}`);
const HOSTS = [header('Host: a'), header('Host: b')];
const LARGE = header(`X-Large: ${'x'.repeat(20_000)}`);
const NEEDED = /^header +x-forwarded-prefix\nhint +route \/notify needs allowHeaders: \[x-forwarded-prefix\]/m;
const IS_HEX = /^hint +the signature is hex, not base64$/m;
const BY_PARSER = /^rule +parser, on every route: it stops /m;

test.each<[what: string, args: readonly string[], end: string, said?: RegExp]>([
  ['a header that the route does not allow', ['POST', '/notify', PREFIX], '400 bad_request\n', NEEDED],
  ['two hosts', ['POST', '/notify', ...HOSTS], '400 bad_request\n', /^rule +one-host, on every route: /m],
  ['a query, before the method', ['PUT', '/notify?a=b'], '400 bad_request\n', /^rule +query, on \/notify: it stops /m],
  ['a signature in another form', ['POST', '/notify', HEX], '401 malformed_signature\n', IS_HEX],
  ['the same, reported', ['POST', '/trial', HEX], 'forwarded, reported as malformed_signature\n', IS_HEX],
  ['one that may be right', ['POST', '/trial'], 'forwarded, reported unless a secret of its route signed it\n'],
  ['a method that the parser refuses', ['FOO', '/notify'], '400 bad_request\n', BY_PARSER],
  ['a large head', ['POST', '/notify', LARGE], '431 header_too_large\n', /^rule +head-size, /m],
  ['the whole server', ['OPTIONS', '*'], '400 bad_request\n', /^rule +\S+, on every route: /m],
])('%s has the answer that the proxy gives, and its values are not shown: %j', async (_, args, end, said = /./) => {
  const { code, stdout } = await explain(...args);
  expect(code).toBe(0);
  expect(stdout).toContain(`\n=> ${end}`);
  expect(stdout).toMatch(said);
  expect(stdout).not.toMatch(/\/shop|a1a1/);
});

test.each([
  ['https://hooks.example.com/notify?a=b', '/notify?a=b'],
  ['http://hooks.example.com', '/'],
  ['notify', '/notify'],
  ['', '/'],
])('a target that is no path is a usage error, which gives the path: %s', async (target, path) => {
  const { code, stderr } = await explain('POST', target);
  expect([code, stderr]).toEqual([2, expect.stringContaining(`give the path: explain POST ${path};`)]);
});

test('an invalid header is an error, and is not repeated', async () => {
  for (const bad of ['Entrupy-Signature SHA256:PASTED', ': PASTED', 'a b: PASTED', 'a: PASTED\r\nb: c']) {
    const { code, stderr } = await explain('POST', '/notify', '--header', bad);
    expect([code, stderr]).toEqual([2, expect.stringContaining("--header needs the form 'NAME: VALUE'")]);
    expect(stderr).not.toContain('PASTED');
  }
});

test('a diagnosis is explained, and a name that nearly is one gets a did you mean', async () => {
  const json = JSON.parse((await explain('deferred-waits', '--json')).stdout);
  expect(json).toMatchObject({ diagnosis: 'deferred-waits', causes: expect.arrayContaining(['app-fails']) });
  const unknown = await explain('nonsense');
  expect([unknown.code, unknown.stderr]).toEqual([
    2,
    expect.stringMatching(/; there are .*, another-secret, .*; see --help\n$/),
  ]);
  const near = await explain('another-secrt');
  expect([near.code, near.stderr]).toEqual([2, expect.stringContaining('did you mean another-secret?')]);
});
