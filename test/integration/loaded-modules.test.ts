// What the program loads of Node.
// node:http costs 6 ms and 0.5 MB, and only a WebSocket needs it. On the source prom-client loads it, too; the build
// leaves that part out.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { expect } from 'vitest';
import { PROGRAM } from '../support/proxy/program.ts';
import { test } from '../support/proxy/proxied.ts';
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
