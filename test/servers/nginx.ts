// nginx in front of an application: its `location` blocks decide what reaches the protected handlers, which run in the
// test's own process.
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { listening } from '../support/machine/listening.ts';
import { startOnFreePort } from '../support/machine/on-free-port.ts';
import { createHitLog, type Handler, type HitLog, type RealServer } from './real-server.ts';

/** `exact`: `location = /notify`. `prefix`: `location /notify`, which matches every path that starts with it. */
export async function startNginx(kind: 'exact' | 'prefix'): Promise<RealServer> {
  const log = createHitLog();
  const application = await listening(applicationOf(log));
  try {
    const { port, stop } = await startOnFreePort({
      program: 'nginx',
      args: (file) => ['-c', file, '-e', 'stderr'],
      configuration: (place) => configuration({ kind, applicationPort: application.port, ...place }),
    });
    return { port, hits: () => log.settle(port), stop: () => stop().then(application.close) };
  } catch (error) {
    await application.close();
    throw error;
  }
}

function applicationOf(log: HitLog): Server {
  const header = (request: IncomingMessage, name: string) => request.headers[name]?.toString() ?? '';
  return createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString('latin1');
    const signature = header(request, 'entrupy-signature');
    log.add({ handler: request.url?.slice(1) as Handler, case: header(request, 'x-case'), signature, body });
    response.end('protected');
  });
}

interface Settings {
  readonly kind: 'exact' | 'prefix';
  readonly port: number;
  readonly applicationPort: number;
  readonly directory: string;
}

function configuration({ kind, port, applicationPort, directory }: Settings): string {
  const match = kind === 'exact' ? '= ' : '';
  const location = (path: string, handler: Handler) =>
    `location ${match}${path} { rewrite ^ /${handler} break; proxy_pass http://127.0.0.1:${applicationPort}; }`;
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `
daemon off; master_process off; pid ${directory}/nginx.pid;
events {}
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${directory}/${name};`).join(' ')}
  server {
    listen 127.0.0.1:${port};
    ${location('/notify', 'notify')}
    ${location('/webhooks/notify', 'webhooks')}
    ${location('/internal', 'internal')}
    location / { add_header X-Target $request_uri always; default_type text/plain; return 200 open; }
  }
}`;
}
