// The real servers that write a body to HEAD, 204 or 304 a moment after the head. `writes` names the requests for which
// they do; a test shows it without a proxy, so that one that finds nothing cannot pass by accident.
import { spawnSync } from 'node:child_process';
import { type RealServer, startServer } from './real-server.ts';

export type LateRequest = 'HEAD' | '204' | '304';

export interface LateKind {
  readonly name: string;
  readonly writes: readonly LateRequest[];
  /** What the server lacks on this machine; null if it can run. */
  readonly missing: () => string | null;
  readonly start: () => Promise<RealServer>;
}

/** The body that they write: a complete response, which an attacker would like another client to get. */
export const FORGED_ECHO = 'forged';

/** Method and target of each; the servers' answer has `X-Echo` with the request's `X-Case`. */
export const LATE_REQUESTS: Readonly<Record<LateRequest, { readonly method: string; readonly target: string }>> = {
  HEAD: { method: 'HEAD', target: '/open/late' },
  204: { method: 'GET', target: '/open/204' },
  304: { method: 'GET', target: '/open/304' },
};

const PYTHON = '/usr/bin/python3';
const ALL = ['HEAD', '204', '304'] as const;

const needs = (...modules: string[]) => {
  const code = `import ${modules.join(', ')}`;
  const there = spawnSync(PYTHON, ['-c', code], { stdio: 'ignore', timeout: 20_000 }).status === 0;
  return there ? null : `Python lacks one of ${modules.join(', ')}`;
};
const python = (...args: string[]) => startServer([PYTHON, ...args]);

export const LATE_KINDS: readonly LateKind[] = [
  {
    name: 'Django under gunicorn',
    writes: ALL,
    missing: () => needs('django', 'gunicorn'),
    start: () => python('late_wsgi.py', 'django'),
  },
  {
    name: 'WSGI under gunicorn',
    writes: ALL,
    missing: () => needs('gunicorn'),
    start: () => python('late_wsgi.py', 'gunicorn'),
  },
  {
    name: 'waitress',
    writes: ['HEAD'],
    missing: () => needs('waitress'),
    start: () => python('late_wsgi.py', 'waitress'),
  },
  { name: 'aiohttp', writes: ALL, missing: () => needs('aiohttp'), start: () => python('late_aiohttp.py') },
  {
    name: "Python's http.server",
    writes: ALL,
    missing: () => needs('http.server'),
    start: () => python('late_http_server.py'),
  },
];

/** Takes one connection at a time, as some servers do that people start by hand. */
export const startSingleServer = (): Promise<RealServer> => python('late_http_server.py', 'single');

/** node:http keeps to the rule. */
export const startNodeServer = (): Promise<RealServer> => startServer([process.execPath, 'late.mjs']);
