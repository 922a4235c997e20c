// The answers of the admin port, by path. livez: the event loop runs. startz: the proxy has started. readyz: it may
// receive traffic.
import { onePerTurn } from '../base/deadline.ts';
import type { OwnStatus } from '../core/answers.ts';
import { valuesOf } from '../core/header-lines.ts';
import type { Exchange } from '../downstream/client-exchange.ts';
import type { Probed } from '../facts.ts';
import type { ApiStatus } from '../health/health.ts';
import type { Log } from '../log/log.ts';
import type { createScrapes } from '../metrics/metrics.ts';
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

/** The data and actions behind the admin port; runtime supplies them. */
export interface AdminSources {
  /** Asks whether the upstream accepts connections, which takes time. Simultaneous callers share one answer. */
  probe(): Promise<unknown>;
  /** Finds out what takes time, so that the metric `diagnosis` says the same as the page. */
  beforeScrape(): Promise<unknown>;
  /** The judgement of now, with the last answer of the upstream. */
  status(): ApiStatus;
  started(): boolean;
  readiness(): Promise<Pick<Probed, 'ready' | 'causes'>>;
  drain(): void;
  /** Reloads, and returns the problems: none if all is in use that needs no restart. */
  reload(): Promise<readonly string[]>;
  /** Reloads, then ends the overlap of every replaced secret value. */
  retirePrevious(): Promise<Retired>;
  /** Makes deferred deliveries due now: all, or the one with `id`. Returns how many; null if no route redelivers. */
  redeliver(id: string | null): Promise<number | null>;
  /** Answers with the next refused requests; returns an answer if it cannot. */
  capture(exchange: Exchange): AdminReply | null;
  actionsFrom(): readonly string[];
  /** True if the connection with this key is one of the proxy's own to its upstream, so that clients would come here. */
  leadsBack(key: string): boolean;
  readonly metrics: Pick<ReturnType<typeof createScrapes>, 'expose'>;
  readonly log: Log;
}

export interface Retired {
  readonly retired: number;
  /** The ids of the secrets that were read. */
  readonly read: readonly string[];
  /** Sources that could not be read whole, one line each. A new value found in one later begins another overlap. */
  readonly unread: readonly string[];
}

/**
 * The handlers by path. Those under `/-/` change something or show bodies, so server.ts checks the client. Null: the
 * handler answers by itself.
 */
export type AdminHandlers = Readonly<Record<string, (exchange: Exchange) => AdminReply | null | Promise<AdminReply>>>;

const OK: AdminReply = { status: 200, body: '{"status":"ok"}' };

export function adminHandlers(sources: AdminSources): AdminHandlers {
  const { metrics, log } = sources;
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
      const { body, contentType } = await metrics.expose(valuesOf(lines, 'accept').join());
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
      log.info('redelivery requested on the admin port', { client, deliveries });
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
