// With few open files, silent clients still make room.

import { readFile } from 'node:fs/promises';
import { expect } from 'vitest';
import { deliver } from '../support/deliveries/deliver.ts';
import { openClient } from '../support/http/raw-client.ts';
import { untilMetrics } from '../support/proxy/at-rest.ts';
import { many } from '../support/proxy/limited.ts';
import { test } from '../support/proxy/proxied.ts';

const FILES = 128;

test.skipIf(process.platform !== 'linux')(
  'a process that may open fewer files than limits.connections needs takes fewer connections, and says so',
  async ({ start }) => {
    const proxy = await start({}, { openFiles: FILES });
    expect(await readFile(`/proc/${proxy.pid}/limits`, 'utf8')).toMatch(new RegExp(`Max open files +${FILES} `));
    await proxy.waitForLog(({ key, problem }) => key === 'limits.connections' && /ulimit/.test(String(problem)));
    const silent = await many(2 * FILES, () => openClient(proxy));
    await untilMetrics(proxy, ['connections'], ([open]) => open === FILES / 2);
    expect(await deliver(proxy, 'a')).toBe(200);
    expect((await fetch(`${proxy.adminUrl}/livez`)).status).toBe(200);
    for (const client of silent) client.destroy();
  },
);
