// Starts a server that cannot report which port it got, on one that no other test gets.
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { patience } from '../runner/patience.ts';
import { end, spawnTied } from './children.ts';
import { freePort } from './free-port.ts';

/** Servers lie where only root looks for programs. */
export const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

/** A server's program, its arguments, and its configuration file. */
export interface Recipe {
  readonly program: string;
  readonly args: (file: string, port: number) => string[];
  readonly configuration: (place: { readonly port: number; readonly directory: string }) => string;
  /** Besides PATH. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whether it has started; without it, whether it accepts connections. */
  readonly hasStarted?: (port: number) => Promise<boolean>;
}

export type Started = Awaited<ReturnType<typeof startOnFreePort>>;

export async function startOnFreePort(recipe: Recipe) {
  const { program, args, configuration, env, hasStarted = accepts } = recipe;
  const directory = await mkdtemp(join(tmpdir(), 'entrupy-server-'));
  // When root starts nginx or Apache, its workers run as another user.
  await chmod(directory, 0o755);
  const file = join(directory, 'server.conf');
  const port = await freePort();
  await writeFile(file, configuration({ port, directory }));
  const child = spawnTied(program, args(file, port), {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH, ...env },
    killSignal: 'SIGTERM',
  });
  let complaints = '';
  child.stderr.on('data', (text: Buffer) => {
    complaints = (complaints + text.toString()).slice(-4000);
  });
  let hasEnded = false;
  for (const event of ['exit', 'error'])
    child.once(event, () => {
      hasEnded = true;
    });
  const stop = async () => {
    await end(child, 3_000);
    await rm(directory, { recursive: true, force: true });
  };
  for (const until = performance.now() + patience(); !(await hasStarted(port)); await sleep(20)) {
    if (!hasEnded && performance.now() < until) continue;
    await stop();
    throw new Error(`${program} did not start: ${complaints}`);
  }
  return { port, stop };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
