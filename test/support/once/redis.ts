// A real redis-server or valkey-server on a free loopback port, with nothing on disk unless it is asked to. It ends
// only the process that it started.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { createClient } from '@redis/client';
import { spawnTied } from '../machine/children.ts';
import { freePort } from '../machine/free-port.ts';
import { haveTools } from '../machine/tools.ts';
import type { Pair } from '../tls/certificates.ts';

export type RedisProgram = 'redis-server' | 'valkey-server';

const PROGRAMS = ['redis-server', 'valkey-server'] as const;
const installed: readonly RedisProgram[] = PROGRAMS.filter((program) => haveTools(program));

export const HAS_SERVERS = installed.length > 0;
/** Those that this machine has. Without any they are both, so that the skipped tests have names. */
export const SERVERS = HAS_SERVERS ? installed : PROGRAMS;
/** One of the two is enough for a test that is not about their difference; where both are, the tests use both. */
export const REDIS_OR_VALKEY: RedisProgram = SERVERS.includes('redis-server') ? 'redis-server' : 'valkey-server';
export const VALKEY_OR_REDIS: RedisProgram = SERVERS.includes('valkey-server') ? 'valkey-server' : 'redis-server';

export interface RedisOptions {
  readonly password?: string;
  readonly tls?: Pair;
  /** More of the server's options, such as `--appendonly yes`. */
  readonly settings?: readonly string[];
  /** For what it keeps on disk. */
  readonly directory?: string;
}

export type RedisServer = Awaited<ReturnType<typeof startRedis>>;

export async function startRedis(program: RedisProgram, options: RedisOptions = {}) {
  const { password, tls, settings = [], directory = tmpdir() } = options;
  const port = await freePort();
  const url = `${tls === undefined ? 'redis' : 'rediss'}://127.0.0.1:${port}`;
  const listen =
    tls === undefined
      ? ['--port', `${port}`]
      : ['--port', '0', '--tls-port', `${port}`, '--tls-cert-file', tls.certFile, '--tls-key-file', tls.keyFile];
  const args = [
    ...listen,
    ...(tls === undefined ? [] : ['--tls-auth-clients', 'no', '--tls-ca-cert-file', tls.certFile]),
    ...(password === undefined ? [] : ['--requirepass', password]),
    ...settings,
  ];
  const common = ['--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'no'];
  let child: ChildProcess | null = null;
  /** Resolves when it accepts connections. It holds no output of the test run's, which would last until it ends. */
  const start = () =>
    new Promise<void>((resolve, reject) => {
      const started = spawnTied(program, [...common, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
      child = started;
      let text = '';
      started.once('error', reject);
      started.once('exit', () => reject(new Error(`the server ended before it listened:\n${text}`)));
      for (const output of [started.stdout, started.stderr])
        output.setEncoding('utf8').on('data', (piece: string) => {
          text += piece;
          if (text.includes('Ready to accept connections')) resolve();
        });
    });
  const kill = async () => {
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
  await start();
  return {
    port,
    pid: () => child?.pid ?? 0,
    url,
    /** Sends one command on a new connection. */
    async ask(...command: readonly string[]): Promise<unknown> {
      const client = createClient({ url, RESP: 2, ...(password !== undefined && { password }) });
      await client.on('error', () => {}).connect();
      return client.sendCommand(command).finally(() => client.destroy());
    },
    /** From now on it accepts connections and never replies. */
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
    /** Kills it; what is not on disk is lost. */
    kill,
    /** Starts it again on the same port. */
    start,
  };
}
