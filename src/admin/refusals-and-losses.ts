// Recent requests, for operators without Prometheus: counts of the last minutes, grouped refusals, and deliveries that
// may be lost. Memory is constant under a flood. Each reason has its own few entries, so a flood of one reason never
// displaces the entry of another that explains a broken rotation.
import { dropOldest } from '../base/indexed-set.ts';
import { DECISIONS, type Decision, REASON_NAMES, type Reason } from '../core/reasons.ts';
import type { RedeliveryRecord } from '../core/redelivery-record.ts';
import type { DeliveryRecord, RequestRecord } from '../core/request-record.ts';
import { MINUTE } from './advice/times.ts';
import { TrafficByRoute } from './route-traffic.ts';
import { type ShownRequest, shownOf } from './shown-request.ts';
import type { RecentCounts, RefusalGroup, Undelivered } from './snapshot.ts';

/** The minutes that `recent` covers; only its `signedReasons` cover an hour. */
const LATELY = 5;
const MINUTES_OF_A_DAY = 24 * 60;
const GROUPS_PER_REASON = 10;
const SHOWN_GROUPS = 50;
const KEPT_UNDELIVERED = 20;

const LOST = ['failed', 'abandoned', 'dropped'] as const;

/** The counters of a minute. `noise` is counted instead of the reason of a refusal that needs no attention. */
type Counted = Decision | Reason | `signed ${Reason}` | 'noise' | (typeof LOST)[number];

export class RefusalsAndLosses {
  /** The counts by minute (since the epoch), for the last MINUTES_OF_A_DAY minutes that had any. */
  readonly #minutes = new Map<number, Partial<Record<Counted, number>>>();
  /** Keyed by a closed set: reasons, gate rules, and causes of upstream failures. In each map, the oldest is first. */
  readonly #groups: Record<string, Map<string, RefusalGroup>> = {};
  readonly traffic = new TrafficByRoute();
  readonly #responseTimeout: () => number;
  #undelivered: readonly Undelivered[] = [];
  #lastProbe: ShownRequest | null = null;

  /** `responseTimeout`: milliseconds, as configured. */
  constructor(responseTimeout: () => number = () => 30_000) {
    this.#responseTimeout = responseTimeout;
  }

  record(record: RequestRecord): void {
    const at = Date.now();
    const { decision, reason, fate, signed } = record;
    this.#count(decision);
    if (decision === 'probe') {
      this.#lastProbe = shownOf(record, at);
      return;
    }
    const refused = decision === 'rejected' || decision === 'reported';
    if (refused && isNoise(record)) this.#count('noise');
    else if (refused && reason !== 'none' && fate === 'none') this.#count(signed ? `signed ${reason}` : reason);
    this.traffic.record(record, at);
    if (refused || (fate === 'none' && record.upstreamFailure !== null)) this.#keep(shownOf(record, at));
  }

  /** Called when a delivery's fate is known, perhaps long after its client left. */
  deliver(record: DeliveryRecord): void {
    const at = Date.now();
    if (record.fate === 'failed' || record.fate === 'abandoned') {
      this.#lose({ ...shownOf(record, at), cause: causeOf(record), fate: record.fate });
    }
    this.traffic.deliver(record, at, this.#responseTimeout());
    if (record.upstreamFailure !== null) this.#keep(shownOf(record, at));
  }

  redelivered({ route, result }: RedeliveryRecord): void {
    if (result === 'delivered') this.traffic.taken(route, Date.now());
    if (result === 'dropped') this.#count('dropped');
  }

  #lose(shown: Undelivered): void {
    this.#count(shown.fate);
    this.#undelivered = [shown, ...this.#undelivered.slice(0, KEPT_UNDELIVERED - 1)];
  }

  #count(name: Counted): void {
    const now = Math.floor(Date.now() / MINUTE);
    const counts = this.#minutes.get(now) ?? {};
    counts[name] = (counts[name] ?? 0) + 1;
    this.#minutes.set(now, counts);
    dropOldest(this.#minutes, MINUTES_OF_A_DAY);
  }

  /** The count of `name` over the last `minutes`. */
  #sum(name: Counted, minutes: number): number {
    const now = Math.floor(Date.now() / MINUTE);
    let total = 0;
    for (let minute = now; minute > now - minutes; minute--) total += this.#minutes.get(minute)?.[name] ?? 0;
    return total;
  }

  #keep(refusal: ShownRequest): void {
    const reason = refusal.upstreamFailure ?? refusal.rule ?? refusal.reason;
    this.#groups[reason] ??= new Map();
    const groups = this.#groups[reason];
    const group = [refusal.decision, refusal.route, refusal.client, refusal.header].join(' ');
    const before = groups.get(group);
    groups.delete(group);
    // Hints are rate-limited: the last request of a flood may have none, so an earlier hint is kept.
    const { hint, diagnosis, secret } = refusal.hint === null && before !== undefined ? before : refusal;
    groups.set(group, { ...refusal, hint, diagnosis, secret, count: (before?.count ?? 0) + 1 });
    dropOldest(groups, GROUPS_PER_REASON);
  }

  /** The parts of a status snapshot that come from requests. */
  view() {
    const refusals = Object.values(this.#groups).flatMap((groups) => [...groups.values()]);
    const lately = (name: Counted) => this.#sum(name, LATELY);
    return {
      recent: {
        windowSeconds: (LATELY * MINUTE) / 1000,
        ...byName(DECISIONS, lately),
        noise: lately('noise'),
        reasons: byReason(lately),
        signedReasons: byReason((name) => this.#sum(`signed ${name}`, 60)),
      },
      refusals: refusals.sort((a, b) => b.at - a.at).slice(0, SHOWN_GROUPS),
      lost: byName(LOST, (name) => this.#sum(name, MINUTES_OF_A_DAY)),
      undelivered: this.#undelivered,
      lastProbe: this.#lastProbe,
    };
  }
}

const byName = <K extends string, V>(names: readonly K[], value: (name: K) => V) =>
  Object.fromEntries(names.map((name) => [name, value(name)])) as Record<K, V>;

/** Only the reasons that occurred. */
const byReason = (count: (name: Reason) => number): RecentCounts['reasons'] =>
  Object.fromEntries(REASON_NAMES.map((name) => [name, count(name)] as const).filter(([, amount]) => amount > 0));

/**
 * True for requests that every public port gets: other paths, other methods, GETs without a signature, even malformed
 * ones, and clients that left. A signed one may be a delivery, so it is noise only if its client left in report mode.
 */
function isNoise({ reason, method, signed, decision }: RequestRecord): boolean {
  if (signed) return reason === 'client_closed' && decision !== 'rejected';
  if (reason === 'route_rejected' || reason === 'method_not_allowed' || reason === 'client_closed') return true;
  return (reason === 'missing_signature' || reason === 'bad_request') && (method === 'GET' || method === 'HEAD');
}

function causeOf({ upstreamFailure, upstreamStatus, fate }: DeliveryRecord): string {
  const own = fate === 'abandoned' ? fate : 'overloaded';
  return upstreamFailure ?? (upstreamStatus > 0 ? `${upstreamStatus}` : own);
}
