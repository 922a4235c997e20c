// The admin port: metrics, probes, status and a few actions, never on the traffic port. It uses no body, has no login
// and shows no secret. Its probes must answer even if everything else fails.
import { Buffer } from 'node:buffer';
import { ANSWERS, ownAnswer } from '../core/answers.ts';
import { refusedByGate } from '../core/gate-rules.ts';
import { valuesOf } from '../core/header-lines.ts';
import { declaredLength } from '../core/request-head.ts';
import { inRanges } from '../downstream/client-address.ts';
import type { Exchange } from '../downstream/client-exchange.ts';
import { Listener, type ListenerLimits } from '../downstream/listener.ts';
import { type AdminHandlers, type AdminReply, type AdminSources, adminHandlers, json } from './handlers.ts';

/** Bodies of up to so many bytes are read and discarded, like the empty one of `curl -d ''`. */
const MAX_BODY = 1024;

/** Headers of every answer. The status page has its own `Content-Security-Policy`. */
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
  whenMany: 'close', // a probe that finds no room fails, and Kubernetes ends the pod after three such
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
    onRequestEnd() {},
  });
}

async function answer(exchange: Exchange, handlers: AdminHandlers, sources: AdminSources): Promise<void> {
  const { head, path, client } = exchange;
  if (sources.leadsBack(exchange.clientConnection.key)) return exchange.reply.sendOwn(ANSWERS.loop_detected);
  if (refusedByGate(head) !== null) return exchange.reply.sendOwn(ANSWERS.bad_request);
  const declared = declaredLength(head);
  if (declared === null || declared > MAX_BODY) return reply(exchange, json(413, { error: 'body_too_large' }), 'close');
  // Own properties only: `/constructor` is not a page.
  const run = Object.hasOwn(handlers, path) ? handlers[path] : undefined;
  if (run === undefined) return reply(exchange, json(404, { error: 'not_found' }));
  const acts = path.startsWith('/-/');
  // The preStop httpGet of Kubernetes can send only GET.
  const actionMethods = path === '/-/drain' ? ['GET', 'POST'] : ['POST'];
  const methods = acts ? actionMethods : ['GET', 'HEAD'];
  if (!methods.includes(head.method)) {
    return reply(exchange, { ...json(405, { error: 'method_not_allowed' }), headers: { Allow: methods.join(', ') } });
  }
  if (acts && isForeign(head.method, exchange.lines)) return reply(exchange, json(403, { error: 'cross_site' }));
  if (acts && !mayAct(path, client, sources.actionsFrom())) {
    sources.log.warn('an action on the admin port was refused: its client is outside admin.actionsFrom', {
      path,
      client,
    });
    return reply(exchange, json(403, { error: 'forbidden' }));
  }
  const answer = await run(exchange);
  if (answer !== null) reply(exchange, answer);
}

function reply(exchange: Exchange, answer: AdminReply, wish: 'persist' | 'close' = 'persist'): void {
  const lines = { 'Content-Type': 'application/json', ...SECURITY_HEADERS, ...answer.headers };
  const body = Buffer.from(answer.body, 'utf8').toString('latin1');
  const own = ownAnswer(answer.status, body, Object.entries(lines).flat());
  exchange.reply.sendOwn({ ...own, closes: wish === 'close' });
}

/**
 * True for a browser's request that another site caused, by headers that tools do not send. The port has no login, so a
 * page that makes a browser send `POST /-/reload` (CSRF), or whose name resolves here (DNS rebinding), changes nothing.
 */
export function isForeign(method: string, lines: readonly string[]): boolean {
  const sites = valuesOf(lines, 'sec-fetch-site');
  if (sites.some((site) => site !== 'same-origin' && site !== 'none')) return true;
  const [host] = valuesOf(lines, 'host');
  const sources = [...valuesOf(lines, 'origin'), ...valuesOf(lines, 'referer')];
  // A page's GET may carry no sign of it: Sec-Fetch headers go to trustworthy addresses only, a Referer can be left out.
  if (method === 'GET' && sources.length === 0 && sites.length === 0) {
    return /^Mozilla\//.test(valuesOf(lines, 'user-agent').join()) || !isOwnAddress(`http://${host}`, host);
  }
  return sources.some((source) => !isOwnAddress(source, host));
}

/** True for localhost or an IP address: an attacker's page would be same-origin if its name resolved to this address. */
function isOwnAddress(source: string, host: string | undefined): boolean {
  const url = URL.parse(source);
  if (url === null || url.host === '' || url.host !== host?.toLowerCase()) return false;
  return url.hostname === 'localhost' || url.hostname.startsWith('[') || /^\d+\.\d+\.\d+\.\d+$/.test(url.hostname);
}

/**
 * True if the client may use the action: loopback always, and everyone if no network is configured. In that case any
 * pod of a cluster can drain this one, but none can read bodies and signatures by a capture.
 */
export function mayAct(path: string, client: string, networks: readonly string[]): boolean {
  if (networks.length === 0 && path !== '/-/capture') return true;
  return inRanges(['127.0.0.0/8', '::1/128', ...networks])(client);
}
