// The answers of the admin port, by path. livez: the event loop runs. startz: it has started. readyz: it may get traffic.
import { onePerTurn } from '../base/deadline.ts';
import type { OwnStatus } from '../core/answers.ts';
import { valuesOf } from '../core/header-lines.ts';
import type { Exchange } from '../downstream/client-exchange.ts';
import type { adminSources } from '../runtime/proxy.ts';
import { pageHeaders, renderStatusPage } from './page/page.ts';

export interface AdminReply {
  readonly status: OwnStatus;
  readonly body: string;
  /** `Content-Type` is `application/json` by default. */
  readonly headers?: Readonly<Record<string, string>>;
}

export function json(status: OwnStatus, value: unknown): AdminReply {
  return { status, body: JSON.stringify(value) };
}

/** The data and actions behind the admin port, and the port's own log. */
export type AdminSources = ReturnType<typeof adminSources>;

/** The handlers by path; server.ts checks the client of those under `/-/`. Null: the handler answers by itself. */
export type AdminHandlers = Readonly<Record<string, (exchange: Exchange) => AdminReply | null | Promise<AdminReply>>>;

const OK: AdminReply = { status: 200, body: '{"status":"ok"}' };

export function adminHandlers(sources: AdminSources): AdminHandlers {
  const { log } = sources;
  // Making a status takes milliseconds, and so does its page: a client that asks often must not delay probes.
  const current = onePerTurn(() => sources.status());
  const statusText = onePerTurn(async () => JSON.stringify(await current()));
  const page = onePerTurn(async () => renderStatusPage(await current()));
  return {
    '/livez': () => OK,
    '/health': () => OK,
    '/startz': () => (sources.started() ? OK : json(503, { status: 'starting' })),
    '/readyz': async () => {
      const { ready, causes } = await sources.readiness();
      return ready ? OK : json(503, { status: 'not_ready', causes });
    },
    '/metrics': async ({ lines }) => {
      await sources.beforeScrape();
      const { body, contentType } = await sources.expose(valuesOf(lines, 'accept').join());
      return { status: 200, body, headers: { 'Content-Type': contentType, Vary: 'Accept' } };
    },
    '/api/status': async () => {
      await sources.probe();
      return { status: 200, body: await statusText() };
    },
    '/': async ({ head, path }) => {
      await sources.probe();
      return { status: 200, body: await page(), headers: pageHeaders(head.target.slice(path.length)) };
    },
    '/-/drain': ({ client }) => {
      log.info('drain requested on the admin port', { client });
      sources.drain();
      return json(200, { status: 'draining' });
    },
    '/-/reload': async ({ client }) => {
      log.info('reload requested on the admin port', { client });
      const problems = await sources.reload();
      if (problems.length > 0) return json(500, { status: 'failed', error: problems.join('\n') });
      const { awaitingRestart } = sources.status().config;
      return awaitingRestart.length === 0 ? OK : json(200, { status: 'ok', awaitingRestart });
    },
    '/-/redeliver': async ({ client, head, path }) => {
      const id = new URLSearchParams(head.target.slice(path.length)).get('id');
      if (id !== null && !/^[a-z0-9-]{1,64}$/.test(id)) return json(400, { error: 'bad_request' });
      const deliveries = await sources.redeliver(id).catch((error: Error) => error.message);
      if (deliveries === null) return json(409, { error: 'not_sent', message: 'no route has redeliver' });
      if (typeof deliveries === 'string') return json(503, { error: 'store_failed', message: deliveries });
      if (id !== null && deliveries === 0) return json(404, { error: 'not_found' });
      log.info('redelivery requested on the admin port', { client, id: id ?? 'all', deliveries });
      return json(200, { status: 'ok', deliveries });
    },
    '/-/capture': (exchange) => sources.capture(exchange),
    '/-/retire-previous': async ({ client }) => {
      const { unread, ...report } = await sources.retirePrevious();
      log.info('previous secrets retired on the admin port', { client, retired: report.retired });
      if (unread.length === 0) return json(200, { status: 'ok', ...report });
      return json(503, { status: 'failed', ...report, error: unread.join('\n') });
    },
  };
}
