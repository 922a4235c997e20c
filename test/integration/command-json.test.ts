// --json of check-config, explain and verify: one object, whose keys docs/commands.md lists.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { read } from '../support/machine/tools.ts';
import { callCommand } from '../support/proxy/command.ts';
import { test, value } from '../support/proxy/proxied.ts';

/** Runs it with --json; the keys of the object must be the documented ones. */
async function json(args: readonly [string, ...string[]], env: Record<string, string> = {}, stdin = '') {
  const { code, stdout, stderr } = await callCommand([...args, '--json'], { env, stdin });
  const object = JSON.parse(stdout) as Record<string, unknown>;
  const [, section = ''] = read('docs/commands.md').split(`\n## ${args[0]}\n`);
  const [, keys = ''] = section.split('\n## ')[0]?.split('\nKeys of `--json`:\n') ?? [];
  // Of `explain`, a request and a diagnosis have keys of their own.
  const isOther = (meaning: string) => meaning.startsWith('instead of all these') !== (args.length === 2);
  const rows = [...keys.matchAll(/^- `(.+?)`: (.*)/gm)].filter(
    ([, , meaning = '']) => args[0] !== 'explain' || !isOther(meaning),
  );
  const documented = rows.flatMap(([, names = '']) => names.split(', ').map((name) => name.replace(/[[.].*/, '')));
  expect(Object.keys(object).sort()).toEqual([...new Set(documented)].sort());
  return { code, stderr, object };
}

const config = async (directory: string, text: string) => {
  const file = join(directory, 'config.yaml');
  await writeFile(file, text);
  return file;
};

test('check-config --json of a valid configuration gives its routes and secrets', async ({ directory }) => {
  const file = await config(directory, 'secrets: [{ id: a, env: KEY }]\nroutes: [{ path: /a, mode: report }]\n');
  const { code, stderr, object } = await json(['check-config', '--config', file], { KEY: value('a') });
  expect([code, stderr]).toEqual([0, '']);
  expect(object).toMatchObject({
    ok: true,
    file,
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    errors: [],
    warnings: [{ file, line: 2, column: 28, key: 'routes[0].mode', message: expect.any(String) }],
    routes: [{ path: '/a', action: 'verify', mode: 'report', maxBody: 1048576 }, { path: 'unmatched' }],
    secrets: [{ id: 'a', source: 'env KEY', state: 'live', problem: null, notBefore: null, notAfter: null }],
    limits: { maxBody: 1048576, headersTimeout: 10_000 },
  });
  expect(JSON.stringify(object)).not.toContain(value('a'));
});

test('explain --json says what becomes of a request, and by which rule', async ({ directory }) => {
  const file = await config(
    directory,
    'secrets: [{ id: a, file: a }]\nroutes: [{ path: /notify, mode: report, reportUntil: 2021-01-01T00:00:00Z }]\n',
  );
  const explained = async (...args: string[]) => (await json(['explain', ...args, '--config', file])).object;
  expect(await explained('POST', '/notify')).toMatchObject({
    route: '/notify',
    outcome: 'verified',
    status: null,
    marks: [],
  });
  const refused = { outcome: 'refused', status: 400, reason: 'bad_request', rule: 'no-fragment', route: null };
  expect(await explained('GET', '/x#y')).toMatchObject(refused);
  const candidates = [
    { path: 'unmatched', how: 'plain' },
    { path: '/notify', mode: 'enforce', how: 'in order' },
  ];
  expect(await explained('POST', '/x/..;/notify')).toMatchObject({ route: '/notify', candidates });
});

test('verify --json says which secret signed, or why none did', async () => {
  const env = { WEBHOOK_ENDPOINT_SECRET_KEY: value('a') };
  const { stdout } = await callCommand(['sign'], { env, stdin: 'body' });
  const right = await json(['verify', '--signature', stdout.trim()], env, 'body');
  expect(right).toMatchObject({ code: 0, object: { valid: true, reason: null, secret: 'env', hint: null } });
  const wrong = await json(['verify', '--signature', stdout.trim()], env, 'other');
  expect(wrong).toMatchObject({ code: 1, object: { valid: false, reason: 'signature_mismatch', secret: null } });
  expect(wrong.object.hint).toEqual(expect.any(String));
});
