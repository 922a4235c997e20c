// The admin port: metrics, probes, status and a few actions, never on the traffic port. It reads no body and shows no
// secret. Its probes must answer even if everything else fails.
import { Buffer } from 'node:buffer';
import { REASONS } from '../core/decision.ts';
import { refusedByGate } from '../core/gate.ts';
import { valuesOf } from '../core/header-lines.ts';
import { declaredLength } from '../core/request-head.ts';
import type { Exchange } from '../downstream/client-exchange.ts';
import { Listener, type ListenerLimits } from '../downstream/listener.ts';
import { isForeign, mayAct } from './guard.ts';
import { type AdminHandlers, type AdminReply, type AdminSources, adminHandlers, json } from './handlers.ts';

/** The largest body, in bytes, that is read and discarded, such as that of `curl -d ''`. */
const MAX_BODY = 1024;

/** Of every answer. The status page has its own `Content-Security-Policy`. */
const SECURITY_HEADERS = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
};

const LIMITS: ListenerLimits = {
  connections: 64,
  maxHeader: 8192,
  headersTimeout: 5000,
  keepAlive: 75_000, // longer than a scrape interval, so that a scraper keeps its connection
  connectionAge: Number.POSITIVE_INFINITY,
  whenMany: 'close', // a probe that finds no room is a failed probe, and three of them end the pod
  unreadAnswers: 8,
  tls: null,
};

export function createAdminServer(sources: AdminSources): Listener {
  const handlers = adminHandlers(sources);
  return new Listener(LIMITS, {
    onRequest(exchange) {
      answer(exchange, handlers, sources).catch((error: unknown) => {
        sources.log.error('the admin port failed to answer', { error });
        reply(exchange, json(500, { error: 'internal' }));
      });
    },
    onEnd() {},
  });
}

async function answer(exchange: Exchange, handlers: AdminHandlers, sources: AdminSources): Promise<void> {
  const { head, path, client } = exchange;
  if (refusedByGate(head) !== null) return exchange.reply.refuse(REASONS.bad_request);
  const declared = declaredLength(head);
  if (declared === null || declared > MAX_BODY) return reply(exchange, json(413, { error: 'body_too_large' }), 'close');
  // Own properties only: `/constructor` is not a page.
  const handler = Object.hasOwn(handlers, path) ? handlers[path] : undefined;
  if (handler === undefined) return reply(exchange, json(404, { error: 'not_found' }));
  const { methods, run } = handler;
  const acts = methods.includes('POST');
  if (!methods.includes(head.method)) {
    return reply(exchange, { ...json(405, { error: 'method_not_allowed' }), headers: { Allow: methods.join(', ') } });
  }
  if (acts && isForeign(head.method, exchange.lines)) return reply(exchange, json(403, { error: 'cross_site' }));
  if (acts && !mayAct(client, sources.actionsFrom())) {
    sources.log.warn('an action on the admin port was refused: its client is outside admin.actionsFrom', {
      path,
      client,
    });
    return reply(exchange, json(403, { error: 'forbidden' }));
  }
  reply(exchange, await run(exchange, valuesOf(exchange.lines, 'accept').join()));
}

function reply(exchange: Exchange, answer: AdminReply, wish: 'persist' | 'close' = 'persist'): void {
  const lines = { 'Content-Type': 'application/json', ...SECURITY_HEADERS, ...answer.headers };
  const body = Buffer.from(answer.body, 'utf8').toString('latin1');
  exchange.reply.answer({ status: answer.status, body, lines: Object.entries(lines).flat() }, wish);
}
