// A redis-server or valkey-server as a child process that listens on loopback and keeps nothing on disk unless it is
// asked to. The caller ends it. It holds no output of the test run's, which would last until it ends.
import type { ChildProcessByStdio } from 'node:child_process';
import type { Readable } from 'node:stream';
import { spawnTied } from '../machine/children.ts';

export type RedisProcess = ChildProcessByStdio<null, Readable, Readable>;

/** `args`: the ports, and other options, which win. */
export function spawnRedis(program: string, { directory, args }: { directory: string; args: string[] }): RedisProcess {
  const common = ['--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'no'];
  return spawnTied(program, [...common, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Resolves when it accepts connections. Call it at once: it reads the output from the start. */
export function untilListening(child: RedisProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`the server ended before it listened:\n${text}`)));
    for (const output of [child.stdout, child.stderr]) {
      output.setEncoding('utf8').on('data', (piece: string) => {
        text += piece;
        if (text.includes('Ready to accept connections')) resolve();
      });
    }
  });
}
