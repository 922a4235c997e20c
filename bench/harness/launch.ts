// Starts one subject on the proxy's core, waits for its first response, and proves that it verifies. Everything started
// is stopped in any case; a subject that accepts a tampered body ends the run.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { CpuLimit } from './cpu-limit.ts';
import { PROXY_CORE } from './process.ts';

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Running {
  readonly pid: number;
  /** From exec to the first answered request, in milliseconds. */
  readonly startMillis: number;
  stop(): Promise<void>;
}

/** A POST as sent on the wire, head and body. */
export interface Post {
  readonly head: string;
  readonly body: Buffer;
}

const GIVE_UP_MS = 10_000;
const children = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

export interface Place {
  readonly directory: string;
  readonly port: number;
  readonly first: Post;
  /** Null: beside this program. The proxy's core unless given. */
  readonly core?: number | null;
  /** Its limit from exec on. */
  readonly limit?: CpuLimit | null;
}

/** Starts it pinned. Resolves once it has answered `first`. */
export async function launch(program: Program, place: Place): Promise<Running> {
  const { directory, port, first, core = PROXY_CORE, limit = null } = place;
  const output = join(directory, `output-${port}.log`);
  const file = openSync(output, 'w');
  const limited = limit === null ? [] : ['sh', '-c', 'echo $$ >"$0" && exec "$@"', limit.processes];
  const pinned = core === null ? [] : ['taskset', '-c', String(core)];
  const [command = '', ...args] = [...limited, ...pinned, program.command, ...program.args];
  const startedAt = performance.now();
  const child = spawn(command, args, {
    env: { PATH: process.env.PATH ?? '', ...program.env },
    stdio: ['ignore', file, file],
  });
  closeSync(file);
  children.add(child);
  const exited = once(child, 'exit');
  const running: Running = {
    pid: child.pid ?? 0,
    startMillis: 0,
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 3000);
      await exited;
      clearTimeout(timer);
      children.delete(child);
    },
  };
  while (child.exitCode === null && performance.now() - startedAt < GIVE_UP_MS) {
    const status = await post(port, first).catch(() => null);
    if (status !== null) return { ...running, startMillis: performance.now() - startedAt };
  }
  await running.stop();
  throw new Error(`${program.command} did not answer:\n${readFileSync(output, 'utf8')}`);
}

/** Sends one request on a new connection; returns the status and the head of the response. */
export function post(port: number, { head, body }: Post): Promise<{ status: number; head: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.setNoDelay(true);
    socket.setTimeout(5000, () => socket.destroy(new Error('no answer in 5 s')));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed without an answer')));
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end < 0) return;
      resolve({ status: Number(text.split(' ')[1]), head: text.slice(0, end) });
      socket.destroy();
    });
    socket.write(head);
    socket.write(body);
  });
}
