// The real servers behind which bodies stay unread: each reads only the body of /notify. `mixesUp` says that the server
// parses an unread body as the next request, so a test that finds nothing cannot pass by accident.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startNginx } from './nginx.ts';
import { type RealServer, startServer } from './real-server.ts';

export interface UnreadKind {
  readonly name: string;
  readonly mixesUp: boolean;
  /** What the server lacks on this machine; null if it can run. */
  readonly missing: () => string | null;
  readonly start: () => Promise<RealServer>;
}

const PYTHON = '/usr/bin/python3';

const runs = (program: string, ...args: string[]) =>
  spawnSync(program, args, { env: { PATH: `${process.env.PATH}:/usr/sbin` }, stdio: 'ignore', timeout: 20_000 })
    .status === 0;

const python = () => (runs(PYTHON, '--version') ? null : 'Python is not installed');
const flask = () => (runs(PYTHON, '-c', 'import flask, gunicorn') ? null : 'Flask or gunicorn is not installed');
const nginx = () => (runs('nginx', '-v') ? null : 'nginx is not installed');
const frameworks = () =>
  existsSync(fileURLToPath(new URL('node_modules/.installed', import.meta.url)))
    ? null
    : 'scripts/install-test-servers.sh has not run';

const node = (by: string) => startServer([process.execPath, 'unread.mjs', by]);
const flaskBy = (by: string) => startServer([PYTHON, 'unread_flask.py', by]);

export const UNREAD_KINDS: readonly UnreadKind[] = [
  {
    name: "Python's http.server",
    mixesUp: true,
    missing: python,
    start: () => startServer([PYTHON, 'unread_http_server.py']),
  },
  { name: "Flask's own server", mixesUp: false, missing: flask, start: () => flaskBy('own') },
  { name: 'Flask under gunicorn, gthread', mixesUp: false, missing: flask, start: () => flaskBy('gthread') },
  { name: 'Flask under gunicorn, sync', mixesUp: false, missing: flask, start: () => flaskBy('sync') },
  { name: 'node:http', mixesUp: false, missing: () => null, start: () => node('node') },
  { name: 'Express 5', mixesUp: false, missing: frameworks, start: () => node('express') },
  { name: 'nginx', mixesUp: false, missing: nginx, start: () => startNginx('exact') },
];
