// The real servers behind which bodies stay unread: each reads only the body of /notify. `mixesUp` says that the server
// parses an unread body as the next request, so a test that finds nothing cannot pass by accident.
import { type Kind, lacksFlask, lacksModules, lacksNginx, lacksPackages, PYTHON } from './lacking.ts';
import { startNginx } from './nginx.ts';
import { startServer } from './real-server.ts';

interface UnreadKind extends Kind {
  readonly mixesUp: boolean;
}

const node = (by: string) => startServer([process.execPath, 'unread.mjs', by]);
const flaskBy = (by: string) => startServer([PYTHON, 'unread_flask.py', by]);

export const UNREAD_KINDS: readonly UnreadKind[] = [
  {
    name: "Python's http.server",
    mixesUp: true,
    missing: () => lacksModules('http.server'),
    start: () => startServer([PYTHON, 'unread_http_server.py']),
  },
  { name: "Flask's own server", mixesUp: false, missing: lacksFlask, start: () => flaskBy('own') },
  { name: 'Flask under gunicorn, gthread', mixesUp: false, missing: lacksFlask, start: () => flaskBy('gthread') },
  { name: 'Flask under gunicorn, sync', mixesUp: false, missing: lacksFlask, start: () => flaskBy('sync') },
  { name: 'node:http', mixesUp: false, missing: () => null, start: () => node('node') },
  { name: 'Express 5', mixesUp: false, missing: lacksPackages, start: () => node('express') },
  { name: 'nginx', mixesUp: false, missing: lacksNginx, start: () => startNginx('exact') },
];
