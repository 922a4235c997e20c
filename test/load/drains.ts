// Drains under pooled connections: what a rollout of sidecars does to its clients. Two proxies, each with its own app,
// take turns: one is told to drain, its app ends after `shutdown.delay`, then it gets SIGTERM, and comes back on its port.
// Prints for each kind of client how many requests were sent, lost, and how many connections ended while idle.
//   npm run load:drains -- --kinds random,own,undici --drains 14 --connections 300 --rate 40
// --delay MS: `shutdown.delay`. --busy MS: the clients do something else for so long, ten times a second. --frozen MS: the same for the proxy, which
// then stands still. --cgroup DIR: a draining proxy runs in this control group (v1, or v2), such as one with a CPU limit. Clients of the kind `go` need go, those behind `nginx` nginx.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { sign } from '../support/deliveries/signer.ts';
import type { PoolReport } from '../support/load/pooled-load.ts';
import { freePort } from '../support/machine/free-port.ts';
import { builtProgram, PROGRAM } from '../support/proxy/program.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { createAuthority } from '../support/tls/certificates.ts';
import { startUpstream, type Upstream } from '../support/upstream/upstream.ts';
import type { ClientOptions } from './pools.ts';

const SECRET = 'pooled-connections-secret-0123456789abcdef';
const BODY = '{"event":1}';
/** From the drain until new connections go elsewhere, as with the endpoints of a Service. */
const NOTICED_MS = 1000;
/** A turn from the start of the drain's successor to the drain. */
const SETTLE_MS = 2000;

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

interface PodOptions extends Pick<Settings, 'delay' | 'frozen' | 'cgroup'> {
  /** The section `listen.tls`; null: plain HTTP. */
  readonly tls: object | null;
}

/** A sidecar and its app, on a port that stays. */
class Pod {
  readonly port: number;
  readonly #options: PodOptions;
  #proxy: RunningProxy | null = null;
  #upstream: Upstream | null = null;
  #freezing: NodeJS.Timeout | undefined;

  constructor(port: number, options: PodOptions) {
    this.port = port;
    this.#options = options;
  }

  async start(): Promise<void> {
    const { tls, delay } = this.#options;
    this.#upstream = await startUpstream();
    this.#proxy = await startProxy({
      program: process.env.PROGRAM === undefined ? builtProgram() : PROGRAM,
      config: {
        listen: { host: '127.0.0.1', port: this.port, ...(tls !== null && { tls }) },
        upstream: { url: this.#upstream.url },
        routes: [{ path: '/notify' }],
        shutdown: { delay: `${delay}ms`, grace: '20s' },
      },
      secrets: { current: SECRET },
    });
  }

  /**
   * Ends as a pod does. Returns how many connections were open when the drain began. `app`: whether it ends first, as
   * beside a sidecar, or outlives the proxy, as behind a gateway.
   */
  async end(app: 'first' | 'last', onNoticed: () => void): Promise<number> {
    const proxy = this.#proxy;
    if (proxy === null) return 0;
    const open = (await proxy.metrics()).get('entrupy_proxy_connections') ?? Number.NaN;
    this.#freeze(proxy);
    const { cgroup } = this.#options;
    if (cgroup !== '') await writeFile(join(cgroup, 'cgroup.procs'), String(proxy.pid));
    await fetch(`${proxy.adminUrl}/-/drain`, { method: 'POST' });
    const drained = performance.now();
    await pause(NOTICED_MS);
    onNoticed();
    await pause(drained + this.#options.delay - performance.now());
    if (app === 'first') await this.#upstream?.close();
    clearInterval(this.#freezing);
    proxy.signal('SIGCONT');
    proxy.signal('SIGTERM');
    await proxy.exited;
    await this.stop();
    this.#proxy = null;
    return open;
  }

  #freeze(proxy: RunningProxy): void {
    const { frozen } = this.#options;
    if (frozen === 0) return;
    this.#freezing = setInterval(() => {
      proxy.signal('SIGSTOP');
      setTimeout(() => proxy.signal('SIGCONT'), frozen);
    }, 100);
  }

  async stop(): Promise<void> {
    await this.#proxy?.stop();
    await this.#upstream?.close();
  }
}

/** A client's process and its lines. */
class Client {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(command: string, words: readonly string[]) {
    this.#child = spawn(command, words, { stdio: ['pipe', 'pipe', 'inherit'] });
    if (this.#child.stdout === null) throw new Error('no stdout');
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }

  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error('the client ended');
    return value;
  }

