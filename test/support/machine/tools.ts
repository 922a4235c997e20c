// Finds the programs that tests run: in .cache/tools (filled by scripts/ci-setup.sh e2e), else on the machine.
// On CI a missing one is an error; elsewhere its tests are skipped, and the end of the run names it.
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
export const read = (path: string) => readFileSync(`${ROOT}${path}`, 'utf8');
export const TOOLS = `${ROOT}.cache/tools`;

const ENV = {
  ...process.env,
  PATH: `${TOOLS}/bin:${process.env.PATH ?? ''}:/usr/sbin`,
  PODMAN_IGNORE_CGROUPSV1_WARNING: '1',
  ...(existsSync(`${TOOLS}/containers.conf`) && { CONTAINERS_CONF: `${TOOLS}/containers.conf` }),
};

const PYTHON = '/usr/bin/python3';

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stdin?: string | Buffer;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** In place of this process's environment, and of `env`. */
  readonly wholeEnv?: Readonly<Record<string, string>>;
  /** Milliseconds; two minutes unless given. */
  readonly timeout?: number;
}

/** Runs a program to its end. Never rejects over its exit code, which is -1 if it could not run or timed out. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { stdin = '', cwd = ROOT, env = {}, wholeEnv = { ...ENV, ...env }, timeout = 120_000 } = options;
  return new Promise((resolve) => {
    const child = execFile(
      program,
      args,
      { cwd, env: wholeEnv, timeout, maxBuffer: 64 * 1024 * 1024, killSignal: 'SIGKILL' },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ code, stdout, stderr: code === -1 ? `${stderr}${error?.message ?? ''}` : stderr });
      },
    );
    child.stdin?.on('error', () => {});
    child.stdin?.end(stdin);
  });
}

/** Like `run`, but rejects with the output if the program fails. Returns standard output. */
export async function mustRun(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await run(program, args, options);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} exited ${code}:\n${stdout}${stderr}`);
  return stdout;
}

/** A program's Debian package, if it has one; scripts/ci-setup.sh e2e installs the others. */
const PACKAGES: Readonly<Record<string, string>> = {
  'redis-server': 'redis-server',
  'valkey-server': 'valkey-server',
  promtool: 'prometheus',
  nginx: 'nginx-light',
  haproxy: 'haproxy',
  apache2: 'apache2-bin',
  openssl: 'openssl',
  jq: 'jq',
  curl: 'curl',
  prometheus: 'prometheus',
  chromium: 'chromium',
  flask: 'python3-flask',
};

/** The start of the line that reports a missing program; test/support/runner/reporters.ts repeats it at the end of the run. */
export const MISSING = 'skipped for want of ';

/** True if all are available. Each is a program's name, a path, or Python's `flask`. */
export function haveTools(...names: readonly string[]): boolean {
  const missing = names.filter((name) => !isThere(name));
  if (missing.length === 0) return true;
  const remedies = missing.map((name) =>
    PACKAGES[name] === undefined ? `${name} (scripts/ci-setup.sh e2e)` : `${name} (apt-get install ${PACKAGES[name]})`,
  );
  const text = `${MISSING}${remedies.join(', ')}`;
  if (process.env.CI === 'true') throw new Error(text);
  console.warn(text);
  return false;
}

function isThere(name: string): boolean {
  if (name.includes('/')) return existsSync(name);
  // Debian's Python holds Debian's packages. The machine must also name one: scripts/bare.sh names none.
  if (name === 'flask') return isThere('python3') && spawnSync(PYTHON, ['-c', 'import flask']).status === 0;
  return spawnSync(name, ['--help'], { env: ENV, stdio: 'ignore' }).error === undefined;
}
