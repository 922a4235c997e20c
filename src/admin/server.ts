// The admin port (spec §9): metrics, probes, status and a few actions, never on the traffic port. It reads no body and
// shows no secret, and its probes must answer whatever else is broken.
import { Buffer } from 'node:buffer';
import { REASONS } from '../core/decision.ts';
import { refusedByGate } from '../core/gate.ts';
import { declaredLength } from '../core/head.ts';
import type { Exchange } from '../downstream/exchange.ts';
import { Listener, type ListenerLimits } from '../downstream/listener.ts';
import { isForeign } from './guard.ts';
import { type AdminHandlers, type AdminReply, type AdminSources, adminHandlers } from './handlers.ts';

export interface AdminOptions extends AdminSources {
  readonly host: string;
  readonly port: number;
}

export interface AdminServer {
  /** Gives the port. Rejects with the system's error where it is taken. */
  listen(): Promise<number>;
  close(): void;
}

/** Bytes of what `curl -d ''` and the like may send; it is thrown away. */
const LARGEST_BODY = 1024;

const LIMITS: ListenerLimits = {
  connections: 64,
  maxHeader: 8192,
  headersTimeout: 5000,
  keepAlive: 75_000, // longer than a scrape interval, so that a scraper keeps its connection
  connectionAge: Number.POSITIVE_INFINITY,
  tls: null,
};

export function createAdminServer(options: AdminOptions): AdminServer {
  const handlers = adminHandlers(options);
  const listener = new Listener(LIMITS, {
    onRequest(exchange) {
      answer(handlers, exchange).catch((error: unknown) => {
        options.log.error('the admin port failed to answer', { error });
        reply(exchange, { status: 500, body: '{"error":"internal"}' });
      });
    },
    onEnd() {},
  });
  return { listen: () => listener.listen(options.host, options.port), close: () => void listener.cutAll() };
}

async function answer(handlers: AdminHandlers, exchange: Exchange): Promise<void> {
  const { head } = exchange;
  if (refusedByGate(head) !== null) return exchange.reply.refuse(REASONS.bad_request);
  const declared = declaredLength(head);
  if (declared === null || declared > LARGEST_BODY) return reply(exchange, TOO_LARGE, 'close');
  const { path } = exchange;
  // An own property alone: `/constructor` is not a page.
  const handler = Object.hasOwn(handlers, path) ? handlers[path] : undefined;
  if (handler === undefined) return reply(exchange, { status: 404, body: '{"error":"not_found"}' });
  if (!handler.methods.includes(head.method)) {
    const headers = { Allow: handler.methods.join(', ') };
    return reply(exchange, { status: 405, body: '{"error":"method_not_allowed"}', headers });
  }
  const headers = headersOf(exchange.lines);
  if (handler.acts === true && isForeign(headers))
    return reply(exchange, { status: 403, body: '{"error":"cross_site"}' });
  reply(
    exchange,
    await handler.run({
      query: new URLSearchParams(head.target.slice(path.length)),
      accept: headers.get('accept'),
      client: exchange.client,
    }),
  );
}

const TOO_LARGE: AdminReply = { status: 413, body: '{"error":"body_too_large"}' };

/** By lower-case name; of several lines of a name the last one. */
function headersOf(lines: readonly string[]): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (let index = 0; index < lines.length; index += 2) {
    headers.set((lines[index] ?? '').toLowerCase(), lines[index + 1] ?? '');
  }
  return headers;
}

function reply(
  exchange: Exchange,
  { status, body, contentType, headers }: AdminReply,
  wish: 'persist' | 'close' = 'persist',
): void {
  const lines = {
    'Content-Type': contentType ?? 'application/json',
    'Cache-Control': 'no-store',
    'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
    ...headers,
  };
  const bytes = Buffer.from(body, 'utf8').toString('latin1');
  exchange.reply.answer({ status, body: bytes, lines: Object.entries(lines).flat() }, wish);
}
