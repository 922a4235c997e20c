// Builds the image from the Dockerfile and runs containers with every restriction, with podman. It ends only the
// containers that it started, and leaves none behind, however the run ends.
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { onTestFinished } from 'vitest';
import { atTheEnd } from './children.ts';
import { heldBySockets } from './memory.ts';
import { mustRun, run } from './tools.ts';

/** `E2E_IMAGE` names an existing image, such as a release; then nothing is built. */
export const IMAGE = process.env.E2E_IMAGE ?? 'localhost/entrupy-signature-proxy:test';

const BASES = {
  BUILD_IMAGE: 'localhost/node:26-trixie-slim',
  RUNTIME_IMAGE: 'localhost/distroless/nodejs26-debian13:nonroot',
} as const;

/** For a build that reaches no registry: the stand-in base images, and npm's packages over the machine's network. */
export function buildOptions(): string[] {
  const bases = Object.entries(BASES).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]);
  return ['--format=docker', '--layers', '--pull=never', '--network=host', ...bases];
}

/** Builds the image on the stand-in base images; unchanged layers come from the cache. */
export async function buildImage(): Promise<{ readonly seconds: number; readonly bytes: number }> {
  const before = performance.now();
  const labels = ['--build-arg', 'VERSION=test', '--build-arg', 'REVISION=abc123'];
  if (process.env.E2E_IMAGE === undefined) {
    await mustRun('buildah', ['bud', ...buildOptions(), ...labels, '-t', IMAGE, '.'], { timeout: 300_000 });
  }
  const seconds = (performance.now() - before) / 1000;
  return { seconds, bytes: Number(await mustRun('podman', ['image', 'inspect', '--format', '{{.Size}}', IMAGE])) };
}

/** The restrictions that the docs recommend. */
export const RESTRICTIONS = [
  ...['--read-only', '--read-only-tmpfs=false', '--user=65532:65532', '--cap-drop=all'],
  ...['--security-opt=no-new-privileges', '--memory=128m', '--pids-limit=64', '--pull=never'],
];

interface ContainerOptions {
  readonly image?: string;
  /** Arguments for podman besides the restrictions: volumes, network. */
  readonly options?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  /** Ports published on free loopback ports. */
  readonly ports?: readonly number[];
}

export type RunningContainer = Awaited<ReturnType<typeof handle>>;

/** It is removed when the test is over. */
export async function startContainer(given: ContainerOptions) {
  const { image = IMAGE, options = [], env = {}, args = [], ports = [] } = given;
  const name = `entrupy-e2e-${randomUUID().slice(0, 8)}`;
  const variables = Object.entries(env).flatMap(([key, value]) => ['-e', `${key}=${value}`]);
  const published = ports.flatMap((port) => ['-p', `127.0.0.1::${port}`]);
  const all = [...RESTRICTIONS, ...options, ...variables, ...published];
  // With what shares its network: both may be removed at once.
  const remove = atTheEnd('podman', 'rm', '--force', '--depend', '--volumes', '--time', '0', name);
  onTestFinished(async () => {
    if ((await remove()) !== 0) throw new Error(`podman has not removed ${name}`);
  });
  await mustRun('podman', ['run', '-d', '--name', name, ...all, image, ...args]);
  return handle(name);
}

function handle(name: string) {
  const inspect = async (format: string) => (await mustRun('podman', ['inspect', '--format', format, name])).trim();
  return {
    name,
    /** What podman tells of it, in Go's template language. */
    inspect,
    /** `running`, `exited`, or `out of memory`. */
    state: async () => {
      const [killed, status = ''] = (await inspect('{{.State.OOMKilled}} {{.State.Status}}')).split(' ');
      return killed === 'true' ? 'out of memory' : status;
    },
    /** The host address of a published port: 127.0.0.1:N. */
    address: async (port: number) => (await mustRun('podman', ['port', name, String(port)])).trim(),
    exec: (args: readonly string[], stdin = '') => run('podman', ['exec', '-i', name, ...args], { stdin }),
    logs: async () => {
      const { stdout, stderr } = await run('podman', ['logs', name]);
      return stdout + stderr;
    },
    /** SIGTERM and, after 30 s, SIGKILL; returns the exit code. */
    async stop() {
      await mustRun('podman', ['stop', '--time', '30', name]);
      return Number(await inspect('{{.State.ExitCode}}'));
    },
    /**
     * Bytes that the kernel holds for the TCP sockets of its network namespace: received but not read, sent but not
     * acknowledged.
     */
    async socketBuffers() {
      const inside = ['--net', '--target', await inspect('{{.State.Pid}}')];
      return heldBySockets(await mustRun('nsenter', [...inside, 'ss', '-tanmH']));
    },
    memory: async () => readMemory(await inspect('{{.State.Pid}}')),
  };
}

/** Bytes as the cgroup counts them, page cache included; `anonymous` cannot be reclaimed. Both versions of cgroups. */
async function readMemory(pid: string) {
  const lines = (await readFile(`/proc/${pid}/cgroup`, 'utf8')).split('\n');
  const first = lines.find((line) => line.split(':')[1] === 'memory');
  const path = (first ?? lines.find((line) => line.startsWith('0::')) ?? '').split(':').slice(2).join(':');
  const directory = first === undefined ? `/sys/fs/cgroup${path}` : `/sys/fs/cgroup/memory${path}`;
  const [now, peak, kills, anon] =
    first === undefined
      ? ['memory.current', 'memory.peak', 'memory.events', 'anon']
      : ['memory.usage_in_bytes', 'memory.max_usage_in_bytes', 'memory.oom_control', 'rss'];
  const text = (file: string) => readFile(`${directory}/${file}`, 'utf8');
  const field = (content: string, key: string) => Number(new RegExp(`^${key} (\\d+)`, 'm').exec(content)?.[1] ?? 0);
  return {
    now: Number(await text(now)),
    peak: Number(await text(peak)),
    oomKills: field(await text(kills), 'oom_kill'),
    anonymous: field(await text('memory.stat'), anon),
  };
}

export const mib = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
