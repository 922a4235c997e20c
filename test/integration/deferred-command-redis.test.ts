// The command `deferred` beside a proxy that stores in a Redis or Valkey with a password.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { HAS_SERVERS, REDIS_OR_VALKEY, startRedis } from '../support/once/redis.ts';
import { callCommand } from '../support/proxy/command.ts';
import { eventually } from '../support/proxy/proxied.ts';
import { defer, deferred, test } from '../support/redelivery/redelivery.ts';

describe.skipIf(!HAS_SERVERS)('deferred with a Redis', () => {
  test('lists, shows, drops, has delivered', async ({ app, redeliverer, directory, onTestFinished }) => {
    const server = await startRedis(REDIS_OR_VALKEY, { password: 'MARKER' });
    onTestFinished(() => server.kill());
    const passwordFile = join(directory, 'password');
    await writeFile(passwordFile, 'MARKER\n');
    const redelivery = { store: server.url, name: 'orders', passwordFile };
    const proxy = await redeliverer({ redelivery });
    const env = { ADMIN_PORT: String(proxy.adminPort) };
    const command = (...words: string[]) => callCommand(['deferred', ...words, '--config', proxy.configFile], { env });
    app.answer = () => 500;
    for (const body of ['one', 'two']) await defer(proxy, body);
    app.answer = () => 410;
    await eventually(() => deferred(proxy), { waiting: 0, stopped: 2, unverified: 0 });
    const { stdout } = await command('list', '--json');
    const { deliveries } = JSON.parse(stdout) as { deliveries: { id: string; state: string; path: string }[] };
    expect(deliveries).toMatchObject([
      { state: 'stopped', path: '/notify' },
      { state: 'stopped', path: '/notify' },
    ]);
    const [first, second] = deliveries.map(({ id }) => id);
    expect(await command('show', first ?? '')).toEqual({ code: 0, stdout: 'one', stderr: '' });
    expect((await command('drop', first ?? '')).code).toBe(0);
    app.answer = () => 200;
    expect(await command('deliver', second ?? '')).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/1 of 1 gone/),
    });
    expect(app.bodies().at(-1)).toBe('two');
    expect(await command()).toEqual({ code: 0, stdout: 'Nothing is deferred.\n', stderr: '' });
    await writeFile(passwordFile, 'another\n');
    const refused = await command();
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(
      /^entrupy-signature-proxy deferred: the store redis:\/\/127\.0\.0\.1:\d+\S*: .*WRONGPASS/,
    );
    expect(refused.stderr).not.toMatch(/MARKER|another/);
  });
});