  send(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

export interface Settings {
  /** Of clients, as in pools.ts; `go`, or `nginx` as a front. */
  readonly kind: string;
  readonly drains: number;
  readonly connections: number;
  /** Requests a second. */
  readonly rate: number;
  /** Milliseconds. */
  readonly delay: number;
  readonly busy: number;
  readonly frozen: number;
  /** A folder; '' without one. */
  readonly cgroup: string;
}

export interface Row extends Omit<PoolReport, 'ends'> {
  readonly kind: string;
  readonly sent: number;
  /** By what came in place of the answer. */
  readonly lost: Readonly<Record<string, number>>;
  /** Connections that were open when a drain began, over all drains. */
  readonly open: number;
}

export async function runDrains(settings: Settings): Promise<Row> {
  const { kind, drains, connections, rate, busy } = settings;
  const directory = await mkdtemp(join(tmpdir(), 'entrupy-drains-'));
  const tls = kind === 'tls' ? createAuthority(directory, 'ca').issue('proxy', { names: ['IP:127.0.0.1'] }) : null;
  const pods = [
    new Pod(await freePort(), { ...settings, tls }),
    new Pod(await freePort(), { ...settings, tls }),
  ] as const;
  let [live, next]: readonly Pod[] = pods;
  let client: Client | null = null;
  let front: ChildProcess | null = null;
  let open = 0;
  try {
    if (live === undefined || next === undefined) throw new Error('two pods');
    await live.start();
    let port = live.port;
    if (kind === 'nginx') {
      await next.start();
      port = await freePort();
      front = await startNginx(directory, port, pods);
    }
    const signature = sign(SECRET, BODY);
    const options: ClientOptions = { kind, port, connections, rate, busy, signature, body: BODY };
    client = startClient(options);
    await client.line();
    for (let drain = 0; drain < drains; drain++) {
      client.send('fill');
      await client.line();
      await pause(SETTLE_MS);
      if (kind !== 'nginx') await next.start();
      const to = next.port;
      // nginx is not told of a pod's end, so it may ask one whose app is gone.
      const app = kind === 'nginx' ? 'last' : 'first';
      open += await live.end(app, () => kind !== 'nginx' && client?.send(`port ${to}`));
      if (kind === 'nginx') await live.start();
      [live, next] = [next, live];
    }
    client.send('stop');
    const { ends, ...rest } = JSON.parse(await client.line()) as PoolReport;
    const { 200: answered = 0, ...lost } = ends;
    const sent = Object.values(ends).reduce((sum, count) => sum + count, 0);
    return { kind, sent: Math.max(sent, answered), lost, open, ...rest };
  } finally {
    client?.kill();
    front?.kill('SIGTERM');
    for (const pod of pods) await pod.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

function startClient(options: ClientOptions): Client {
  if (options.kind === 'go') {
    const source = fileURLToPath(new URL('pool.go', import.meta.url));
    const { port, connections, rate, signature, body } = options;
    return new Client('go', ['run', source, ...[port, connections, rate].map(String), signature, body]);
  }
  const shown = options.kind === 'nginx' ? { ...options, kind: 'agent' } : options;
  return new Client(process.execPath, [fileURLToPath(new URL('pools.ts', import.meta.url)), JSON.stringify(shown)]);
}

async function startNginx(directory: string, port: number, pods: readonly Pod[]): Promise<ChildProcess> {
  const file = join(directory, 'nginx.conf');
  const servers = pods.map((pod) => `server 127.0.0.1:${pod.port} max_fails=0;`).join(' ');
  await writeFile(
    file,
    `daemon off; worker_processes 1; pid ${directory}/pid; error_log ${directory}/error.log; events { worker_connections 4096; }
http { access_log off; client_body_temp_path ${directory}/a; proxy_temp_path ${directory}/b; fastcgi_temp_path ${directory}/c; uwsgi_temp_path ${directory}/d; scgi_temp_path ${directory}/e; keepalive_requests 1000000;
upstream proxies { ${servers} keepalive 600; }
server { listen 127.0.0.1:${port}; location / { proxy_pass http://proxies; proxy_http_version 1.1; proxy_set_header Connection ""; } } }`,
  );
  const child = spawn('nginx', ['-p', directory, '-c', file], { stdio: ['ignore', 'inherit', 'inherit'] });
  await pause(500);
  return child;
}

if (import.meta.filename === process.argv[1]) {
  const { values } = parseArgs({
    options: {
      kinds: { type: 'string', default: 'random,own,oldest,newest,tls,undici,undici-long,agent,agent-fifo' },
      drains: { type: 'string', default: '14' },
      connections: { type: 'string', default: '300' },
      rate: { type: 'string', default: '40' },
      delay: { type: 'string', default: '5000' },
      busy: { type: 'string', default: '0' },
      frozen: { type: 'string', default: '0' },
      cgroup: { type: 'string', default: '' },
    },
  });
  const { kinds, cgroup, ...numbers } = values;
  for (const kind of kinds.split(',')) {
    const row = await runDrains({
      kind,
      cgroup,
      drains: Number(numbers.drains),
      connections: Number(numbers.connections),
      rate: Number(numbers.rate),
      delay: Number(numbers.delay),
      busy: Number(numbers.busy),
      frozen: Number(numbers.frozen),
    });
    console.log(JSON.stringify(row));
  }
}
