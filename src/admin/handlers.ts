// The answers of the admin port, by path. livez: the event loop runs. startz: the proxy has started. readyz: it may
// receive traffic.
import { onePerTurn } from '../base/one-per-turn.ts';
import type { OwnStatus } from '../core/decision.ts';
import type { Exchange } from '../downstream/client-exchange.ts';
import type { Log } from '../log/log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { type ApiStatus, adviceFor } from './advice.ts';
import { PAGE_CSP, renderStatusPage } from './status-page.ts';
import type { Probed, ReloadOutcome, StatusSnapshot } from './status-snapshot.ts';

/** What the admin port shows and does; runtime supplies it. */
export interface AdminSources {
  /** Asks what takes time: whether the upstream accepts connections. Callers at one time share it. */
  probe(): Promise<Probed>;
  status(probed: Probed): StatusSnapshot;
  started(): boolean;
  readiness(): Promise<Pick<StatusSnapshot, 'ready' | 'causes'>>;
  drain(): void;
  reload(): Promise<ReloadOutcome>;
  /** Ends every overlap. */
  retirePrevious(): Retired;
  /** Lets what is deferred be sent now; `id`: that one. Returns how many; null if nothing is ever deferred. */
  redeliver(id: string | null): number | null;
  actionsFrom(): readonly string[];
  readonly metrics: Pick<Metrics, 'expose'>;
  readonly log: Log;
}

/** What the end of every overlap did. */
export interface Retired {
  readonly retired: number;
  /** How many deferred deliveries nothing verifies any more, as far as they have been read; absent if none ever is. */
  readonly stranded?: number;
}

export interface AdminReply {
  readonly status: OwnStatus;
  readonly body: string;
  /** `Content-Type` is `application/json` by default. */
  readonly headers?: Readonly<Record<string, string>>;
}

interface AdminHandler {
  /** A handler with POST changes something: clients outside `actionsFrom` and requests from other sites get 403. */
  readonly methods: readonly string[];
  readonly run: (exchange: Exchange, accept: string) => AdminReply | Promise<AdminReply>;
}

export type AdminHandlers = Readonly<Record<string, AdminHandler>>;

const VIEW = ['GET', 'HEAD'];
const OK: AdminReply = { status: 200, body: '{"status":"ok"}' };

export function adminHandlers(sources: AdminSources): AdminHandlers {
  const { metrics, log } = sources;
  /** Of the last probe that came through, since nobody waits for another one's. */
  let probed: Probed;
  const probe = async () => {
    probed = await sources.probe();
  };
  // A status costs milliseconds, and so do its page and the metrics: whoever asks often must not keep probes waiting.
  const current = onePerTurn(() => sources.status(probed));
  const statusText = onePerTurn(async () => {
    const status = await current();
    return JSON.stringify({ ...status, advice: adviceFor(status) } satisfies ApiStatus);
  });
  const pages = {
    on: onePerTurn(async () => renderStatusPage(await current(), { refresh: 'on' })),
    off: onePerTurn(async () => renderStatusPage(await current(), { refresh: 'off' })),
  };
  return {
    '/livez': on(VIEW, () => OK),
    '/health': on(VIEW, () => OK),
    '/startz': on(VIEW, () => (sources.started() ? OK : json(503, { status: 'starting' }))),
    '/readyz': on(VIEW, async () => {
      const { ready, causes } = await sources.readiness();
      return ready ? OK : json(503, { status: 'not_ready', causes });
    }),
    '/metrics': on(VIEW, async (_, accept) => {
      const { body, contentType } = await metrics.expose(accept);
      return { status: 200, body, headers: { 'Content-Type': contentType, Vary: 'Accept' } };
    }),
    '/api/status': on(VIEW, async () => {
      await probe();
      return { status: 200, body: await statusText() };
    }),
    '/': on(VIEW, async ({ head, path }) => {
      const query = new URLSearchParams(head.target.slice(path.length));
      await probe();
      const body = await pages[query.get('refresh') === 'off' ? 'off' : 'on']();
      const headers = { 'Content-Type': 'text/html; charset=utf-8', 'Content-Security-Policy': PAGE_CSP };
      return { status: 200, body, headers };
    }),
    // GET too: a preStop httpGet can send nothing else.
    '/-/drain': on(['GET', 'POST'], ({ client }) => {
      log.info('drain requested on the admin port', { client });
      sources.drain();
      return json(200, { status: 'draining' });
    }),
    '/-/reload': on(['POST'], async ({ client }) => {
      log.info('reload requested on the admin port', { client });
      const outcome = await sources.reload();
      if (outcome.kind === 'applied') return OK;
      return json(500, { status: 'failed', error: outcome.problems.join('\n') });
    }),
    '/-/redeliver': on(['POST'], ({ client, head, path }) => {
      const id = new URLSearchParams(head.target.slice(path.length)).get('id');
      if (id !== null && !/^[a-z0-9-]{1,64}$/.test(id)) return json(400, { error: 'bad_request' });
      const deliveries = sources.redeliver(id);
      if (deliveries === null || (id !== null && deliveries === 0)) return json(404, { error: 'not_found' });
      log.info('redelivery requested on the admin port', { client, deliveries });
      return json(200, { status: 'ok', deliveries });
    }),
    '/-/retire-previous': on(['POST'], ({ client }) => {
      const told = sources.retirePrevious();
      log.info('previous secrets retired on the admin port', { client, ...told });
      return json(200, { status: 'ok', ...told });
    }),
  };
}

function on(methods: readonly string[], run: AdminHandler['run']): AdminHandler {
  return { methods, run };
}

export function json(status: OwnStatus, value: unknown): AdminReply {
  return { status, body: JSON.stringify(value) };
}
