// node:http costs 6 ms and 0.5 MB, and only a WebSocket needs it. On the source prom-client loads it, too; the build
// leaves that part out. `import … from 'node:http'` reads every export of that module. One of them is `WebSocket`, which
// loads the undici inside node: 35 ms of start and 15 MiB. No file may import a value from it (src/downstream/reply.ts), from
// node:util (diff and nine more, 0.5 MiB) or from node:zlib (0.6 MiB).
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { expect } from 'vitest';
import { deliver } from '../support/once/events.ts';
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

/** The scripts that a proxy had loaded by its end, as V8 reports them. */
async function scriptsIn(directory: string): Promise<string> {
  const files = await readdir(directory);
  return (await Promise.all(files.map((file) => readFile(join(directory, file), 'utf8')))).join('');
}

// In the build they are parts of other files.
const BUILT = PROGRAM.endsWith('.js');
const [CLAIMS, ANY_OF_IT, CLIENT] = BUILT
  ? ['dist/proxy.js', /dist\/redis[.-]/, /dist\/redis-/]
  : ['src/once/claims.ts', /@redis\/client|src\/once\/redis/, /@redis\/client/];

test('node:http comes with a first WebSocket, Redis’ with its store', async ({ start, directory, onTestFinished }) => {
  const upstream = await startEcho(createServer(), { url: 'http://127.0.0.1' });
  onTestFinished(upstream.close);
  /** Whether node:http was loaded, and the scripts. */
  const loadedBy = async (name: string, route: object, use: (proxy: RunningProxy) => Promise<unknown>) => {
    const routes = [
      { path: '/live', action: 'forward', upgrade: ['websocket'] },
      { path: '/events/*', ...route },
    ];
    const config = { upstream: { url: upstream.url }, routes, once: { store: 'redis://127.0.0.1:1' } };
    const [scripts, modules] = [join(directory, name), join(directory, `${name}.modules`)];
    const proxy = await start(config, { env: { NODE_V8_COVERAGE: scripts }, flags: listing(modules) });
    expect((await deliver(proxy, 'e')).status).toBe(426);
    for (const url of [`${proxy.url}/live`, `${proxy.adminUrl}/`, `${proxy.adminUrl}/metrics`])
      await (await fetch(url)).text();
    await use(proxy);
    expect((await proxy.stop()).code).toBe(0);
    const loaded = await readFile(modules, 'utf8');
    expect(loaded).not.toMatch(BUILT ? /deps\/undici|\/util\/diff$|\/zip$/m : /deps\/undici/);
    return [/^NativeModule http$/m.test(loaded), await scriptsIn(scripts)] as const;
  };
  const [http, scripts] = await loadedBy('without', {}, async () => {});
  expect(scripts).toContain(CLAIMS);
  expect(scripts).not.toMatch(ANY_OF_IT);
  const [httpWithOne, scriptsWithOnce] = await loadedBy('with', { once: '1h' }, async ({ url }) => {
    const webSocket = await openWebSocket(`${url.replace('http', 'ws')}/live`);
    expect((await echoed(webSocket, 'a')).toString()).toBe('a');
    webSocket.terminate();
  });
  expect(scriptsWithOnce).toMatch(CLIENT);
  if (BUILT) expect([http, httpWithOne]).toEqual([false, true]);
});
