// The real servers that the proxy is tried in front of. Each lists what it is known to do without a proxy, so that a test
// that finds nothing cannot pass by accident.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PATH } from '../support/machine/on-free-port.ts';
import { startNginx } from './nginx.ts';
import { type RealServer, startServer } from './real-server.ts';

export interface Kind {
  readonly name: string;
  /** What it lacks on this machine; null if it can run. */
  readonly missing: () => string | null;
  readonly start: () => Promise<RealServer>;
}

export const PYTHON = '/usr/bin/python3';

export const runs = (program: string, ...args: readonly string[]) =>
  spawnSync(program, args, { env: { PATH }, stdio: 'ignore', timeout: 20_000 }).status === 0;

const lacksNginx = () => (runs('nginx', '-v') ? null : 'nginx is not installed');

const lacksModules = (...modules: readonly string[]) =>
  runs(PYTHON, '-c', `import ${modules.join(', ')}`) ? null : `Python lacks one of ${modules.join(', ')}`;

const lacksPackages = () =>
  existsSync(fileURLToPath(new URL('node_modules/.installed', import.meta.url)))
    ? null
    : 'scripts/ci-setup.sh e2e has not run';

export interface ServerKind extends Kind {
  /** Spellings other than its own that it reads as `/notify` when requested directly. */
  readonly reads: readonly string[];
}

const node = (...args: [string, ...string[]]) => startServer([process.execPath, ...args]);
const python = (...args: string[]) => startServer([PYTHON, ...args]);

export const SERVER_KINDS: readonly ServerKind[] = [
  {
    name: 'nginx, exact location',
    reads: ['//notify', '/x/../notify', '/x/..%2fnotify', '/%6eotify', '/%2fnotify', '/notify#x'],
    missing: lacksNginx,
    start: () => startNginx('exact'),
  },
  {
    name: 'nginx, prefix location',
    reads: ['/notify/', '/notify;a=b', '/notify/x', '/notify.json', '/notify%20', '/notify~', '/x/%2e%2e/notify'],
    missing: lacksNginx,
    start: () => startNginx('prefix'),
  },
  {
    name: 'Flask under gunicorn',
    reads: ['//notify', '/%6eotify', '/%2fnotify', '/notify#x', 'http://any/notify'],
    missing: () => lacksModules('flask', 'gunicorn'),
    start: () => python('flask_app.py'),
  },
  {
    name: 'wsgiref',
    reads: ['//notify', '/%6eotify'],
    missing: () => lacksModules('wsgiref'),
    start: () => python('wsgi_app.py'),
  },
  ...['4', '5'].map((version) => ({
    name: `Express ${version}`,
    reads: ['/NOTIFY', '/notify/', '/nOtIfY/', '/notify#x', 'http://any/notify'],
    missing: lacksPackages,
    start: () => node('express.mjs', version),
  })),
  {
    name: 'Fastify',
    reads: ['/%6eotify', '/notify#x'],
    missing: lacksPackages,
    start: () => node('fastify.mjs'),
  },
  {
    name: 'Fastify, at its loosest',
    reads: ['//notify', '/NOTIFY', '/notify/', '/notify;a=b', '/%6eotify'],
    missing: lacksPackages,
    start: () => node('fastify.mjs', 'lax'),
  },
  {
    name: "Go's net/http",
    reads: ['/%6eotify', 'http://any/notify'],
    missing: () => (runs('go', 'version') ? null : 'Go is not installed'),
    start: startGo,
  },
  {
    name: 'a home-made node server',
    reads: ['/x/..;/notify', '/%256eotify', '/x/..%255cnotify', '/index.php/notify', '/%EF%BD%8Eotify', '/\\notify'],
    missing: () => null,
    start: () => node('naive.mjs'),
  },
];

/** Built first: `go run` leaves a child process behind when it is ended. */
async function startGo(): Promise<RealServer> {
  const directory = await mkdtemp(join(tmpdir(), 'entrupy-go-'));
  const program = join(directory, 'server');
  const source = fileURLToPath(new URL('server.go', import.meta.url));
  const environment = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '', GOTOOLCHAIN: 'local' };
  const built = spawnSync('go', ['build', '-o', program, source], { env: environment, encoding: 'utf8' });
  if (built.status !== 0) throw new Error(`go build: ${built.stderr}`);
  const server = await startServer([program]);
  const stop = async () => {
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  };
  return { ...server, stop };
}

export type LateRequest = 'HEAD' | '204' | '304';

/** The body that they write: a complete response, which an attacker would like another client to get. */
export const FORGED_ECHO = 'forged';

/** Method and target of each; the servers' answer has `X-Echo` with the request's `X-Case`. */
export const LATE_REQUESTS: Readonly<Record<LateRequest, { readonly method: string; readonly target: string }>> = {
  HEAD: { method: 'HEAD', target: '/open/late' },
  204: { method: 'GET', target: '/open/204' },
  304: { method: 'GET', target: '/open/304' },
};

/** Those that write a body to HEAD, 204 and 304 a moment after the head. */
export const LATE_KINDS: readonly Kind[] = [
  {
    name: 'Django under gunicorn',
    missing: () => lacksModules('django', 'gunicorn'),
    start: () => python('late_django.py'),
  },
  { name: 'aiohttp', missing: () => lacksModules('aiohttp'), start: () => python('late_aiohttp.py') },
];
