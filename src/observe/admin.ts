// The admin port (spec §9): metrics, probes, status and a few actions, never on the traffic port. It reads no body and
// shows no secret, and its probes must answer whatever else is broken.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { listenOn } from '../http/listen.ts';
import { isForeign } from './admin-guard.ts';
import { type AdminHandlers, type AdminSources, adminHandlers, type Reply } from './admin-handlers.ts';

const { createServer } = process.getBuiltinModule('node:http');

export interface AdminOptions extends AdminSources {
  readonly host: string;
  readonly port: number;
}

export interface AdminServer {
  /** Gives the port. Rejects with the system's error where it is taken. */
  listen(): Promise<number>;
  close(): Promise<void>;
}

/** What `curl -d ''` and the like may send; it is thrown away. */
const LARGEST_BODY = 1024;

export function createAdminServer(options: AdminOptions): AdminServer {
  const handlers = adminHandlers(options);
  const server = createServer(
    {
      maxHeaderSize: 8192,
      headersTimeout: 5000,
      requestTimeout: 10_000,
      keepAliveTimeout: 75_000, // longer than a scrape interval, so that a scraper keeps its connection
      connectionsCheckingInterval: 5000,
    },
    (request, response) => {
      answer(handlers, request, response).catch((error: unknown) => {
        options.log.error('the admin port failed to answer', { error });
        if (response.headersSent) response.destroy();
        else reply(response, { status: 500, body: '{"error":"internal"}' });
      });
    },
  );
  server.maxConnections = 128;
  return { listen: () => listenOn(server, options.host, options.port), close: () => close(server) };
}

async function answer(handlers: AdminHandlers, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { path, query } = splitTarget(request.url ?? '/');
  // An own property alone: `/constructor` is not a page.
  const handler = Object.hasOwn(handlers, path) ? handlers[path] : undefined;
  if (hasLargeBody(request))
    return reply(response, { status: 413, body: '{"error":"body_too_large"}', headers: CLOSE });
  if (handler === undefined) return reply(response, { status: 404, body: '{"error":"not_found"}' });
  if (!handler.methods.includes(request.method ?? '')) {
    const headers = { Allow: handler.methods.join(', ') };
    return reply(response, { status: 405, body: '{"error":"method_not_allowed"}', headers });
  }
  if (handler.acts === true && isForeign(request.headers)) {
    return reply(response, { status: 403, body: '{"error":"cross_site"}' });
  }
  reply(response, await handler.run({ query, accept: request.headers.accept, client: request.socket.remoteAddress }));
}

function splitTarget(target: string): { path: string; query: URLSearchParams } {
  const at = target.indexOf('?');
  if (at === -1) return { path: target, query: new URLSearchParams() };
  return { path: target.slice(0, at), query: new URLSearchParams(target.slice(at)) };
}

const CLOSE = { Connection: 'close' };

function hasLargeBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > LARGEST_BODY;
}

function reply(response: ServerResponse, { status, body, contentType, headers }: Reply): void {
  response.writeHead(status, {
    'Content-Type': contentType ?? 'application/json',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
    ...headers,
  });
  response.end(body);
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
