// nginx in front of an application: its `location` blocks decide what reaches the protected handlers, which run in the
// test's own process. It must never get a port that another test may hold, so it is restarted until it gets a free one.
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../support/machine/free-port.ts';
import { createHitLog, end, type Handler, type HitLog, type RealServer } from './real-server.ts';

const ATTEMPTS = 5;
const START_MS = 10_000;

/** `exact`: `location = /notify`. `prefix`: `location /notify`, which matches every path that starts with it. */
export async function startNginx(kind: 'exact' | 'prefix'): Promise<RealServer> {
  const directory = await mkdtemp(join(tmpdir(), 'entrupy-nginx-'));
  const log = createHitLog();
  const application = await startApplication(log);
  const { port: applicationPort } = application.address() as AddressInfo;
  for (let attempt = 1; ; attempt++) {
    // nginx cannot report which port it got.
    const port = await freePort();
    await writeFile(join(directory, 'nginx.conf'), configuration({ kind, port, applicationPort, directory }));
    const child = spawn('nginx', ['-c', join(directory, 'nginx.conf'), '-e', 'stderr'], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
    });
    let complaints = '';
    child.stderr.on('data', (text: Buffer) => {
      complaints += text.toString();
    });
    const stop = async () => {
      await end(child);
      application.closeAllConnections();
      await new Promise((resolve) => application.close(resolve));
      await rm(directory, { recursive: true, force: true });
    };
    const ended = new Promise<false>((resolve) => child.once('exit', () => resolve(false)));
    const failed = new Promise<false>((resolve) => child.once('error', () => resolve(false)));
    if (await Promise.race([accepts(port), ended, failed])) return { port, hits: () => log.settle(port), stop };
    if (attempt === ATTEMPTS || !complaints.includes('Address already in use')) {
      await stop();
      throw new Error(`nginx did not start: ${complaints}`);
    }
  }
}

function startApplication(log: HitLog): Promise<Server> {
  const header = (request: IncomingMessage, name: string) => request.headers[name]?.toString() ?? '';
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const body = Buffer.concat(pieces).toString('latin1');
      log.add({
        handler: request.url?.slice(1) as Handler,
        case: header(request, 'x-case'),
        signature: header(request, 'entrupy-signature'),
        body,
      });
      response.setHeader('X-Echo', header(request, 'x-case'));
      response.end(`protected ${body}`);
    });
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
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
    location / { add_header X-Target $request_uri always; add_header X-Echo $http_x_case always; default_type text/plain; return 200 open; }
  }
}`;
}

/** Resolves once a connection is accepted; false if that takes too long. */
async function accepts(port: number): Promise<boolean> {
  const until = performance.now() + START_MS;
  while (performance.now() < until) {
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
