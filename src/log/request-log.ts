// The request log: one line per request; a delivery's line waits until its fate is known. Connections that are turned away
// before any request have one line a second. It must never hold a query, a body, a signature, a secret or another
// header's value, and a flood must never become a flood of lines.
import { shortened } from '../base/printable.ts';
import { diagnosisOf } from '../core/request-diagnosis.ts';
import { type RequestRecord, shownPath } from '../core/request-record.ts';
import type { Fields, Log, LogLevel } from './log.ts';

export type RequestLogMode = 'all' | 'rejected' | 'none';

/** The maximum number of lines per second (`log.requests`). */
const LINES_A_SECOND = 50;

/** `log.level` also filters the lines: a served request is info, a refused or reported one warn, a failed one error. */
export class RequestLog {
  mode: RequestLogMode;
  readonly #log: Log;
  /** Lines of this second, including those left out. */
  #lines = 0;
  /** The connections turned away in this second, and the first client among them; null for none. */
  #away: { limit: number; handshakes: number; readonly client: string } | null = null;
  #second: NodeJS.Timeout | undefined;

  constructor(log: Log, mode: RequestLogMode) {
    this.#log = log;
    this.mode = mode;
  }

  /** Call it at the request's end, and for a delivery also once its fate is known: the later call writes the line. */
  record(record: RequestRecord, diagnosis: string | null = diagnosisOf(record)): void {
    if (this.mode === 'none' || record.fate === 'pending' || record.durationMs < 0) return;
    const level = levelOf(record);
    if ((this.mode === 'rejected' && level === 'info') || !this.#log.enabled(level)) return;
    this.#begin();
    if (++this.#lines <= LINES_A_SECOND) this.#log[level]('request', fieldsOf(record, diagnosis));
  }

  /** Counts a connection that was turned away, for the one line of this second. */
  turnAway(cause: 'limit' | 'handshakes', client: string): void {
    this.#away ??= { limit: 0, handshakes: 0, client };
    this.#away[cause]++;
    this.#begin();
  }

  /** A timer, not the clock, ends the second: so it ends even if the clock is set back or the flood stops. */
  #begin(): void {
    this.#second ??= setTimeout(() => this.flush(), 1000).unref();
  }

  /** Ends the second, and writes what was counted in it, if anything. Also called when the process ends. */
  flush(): void {
    clearTimeout(this.#second);
    this.#second = undefined;
    const leftOut = this.#lines - LINES_A_SECOND;
    const away = this.#away;
    this.#lines = 0;
    this.#away = null;
    if (leftOut > 0) this.#log.warn('request lines left out', { left_out: leftOut, lines_a_second: LINES_A_SECOND });
    if (away !== null) this.#log.warn('connections were ended before any answer, since there were too many', away);
  }
}

/** Mode `rejected` leaves out exactly level `info`: what was served, and the app's own errors outside deliveries. */
function levelOf({ decision, fate, status, upstreamStatus, upstreamFailure }: RequestRecord): LogLevel {
  if (fate === 'failed') return 'error';
  if (fate === 'abandoned' || fate === 'deferred') return 'warn';
  if (fate !== 'none') return 'info';
  if (upstreamFailure !== null) return 'error';
  if (decision === 'rejected') return 'warn';
  if (status >= 500 && upstreamStatus === 0) return 'error';
  return decision === 'reported' ? 'warn' : 'info';
}

type Request = 'route' | 'method' | 'path' | 'client' | 'rule' | 'header' | 'bodySha256';
type Outcome = 'status' | 'decision' | 'reason' | 'hint' | 'fate' | `upstream${'Status' | 'Failure' | 'Error'}`;
export type Shown = Pick<RequestRecord, Request | Outcome>;

/** A request as log, page and API show it: texts that a client chose are cut; query, header values and body are left out. */
export function shownRequest<D extends string | null>(record: Shown, diagnosis: D) {
  const cut = (text: string | null | undefined, limit: number) => (text ? shortened(text, limit) : null);
  return {
    route: record.route,
    method: shortened(record.method, 32),
    path: shownPath(record.path),
    status: record.status,
    decision: record.decision,
    reason: record.reason,
    fate: record.fate,
    /** The likely cause in words. */
    hint: cut(record.hint?.text, 512),
    diagnosis,
    upstreamStatus: record.upstreamStatus,
    upstreamFailure: record.upstreamFailure,
    upstreamError: cut(record.upstreamError, 64),
    rule: record.rule,
    header: cut(record.header, 128),
    client: shortened(record.client, 64),
    bodySha256: record.bodySha256,
  };
}

/** The same with what the log alone has; `bodyBytes` is `body_bytes` there, and what is not known is left out. */
function fieldsOf(record: RequestRecord, diagnosis: string | null): Fields {
  const shown = shownRequest(record, diagnosis);
  const { fate, secret, bodyBytes, durationMs, upstreamMs, upstreamStatus, traceId } = record;
  const fields = {
    ...shown,
    fate: fate === 'none' ? null : fate,
    upstreamStatus: upstreamStatus || null,
    secret,
    bodyBytes,
    durationMs: rounded(durationMs),
    upstreamMs: upstreamMs < 0 ? null : rounded(upstreamMs),
    traceId,
  };
  const present = Object.entries(fields).filter(([, value]) => value !== null);
  return Object.fromEntries(present.map(([name, value]) => [name.replaceAll(/[A-Z]/g, '_$&').toLowerCase(), value]));
}

/** Rounded to the microsecond. */
const rounded = (value: number): number => Math.round(value * 1000) / 1000;
