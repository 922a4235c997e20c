// What the program loads of Node, and of the client for Redis.
// node:http costs 6 ms and 0.5 MB, and only a WebSocket needs it. On the source prom-client loads it, too; the build
// leaves that part out.
import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { expect } from 'vitest';
import { DELIVERED, deliver } from '../support/once/events.ts';
import { test as once } from '../support/once/once.ts';
import { PROGRAM } from '../support/proxy/program.ts';
import { test } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { echoed, openWebSocket, startEcho } from '../support/websocket/client.ts';

/** Node's flags that write the names of all loaded modules to this file at the process's exit. */
function listing(file: string): readonly string[] {
  const write = `writeFileSync(${JSON.stringify(file)}, process.moduleLoadList.join('\\n'))`;
  const module = `import { writeFileSync } from 'node:fs'; process.on('exit', () => ${write});`;
  return ['--import', `data:text/javascript,${encodeURIComponent(module)}`];
}

test.skipIf(!PROGRAM.endsWith('.js')).for([
  ['without a WebSocket never', false],
  ['with the first WebSocket', true],
] as const)('node:http is loaded %s', async ([, opens], { start, directory }) => {
  const upstream = await startEcho(createServer(), { url: 'http://127.0.0.1' });
  const file = join(directory, 'modules');
  const routes = [{ path: '/live', action: 'forward', upgrade: ['websocket'] }, { path: '/notify' }];
  const proxy = await start({ upstream: { url: upstream.url }, routes }, { flags: listing(file) });
  for (const url of [`${proxy.url}/live`, `${proxy.adminUrl}/`, `${proxy.adminUrl}/metrics`])
    await (await fetch(url)).text();
  if (opens) {
    const webSocket = await openWebSocket(`${proxy.url.replace('http', 'ws')}/live`);
    expect((await echoed(webSocket, 'a')).toString()).toBe('a');
    webSocket.terminate();
  }
  expect((await proxy.stop()).code).toBe(0);
  await upstream.close();
  expect(/^NativeModule http$/m.test(readFileSync(file, 'utf8'))).toBe(opens);
});

/** The scripts that a proxy had loaded by its end, as V8 reports them. */
async function loaded(proxy: RunningProxy, directory: string): Promise<string> {
  await proxy.stop();
  const files = await readdir(directory);
  return (await Promise.all(files.map((file) => readFile(join(directory, file), 'utf8')))).join('');
}

once('the client for Redis is loaded only where `once` has a store there', async ({ deliverer, directory }) => {
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
