// Runs the program as its users do: a child process with a configuration file and secret files, addressed through
// sockets and signals. It ends only the child that it started, and leaves no file behind.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { stringify } from 'yaml';
import type { ApiStatus } from '../../../src/health/health.ts';
import { followOutput } from '../machine/child-output.ts';
import { end, spawnTied } from '../machine/children.ts';
import { patience } from '../runner/patience.ts';
import { PROGRAM, PROGRAM_ENV } from './program.ts';

type ConfigObject = Readonly<Record<string, unknown>>;

export interface ProxyOptions {
  /**
   * The configuration, as in the YAML file. An object gets defaults for keys that it does not set: loopback addresses
   * with free ports, no shutdown delay, a short grace, long timeouts and, with `secrets` below, their directory. A string
   * is the file's text. A function gets the path of the secrets' directory.
   */
  readonly config: ConfigObject | string | ((secretDirectory: string) => ConfigObject);
  /** The whole environment apart from PATH: nothing else is inherited. */
  readonly env?: Readonly<Record<string, string>>;
  /** Node's flags, before the program's file. */
  readonly flags?: readonly string[];
  /** The program's file; `src/main.ts` unless given. */
  readonly program?: string;
  /** A program that needs no Node, in place of both. */
  readonly executable?: string;
  /** `own`: its working directory is the one with its files, so paths in the config may be relative. */
  readonly cwd?: 'own';
  /** How many files it may have open: `ulimit -n`. */
  readonly openFiles?: number;
  /** Secret files, written to `<directory>/secrets` by id. */
  readonly secrets?: Readonly<Record<string, string | Buffer>>;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export type RunningProxy = Awaited<ReturnType<typeof startProxy>>;

/** Starts it and waits until it listens. Rejects with its output if it exits first. */
export async function startProxy(options: ProxyOptions) {
  const directory = await mkdtemp(join(tmpdir(), 'entrupy-proxy-test-'));
  const configFile = await writeFiles(directory, options);
  const [command, ...before] =
    options.executable === undefined ? limitedTo(options.openFiles ?? null) : [options.executable];
  const program = options.executable === undefined ? [...(options.flags ?? []), options.program ?? PROGRAM] : [];
  const named = options.cwd === 'own' ? basename(configFile) : configFile;
  const words = [...program, 'serve', '--config', named];
  const child = spawnTied(command, [...before, ...words], {
    env: { ...PROGRAM_ENV, ...options.env },
    ...(options.cwd === 'own' && { cwd: directory }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = followOutput(child);
  const exited = new Promise<Exit>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  const stop = async () => {
    await end(child, patience());
    const exit = await exited;
    await rm(directory, { recursive: true, force: true });
    if (!endsWithLastWords(exit)) expectNothing(output.foreign());
    return exit;
  };
  const died = exited.then(({ code, signal }) => {
    throw new Error(`the proxy ended (${code ?? signal}) before it listened:\n${output.text()}`);
  });
  died.catch(() => {});
  const listening = output.waitFor((line) => line.msg === 'listening', 'listening');
  const started = await Promise.race([listening, died]).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  const [port, adminPort] = [Number(started.port), Number(started.admin_port)];
  const adminUrl = `http://127.0.0.1:${adminPort}`;
  return {
    port,
    adminPort,
    url: `http://127.0.0.1:${port}`,
    adminUrl,
    pid: child.pid ?? 0,
    /** Its temporary directory: `config.yaml`, and `secrets/`. */
    directory,
    configFile,
    /** Each line on stdout that is JSON, from the start. */
    logs: output.lines,
    /** All of stdout and stderr, as text. */
    output: output.text,
    /** The first line, past or future, that satisfies; rejects if it does not come in time. */
    waitForLog: output.waitFor,
    /** The value of each series of `/metrics`, by its text: `entrupy_proxy_connections` or `name{label="x"}`. */
    metrics: async () => {
      const answer = await fetch(`${adminUrl}/metrics`);
      const text = await answer.text();
      // Whatever answers without them is not this proxy.
      if (!text.includes('\nentrupy_proxy_build_info{'))
        throw new Error(`the metrics answered ${answer.status}: ${text}`);
      return readMetrics(text);
    },
    status: async () => (await (await fetch(`${adminUrl}/api/status`)).json()) as ApiStatus,
    /** Bytes of memory that it holds now, and the peak. Linux only. */
    memory: () => readMemory(child.pid ?? 0),
    signal: (name: NodeJS.Signals) => void child.kill(name),
    exited,
    /**
     * SIGTERM, then SIGKILL if it does not end in time; removes its files. Rejects if it printed anything but its own log lines.
     * May be called twice.
     */
    stop,
  };
}

/** True if Node itself may have told why it ended. */
const endsWithLastWords = ({ code, signal }: Exit) => (code === null ? signal !== 'SIGKILL' : code !== 0);

/** A log shipper reads what the program prints as log lines, so there must be nothing else. */
function expectNothing(foreign: readonly string[]): void {
  if (foreign.length > 0) throw new Error(`the proxy printed what is no log line of its own:\n${foreign.join('\n')}`);
}

/** Node, if need be by a shell that first lowers the limit and then becomes it. */
const limitedTo = (files: number | null): [string, ...string[]] =>
  files === null ? [process.execPath] : ['sh', '-c', `ulimit -n ${files} && exec "$0" "$@"`, process.execPath];

async function writeFiles(directory: string, { config, secrets = {} }: ProxyOptions): Promise<string> {
  const secretDirectory = join(directory, 'secrets');
  await mkdir(secretDirectory);
  for (const [id, value] of Object.entries(secrets)) await writeFile(join(secretDirectory, id), value);
  const configFile = join(directory, 'config.yaml');
  const given = typeof config === 'function' ? config(secretDirectory) : config;
  await writeFile(configFile, typeof given === 'string' ? given : stringify(withTestDefaults(given, secretDirectory)));
  return configFile;
}

function withTestDefaults(config: ConfigObject, secretDirectory: string): object {
  const section = (key: string) => config[key] as object | undefined;
  return {
    secrets: [{ directory: secretDirectory }],
    ...config,
    listen: { host: '127.0.0.1', port: 0, ...section('listen') },
    admin: { host: '127.0.0.1', port: 0, ...section('admin') },
    shutdown: { delay: '0s', grace: '2s', ...section('shutdown') },
    // A busy machine takes long for what has seconds by default.
    upstream: { connectTimeout: '1m', responseTimeout: '5m', idleTimeout: '5m', ...section('upstream') },
    // Not the default: on a machine with a proxy of its own that directory has its deliveries.
    redelivery: { store: join(secretDirectory, '../stored'), ...section('redelivery') },
  };
}

/** Reads the Prometheus text format: one sample a line, labels as written. */
function readMetrics(text: string): Map<string, number> {
  const samples = text.split('\n').flatMap((line) => {
    const match = /^([a-zA-Z_:][^ {]*(?:\{.*\})?) (\S+)$/.exec(line);
    return match === null ? [] : [[match[1] ?? '', Number(match[2])] as const];
  });
  return new Map(samples);
}

async function readMemory(pid: number): Promise<{ rss: number; peak: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const bytes = (key: string) => Number(new RegExp(`^${key}:\\s*(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
  return { rss: bytes('VmRSS'), peak: bytes('VmHWM') };
}
