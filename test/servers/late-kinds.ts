// The real servers that write a body to HEAD, 204 or 304 a moment after the head. `writes` names the requests for which
// they do; a test shows it without a proxy, so that one that finds nothing cannot pass by accident.
import { type Kind, lacksModules, PYTHON } from './lacking.ts';
import { type RealServer, startServer } from './real-server.ts';

export type LateRequest = 'HEAD' | '204' | '304';

interface LateKind extends Kind {
  readonly writes: readonly LateRequest[];
}

/** The body that they write: a complete response, which an attacker would like another client to get. */
export const FORGED_ECHO = 'forged';

/** Method and target of each; the servers' answer has `X-Echo` with the request's `X-Case`. */
export const LATE_REQUESTS: Readonly<Record<LateRequest, { readonly method: string; readonly target: string }>> = {
  HEAD: { method: 'HEAD', target: '/open/late' },
  204: { method: 'GET', target: '/open/204' },
  304: { method: 'GET', target: '/open/304' },
};

const ALL = ['HEAD', '204', '304'] as const;

const python = (...args: string[]) => startServer([PYTHON, ...args]);

export const LATE_KINDS: readonly LateKind[] = [
  {
    name: 'Django under gunicorn',
    writes: ALL,
    missing: () => lacksModules('django', 'gunicorn'),
    start: () => python('late_wsgi.py', 'django'),
  },
  {
    name: 'WSGI under gunicorn',
    writes: ALL,
    missing: () => lacksModules('gunicorn'),
    start: () => python('late_wsgi.py', 'gunicorn'),
  },
  {
    name: 'waitress',
    writes: ['HEAD'],
    missing: () => lacksModules('waitress'),
    start: () => python('late_wsgi.py', 'waitress'),
  },
  { name: 'aiohttp', writes: ALL, missing: () => lacksModules('aiohttp'), start: () => python('late_aiohttp.py') },
  {
    name: "Python's http.server",
    writes: ALL,
    missing: () => lacksModules('http.server'),
    start: () => python('late_http_server.py'),
  },
];

/** node:http keeps to the rule. */
export const startNodeServer = (): Promise<RealServer> => startServer([process.execPath, 'late.mjs']);
