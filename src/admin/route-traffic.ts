// What became of the requests of each route since the start: the answers of the app, and whether the last deliveries
// got through. Counts of some minutes cannot tell that where four deliveries come in an hour.
import { isLost, type RequestRecord } from '../core/request-record.ts';
import { STATUS_CLASSES } from '../metrics/metric-table.ts';

type StatusClass = (typeof STATUS_CLASSES)[number];

/** Times are epoch milliseconds, null for never. */
export interface RouteTraffic {
  /** Final answers of the app, by class, and its interim ones. */
  readonly answers: Readonly<Record<StatusClass, number>>;
  /** When the app last answered a delivery with 2xx or 3xx, or an event was a duplicate of one delivered so. */
  readonly lastTaken: number | null;
  /** Deliveries since `lastTaken`, by what happened to them. */
  readonly notTaken: Readonly<Record<NotTaken, number>>;
  readonly lastNotTaken: number | null;
  /** What happened to that one. */
  readonly lastNotTakenWhy: NotTaken | null;
  /** The status of the answer to the last delivery; null before the first. */
  readonly lastStatus: number | null;
  /** When a signature was last accepted. */
  readonly lastAccepted: number | null;
  /** Since `lastAccepted`: requests with a well-formed signature that no live secret makes. */
  readonly refusedSignatures: number;
  readonly lastRefusedSignature: number | null;
}

/**
 * Why the app did not take a delivery. `failed`: our 502, 503 or 504, a cut answer, or the app's 5xx. `clientError`: the
 * app's 4xx. `departed`: the sender left before the answer.
 */
export type NotTaken = 'failed' | 'clientError' | 'departed';

type Mutable<T> = {
  -readonly [K in keyof T]: T[K] extends Readonly<Record<infer N, number>> ? Record<N, number> : T[K];
};

export class TrafficByRoute {
  readonly #routes = new Map<string, Mutable<RouteTraffic>>();

  record(record: RequestRecord, at: number): void {
    const { route, upstreamStatus, interims, decision, reason } = record;
    const traffic = this.#routes.get(route) ?? noTraffic();
    this.#routes.set(route, traffic);
    const answered = STATUS_CLASSES[Math.floor(upstreamStatus / 100) - 1];
    if (answered !== undefined) traffic.answers[answered]++;
    traffic.answers['1xx'] += interims;
    if (decision === 'accepted' || decision === 'duplicate' || decision === 'deferred') {
      traffic.lastAccepted = at;
      traffic.refusedSignatures = 0;
    }
    if (reason === 'signature_mismatch' || reason === 'expired_secret') {
      traffic.refusedSignatures++;
      traffic.lastRefusedSignature = at;
    }
    const end = deliveryEnd(record);
    if (end === null) return;
    traffic.lastStatus = record.status;
    if (end === 'taken') Object.assign(traffic, { lastTaken: at, notTaken: noneNotTaken() });
    else {
      traffic.notTaken[end]++;
      traffic.lastNotTaken = at;
      traffic.lastNotTakenWhy = end;
    }
  }

  of(route: string): RouteTraffic {
    return structuredClone(this.#routes.get(route) ?? noTraffic());
  }

  /** Forgets the routes that a reload has removed. */
  keepOnly(routes: readonly string[]): void {
    for (const route of this.#routes.keys()) if (!routes.includes(route)) this.#routes.delete(route);
  }
}

export function noTraffic(): Mutable<RouteTraffic> {
  return {
    answers: { '1xx': 0, '2xx': 0, '3xx': 0, '4xx': 0, '5xx': 0 },
    lastTaken: null,
    notTaken: noneNotTaken(),
    lastNotTaken: null,
    lastNotTakenWhy: null,
    lastStatus: null,
    lastAccepted: null,
    refusedSignatures: 0,
    lastRefusedSignature: null,
  };
}

const noneNotTaken = () => ({ failed: 0, clientError: 0, departed: 0 });

/** What happened to a delivery; null for a request that is none. */
function deliveryEnd(record: RequestRecord): 'taken' | NotTaken | null {
  const { decision, reason, upstreamStatus } = record;
  if (decision === 'duplicate') return 'taken';
  if (isLost(record)) return 'failed';
  if (decision !== 'accepted') return null;
  if (upstreamStatus >= 400) return 'clientError';
  if (upstreamStatus > 0) return 'taken';
  return reason === 'client_closed' ? 'departed' : null;
}
