// The store client is loaded only when the config asks for it.
// What a proxy loads of the client for Redis: nothing, unless `once` has a store there. V8 reports it.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { DELIVERED, deliver } from '../support/once/events.ts';
import { test } from '../support/once/once.ts';
import { PROGRAM } from '../support/proxy/program.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';

describe.concurrent('the store client', () => {
  /** The scripts that a proxy had loaded by its end, as V8 reports them. */
  async function loaded(proxy: RunningProxy, directory: string): Promise<string> {
    await proxy.stop();
    const files = await readdir(directory);
    return (await Promise.all(files.map((file) => readFile(join(directory, file), 'utf8')))).join('');
  }

  test('is loaded only when the config asks for it', async ({ deliverer, directory }) => {
    const start = (name: string, options: object) =>
      deliverer({ ...options, env: { NODE_V8_COVERAGE: join(directory, name) } });
    const proxies = await Promise.all([
      start('without', { route: {}, once: { store: 'redis://127.0.0.1:1' } }),
      start('memory', {}),
      start('redis', { once: { store: 'redis://127.0.0.1:1' } }),
    ]);
    for (const proxy of proxies) expect(await deliver(proxy, 'e')).toEqual(DELIVERED);
    const [without, memory, redis] = await Promise.all(
      ['without', 'memory', 'redis'].map((name, nth) => loaded(proxies[nth] as RunningProxy, join(directory, name))),
    );
    // The bundle has no files of those names; the client and its caller are a chunk of their own.
    const [deliveries, anyOfIt, client] = PROGRAM.endsWith('.ts')
      ? ['src/once/claims.ts', /@redis\/client|src\/once\/redis/, /@redis\/client/]
      : ['dist/app-', /dist\/redis-/, /dist\/redis-/];
    for (const scripts of [without, memory]) expect(scripts).toContain(deliveries);
    for (const scripts of [without, memory]) expect(scripts).not.toMatch(anyOfIt);
    expect(redis).toMatch(client);
  });
});
