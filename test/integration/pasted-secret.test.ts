// People paste the value where `env:` takes a variable's name. Nothing may repeat it, whether or not it could be a name;
// the place and the secret's id are told.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { callCommand } from '../support/proxy/command.ts';
import { test } from '../support/proxy/proxied.ts';

/** Neither the value nor a half of it. */
function expectHidden(text: string, where: string): void {
  expect(text.toLowerCase().includes('pasted'), `${where}:\n${text}`).toBe(false);
}

const LIKE_A_NAME = 'f00dPASTED5ecretf00dPASTED5ecretf00d';

test.for([
  ['could be a name', LIKE_A_NAME],
  ['could not be a name', 'f00dPASTED+5ecret/f00dPASTED5ecret=='],
] as const)(
  'a pasted value that %s is repeated by no command, which tell its place',
  async ([, value], { directory }) => {
    const file = join(directory, 'config.yaml');
    await writeFile(file, `secrets:\n  - id: mistaken\n    env: ${value}\nroutes: [{ path: /notify }]\n`);
    const said = async (words: string, ...more: readonly string[]) => {
      const { code, stdout, stderr } = await callCommand([...words.split(' '), ...more]);
      expectHidden(stdout + stderr, words);
      return { code, text: stdout + stderr };
    };
    const place = expect.stringContaining(`${file}:3:10: secrets[0].env: `);
    expect(await said('check-config', '--config', file)).toEqual({ code: 2, text: place });
    expect(await said('check-config --no-secrets', '--config', file)).toMatchObject({ text: place });
    await said('explain POST /notify', '--config', file);
    await said('verify --signature SHA256:x', '--config', file);
    expect(await said('sign', '--secret-env', value)).toMatchObject({ code: 2 });
  },
);

test('a proxy that runs with it repeats it nowhere, and names the secret', async ({ start }) => {
  const secrets = [{ id: 'mistaken', env: LIKE_A_NAME }];
  const proxy = await start({ secrets, routes: [{ path: '/notify' }] });
  const pages = ['/', '/api/status', '/readyz', '/metrics'];
  const texts = await Promise.all(pages.map(async (page) => (await fetch(proxy.adminUrl + page)).text()));
  const reload = await (await fetch(`${proxy.adminUrl}/-/reload`, { method: 'POST' })).text();
  const answer = await (await fetch(`${proxy.url}/notify`, { method: 'POST', body: '{}' })).text();
  await proxy.waitForLog(({ reason }) => reason === 'no_live_secret');
  await proxy.stop();
  for (const text of [...texts, reload]) expect(text).toContain('mistaken');
  for (const text of [...texts, reload, answer, proxy.output()]) expectHidden(text, 'serve');
  expect(proxy.logs()).toContainEqual(expect.objectContaining({ msg: 'configuration warning', key: 'secrets[0].env' }));
});
