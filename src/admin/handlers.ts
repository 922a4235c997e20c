// The answers of the admin port, by path. livez: the event loop runs. startz: the proxy has started. readyz: it may
// receive traffic.
import type { Log } from '../log/log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { StatusSnapshot } from './status.ts';
import { PAGE_CSP, renderStatusPage } from './status-page.ts';

/** What the admin port shows and does; runtime supplies it. */
export interface AdminSources {
  status(): StatusSnapshot | Promise<StatusSnapshot>;
  started(): boolean;
  readiness(): Promise<Pick<StatusSnapshot, 'ready' | 'causes'>>;
  drain(): void;
  reload(): Promise<{ readonly ok: boolean; readonly error?: string }>;
  /** Ends every overlap; gives the number of values. */
  retirePrevious(): number;
  /** The current `admin.actionsFrom`. */
  actionsFrom(): readonly string[];
  readonly metrics: Pick<Metrics, 'expose'>;
  readonly log: Log;
}

export interface AdminReply {
  readonly status: number;
  readonly body: string;
  /** `application/json` by default. */
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Asked {
  readonly query: URLSearchParams;
  readonly accept: string | undefined;
  readonly client: string;
}

interface AdminHandler {
  readonly methods: readonly string[];
  /** True if it changes something: clients outside `actionsFrom` and requests from other web sites get 403. */
  readonly acts: boolean;
  readonly run: (asked: Asked) => AdminReply | Promise<AdminReply>;
}

export type AdminHandlers = Readonly<Record<string, AdminHandler>>;

const OK: AdminReply = { status: 200, body: '{"status":"ok"}' };

/** By path. */
export function adminHandlers(sources: AdminSources): AdminHandlers {
  const { metrics, log } = sources;
  return {
    '/livez': view(() => OK),
    '/health': view(() => OK),
    '/startz': view(() => (sources.started() ? OK : json(503, { status: 'starting' }))),
    '/readyz': view(async () => {
      const { ready, causes } = await sources.readiness();
      return ready ? OK : json(503, { status: 'not_ready', causes });
    }),
    '/metrics': view(async ({ accept }) => ({
      status: 200,
      ...(await metrics.expose(accept)),
      headers: { Vary: 'Accept' },
    })),
    '/api/status': view(async () => json(200, await sources.status())),
    '/': view(async ({ query }) => ({
      status: 200,
      body: renderStatusPage(await sources.status(), { refresh: query.get('refresh') !== 'off' }),
      contentType: 'text/html; charset=utf-8',
      headers: { 'Content-Security-Policy': PAGE_CSP },
    })),
    // GET too: a preStop httpGet can send nothing else.
    '/-/drain': action(['GET', 'POST'], ({ client }) => {
      log.info('drain requested on the admin port', { client });
      sources.drain();
      return json(200, { status: 'draining' });
    }),
    '/-/reload': action(['POST'], async ({ client }) => {
      log.info('reload requested on the admin port', { client });
      const { ok, error } = await sources.reload();
      return ok ? OK : json(500, { status: 'failed', error });
    }),
    '/-/retire-previous': action(['POST'], ({ client }) => {
      const retired = sources.retirePrevious();
      log.info('previous secrets retired on the admin port', { client, retired });
      return json(200, { status: 'ok', retired });
    }),
  };
}

function view(run: AdminHandler['run']): AdminHandler {
  return { methods: ['GET', 'HEAD'], acts: false, run };
}

function action(methods: readonly string[], run: AdminHandler['run']): AdminHandler {
  return { methods, acts: true, run };
}

function json(status: number, value: unknown): AdminReply {
  return { status, body: JSON.stringify(value) };
}
