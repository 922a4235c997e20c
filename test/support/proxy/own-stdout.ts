// Runs the program with a standard output of the test's own, of any kind: since the log may be lost, it is watched
// through its ports alone.
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import { spawnTied } from '../machine/children.ts';
import { freePort } from '../machine/free-port.ts';
import { PROGRAM, PROGRAM_ENV } from './program.ts';
import { untilReady, value } from './proxied.ts';

export type Unwatched = Awaited<ReturnType<typeof startWith>>;

/** Its command line, with its files in `directory` and ports that are free now. */
export async function commandLine(directory: string, upstream: string) {
  const [port, adminPort] = [await freePort(), await freePort()];
  const secret = join(directory, 'secret');
  const configFile = join(directory, 'config.yaml');
  const config = {
    listen: { host: '127.0.0.1', port },
    admin: { host: '127.0.0.1', port: adminPort },
    upstream: { url: upstream },
    secrets: [{ id: 'current', file: secret }],
    shutdown: { delay: '0s', grace: '2s' },
  };
  await writeFile(secret, value('a'));
  await writeFile(configFile, stringify(config));
  const words = [process.execPath, PROGRAM, 'serve', '--config', configFile] as const;
  return { words, url: `http://127.0.0.1:${port}`, adminUrl: `http://127.0.0.1:${adminPort}` };
}

type Line = Awaited<ReturnType<typeof commandLine>>;

/** Starts it with this as stdout and stderr, until the test ends. Resolves when it is ready. */
export async function startWith({ words, url, adminUrl }: Line, output: number | Socket) {
  const [node, ...rest] = words;
  const child = spawnTied(node, rest, { env: PROGRAM_ENV, stdio: ['ignore', output, output] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  await untilReady(adminUrl);
  return {
    ...{ url, adminUrl, exited },
    signal: (name: NodeJS.Signals) => void child.kill(name),
    dropped: () => droppedAt(adminUrl),
  };
}

export async function droppedAt(adminUrl: string): Promise<number> {
  const text = await (await fetch(`${adminUrl}/metrics`)).text();
  return Number(/^entrupy_proxy_log_lines_dropped_total (\d+)$/m.exec(text)?.[1] ?? Number.NaN);
}
