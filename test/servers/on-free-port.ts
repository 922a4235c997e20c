// Starts a server that cannot report which port it got: again until it gets one that is free, since it must never take
// one that another test may hold.

import type { ChildProcess } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawnTied } from '../support/machine/children.ts';
import { freePort } from '../support/machine/free-port.ts';
import { end } from './real-server.ts';

const ATTEMPTS = 5;
const START_MS = 20_000;
/** Servers lie where only root looks for programs. */
export const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

/** A server's program, its arguments, and its configuration file. */
export interface Recipe {
  readonly program: string;
  readonly args: (file: string) => string[];
  readonly configuration: (place: { readonly port: number; readonly directory: string }) => string;
}

export interface Started {
  readonly port: number;
  stop(): Promise<void>;
}

export async function startOnFreePort({ program, args, configuration }: Recipe): Promise<Started> {
  const directory = await mkdtemp(join(tmpdir(), 'entrupy-server-'));
  // When root starts nginx or Apache, its workers run as another user.
  await chmod(directory, 0o755);
  const file = join(directory, 'server.conf');
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    await writeFile(file, configuration({ port, directory }));
    const child = spawnTied(program, args(file), {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH },
      killSignal: 'SIGTERM',
    });
    let complaints = '';
    child.stderr.on('data', (text: Buffer) => {
      complaints = (complaints + text.toString()).slice(-4000);
    });
    const stop = async () => {
      await end(child);
      await rm(directory, { recursive: true, force: true });
    };
    if (await listens(child, port)) return { port, stop };
    await end(child);
    if (attempt < ATTEMPTS && /address already in use/i.test(complaints)) continue;
    await stop();
    throw new Error(`${program} did not start: ${complaints}`);
  }
}

/** Resolves with true once a connection is accepted; false if the program ended or that takes too long. */
async function listens(child: ChildProcess, port: number): Promise<boolean> {
  let ended = false;
  for (const event of ['exit', 'error'])
    child.once(event, () => {
      ended = true;
    });
  const until = performance.now() + START_MS;
  while (!ended && performance.now() < until) {
    const accepted = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      });
      socket.on('error', () => resolve(false));
    });
    if (accepted) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}
