// After a leak, the commands of docs/rotation.md end the leaked value, also where it is the only file of its directory.
import { readFile, unlink, writeFile } from 'node:fs/promises';
import { expect } from 'vitest';
import { deliver } from '../support/deliveries/deliver.ts';
import { post } from '../support/load/load.ts';
import { mustRun } from '../support/machine/tools.ts';
import { eventually, test, value } from '../support/proxy/proxied.ts';
import { secretFile } from '../support/proxy/reloads.ts';

const PAGE = new URL('../../docs/rotation.md', import.meta.url);
const commands = async () => {
  const [, section = ''] = (await readFile(PAGE, 'utf8')).split('## After a leak');
  const [, block = ''] = /```sh\n([\s\S]*?)```/.exec(section) ?? [];
  return block;
};
const LIVE = 'entrupy_proxy_secret_live{secret="current"}';

test('the new file is live and the leaked one refused, and the query names no pod any more', async ({ start }) => {
  const proxy = await start();
  expect(await deliver(proxy, 'a')).toBe(200);
  expect((await proxy.metrics()).get(LIVE)).toBe(1);
  // The other way round it would stay live: a directory without a file keeps the last value.
  const leaked = secretFile(proxy, 'current');
  await unlink(leaked);
  await proxy.waitForLog(({ msg }) => String(msg).startsWith('reload failed'), 'the failed reload');
  expect(await deliver(proxy, 'a')).toBe(200);
  expect((await proxy.metrics()).get(LIVE)).toBe(1);
  await writeFile(leaked, value('a'));
  // As written, except for openssl, which this machine may lack.
  const text = (await commands()).replace(
    'openssl rand -hex 32',
    'head -c 24 /dev/urandom | od -An -tx1 | tr -d " \\n"',
  );
  await mustRun('bash', ['-ec', text], { cwd: proxy.directory });
  await post({ url: `${proxy.adminUrl}/-/reload`, body: '' });
  await eventually(() => deliver(proxy, 'a'), 401);
  const metrics = await proxy.metrics();
  expect(metrics.get(LIVE)).toBeUndefined();
  expect(metrics.get('entrupy_proxy_secret_live{secret="next"}')).toBe(1);
});
