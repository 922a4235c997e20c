// Front proxies that pool their connections to the proxy, so that requests of strangers and of signers follow one another
// on one connection. Each on a free loopback port; none can report which port it got.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../support/machine/free-port.ts';
import { end } from './real-server.ts';

export interface Front {
  readonly port: number;
  stop(): Promise<void>;
}

export interface FrontKind {
  readonly name: string;
  /** The front's Debian package, if it can't run here; null if it can. */
  readonly missing: () => string | null;
  /** In front of this port. */
  readonly start: (behind: number) => Promise<Front>;
}

interface Place {
  readonly port: number;
  readonly behind: number;
  readonly directory: string;
}

/** A front's program, its arguments, and its configuration file. */
interface Recipe {
  readonly program: string;
  readonly args: (file: string) => string[];
  readonly configuration: (place: Place) => string;
}

const ATTEMPTS = 5;
const START_MS = 10_000;
const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

const HAPROXY: Recipe = {
  program: 'haproxy',
  args: (file) => ['-db', '-f', file],
  configuration: ({ port, behind }) => `
global
  maxconn 2000
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  http-reuse always
frontend clients
  bind 127.0.0.1:${port}
  default_backend proxy
backend proxy
  server one 127.0.0.1:${behind}
`,
};

const NGINX: Recipe = {
  program: 'nginx',
  args: (file) => ['-e', 'stderr', '-c', file],
  configuration: ({ port, behind, directory }) => `
daemon off; pid ${directory}/nginx.pid; worker_processes 1;
events {}
http {
  access_log off; keepalive_requests 100000; client_max_body_size 0;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${directory}/${name};`).join(' ')}
  upstream proxy { server 127.0.0.1:${behind}; keepalive 16; keepalive_requests 100000; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://proxy; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_request_buffering off; proxy_buffering off;
    }
  }
}
`,
};

const MODULES = { mpm_event: 'mpm_event', authz_core: 'authz_core', proxy: 'proxy', proxy_http: 'proxy_http' };

const APACHE: Recipe = {
  program: 'apache2',
  args: (file) => ['-D', 'FOREGROUND', '-f', file],
  configuration: ({ port, behind, directory }) => `
${Object.entries(MODULES)
  .map(([name, file]) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${file}.so`)
  .join('\n')}
ServerName localhost
Listen 127.0.0.1:${port}
PidFile ${directory}/apache.pid
DefaultRuntimeDir ${directory}
ErrorLog ${directory}/error.log
LogLevel crit
MaxKeepAliveRequests 0
KeepAliveTimeout 60
Timeout 30
${process.getuid?.() === 0 ? 'User www-data\nGroup www-data' : ''}
ProxyPreserveHost On
ProxyPass / http://127.0.0.1:${behind}/ enablereuse=on keepalive=On flushpackets=on
`,
};

const NODE: Recipe = {
  program: process.execPath,
  args: (file) => [fileURLToPath(new URL('node_front.mjs', import.meta.url)), file],
  configuration: ({ port, behind }) => JSON.stringify({ port, behind }),
};

const kind = (name: string, recipe: Recipe, lacking: string, probe = '-v'): FrontKind => ({
  name,
  missing: () => (spawnSync(recipe.program, [probe], { env: { PATH }, stdio: 'ignore' }).status === 0 ? null : lacking),
  start: (behind) => start(recipe, behind),
});

export const FRONT_KINDS: readonly FrontKind[] = [
  kind('HAProxy', HAPROXY, 'haproxy'),
  kind('nginx', NGINX, 'nginx-light'),
  kind('Apache', APACHE, 'apache2-bin'),
  kind('Node', NODE, 'nodejs'),
];

/** Started again until it gets a port that is free: it must never take one that another test may hold. */
async function start({ program, args, configuration }: Recipe, behind: number): Promise<Front> {
  const directory = await mkdtemp(join(tmpdir(), 'entrupy-front-'));
  // When root starts nginx or Apache, its workers run as another user.
  await chmod(directory, 0o755);
  const file = join(directory, 'front.conf');
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    await writeFile(file, configuration({ port, behind, directory }));
    const child = spawn(program, args(file), { stdio: ['ignore', 'ignore', 'pipe'], env: { PATH } });
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
  child.once('exit', () => {
    ended = true;
  });
  child.once('error', () => {
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
