// The traffic of each route since the start: the fates of its deliveries, and its signatures. Counts of the last
// minutes would say nothing where only four deliveries come in an hour.
import { shortened } from '../base/printable.ts';
import { FATES, type Fate } from '../core/fate.ts';
import { type DeliveryRecord, type RequestRecord, shownPath } from '../core/request-record.ts';
import { UNMATCHED } from '../core/routes.ts';
import { MINUTE } from './advice/times.ts';
import { type ShownRequest, shownOf } from './shown-request.ts';

/** The traffic of one route since the start. Times are epoch milliseconds, null for never. */
export class RouteTraffic {
  fates = Object.fromEntries(FATES.map((fate) => [fate, 0])) as Record<Fate, number>;
  /** When the app last took a delivery (perhaps one that was deferred), or a duplicate of a delivered event came. */
  lastTaken: number | null = null;
  /** How many deliveries the app has not taken since `lastTaken`; deferred ones do not count. */
  notTaken = 0;
  notTakenSince: number | null = null;
  lastNotTaken: ShownRequest | null = null;
  /** The last delivery that the app refused, whatever it took since. */
  lastRefused: ShownRequest | null = null;
  /** When a signature was last accepted, and from which client. */
  lastAccepted: number | null = null;
  sender: string | null = null;
  /** The path of the last request with a signature; null before the first, and always for a route with its own path. */
  lastPath: string | null = null;
  /** How many signed requests were refused since `lastAccepted`, or would have been without report mode. */
  refusedSignatures = 0;
  refusedOfSender = 0;
  firstRefusedSignature: number | null = null;
  lastRefusedSignature: number | null = null;
  /** Slow answers of the app, and senders that left before an answer; `times` has the last SLOW_ANSWERS of both. */
  slow = {
    times: [] as readonly number[],
    /** Milliseconds that the app's last slow answer took; null if there is none. */
    answerMs: null as number | null,
    /** Milliseconds that the last sender to leave had waited; null if none left. */
    departedMs: null as number | null,
  };
  /** Requests with a signature that was not verified, since their route forwards; null if there are none. */
  unverified: null | {
    readonly count: number;
    /** POSTs with a signature of the right form, as Entrupy sends them. */
    readonly wellFormed: number;
    readonly at: number;
    readonly path: string;
  } = null;
}

/** If this many slow answers or departed senders come within SLOW_SPAN_MS, the app counts as slow. */
export const SLOW_ANSWERS = 5;
export const SLOW_SPAN_MS = 15 * MINUTE;
/** Milliseconds after which an answer counts as slow: before the sender, or the proxy, gives up waiting for it. */
const slowMs = (responseTimeout: number) => Math.min(5000, responseTimeout / 3);

export class TrafficByRoute {
  readonly #routes = new Map<string, RouteTraffic>();

  record(record: RequestRecord, at: number): void {
    const { route, decision, fate, signed } = record;
    const traffic = this.#of(route);
    const client = shortened(record.client, 64);
    if (decision === 'accepted' || decision === 'duplicate' || decision === 'deferred') {
      const none = { refusedSignatures: 0, refusedOfSender: 0, firstRefusedSignature: null };
      Object.assign(traffic, { lastAccepted: at, sender: client, ...none });
    }
    if (!signed) return;
    if (route === UNMATCHED) traffic.lastPath = shownPath(record.path);
    if (fate === 'none' && (decision === 'rejected' || decision === 'reported')) {
      traffic.refusedSignatures++;
      if (client === traffic.sender) traffic.refusedOfSender++;
      traffic.firstRefusedSignature ??= at;
      traffic.lastRefusedSignature = at;
    }
    if (decision === 'forwarded') {
      const isDelivery = record.method === 'POST' && record.wellFormed;
      const { count, wellFormed } = traffic.unverified ?? { count: 0, wellFormed: 0 };
      const counts = { count: count + 1, wellFormed: wellFormed + Number(isDelivery) };
      traffic.unverified = { ...counts, at, path: shownPath(record.path) };
    }
  }

  deliver(record: DeliveryRecord, at: number, responseTimeout: number): void {
    const { fate, upstreamMs, departedMs } = record;
    const traffic = this.#of(record.route);
    traffic.fates[fate]++;
    const { slow } = traffic;
    const isSlow = upstreamMs > slowMs(responseTimeout);
    if (isSlow) slow.answerMs = upstreamMs;
    if (departedMs >= 0) slow.departedMs = departedMs;
    if (isSlow || departedMs >= 0) slow.times = [...slow.times.slice(1 - SLOW_ANSWERS), at];
    if (fate === 'taken' || fate === 'duplicate') this.taken(record.route, at);
    else if (fate !== 'deferred') {
      const untaken = shownOf(record, at);
      traffic.notTaken++;
      traffic.notTakenSince ??= at;
      traffic.lastNotTaken = untaken;
      if (fate === 'refused') traffic.lastRefused = untaken;
    }
  }

  /** Call it when the app has taken a delivery, perhaps one that was deferred. */
  taken(route: string, at: number): void {
    Object.assign(this.#of(route), { lastTaken: at, notTaken: 0, notTakenSince: null });
  }

  #of(route: string): RouteTraffic {
    const traffic = this.#routes.get(route) ?? new RouteTraffic();
    this.#routes.set(route, traffic);
    return traffic;
  }

  of(route: string): Readonly<RouteTraffic> {
    return structuredClone(this.#routes.get(route) ?? new RouteTraffic());
  }

  /** Forgets the routes that a reload has removed. */
  keepOnly(routes: readonly string[]): void {
    for (const route of this.#routes.keys()) if (!routes.includes(route)) this.#routes.delete(route);
  }
}
