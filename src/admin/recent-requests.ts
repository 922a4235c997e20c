// Recent requests, for operators without Prometheus: counts of five minutes, curves of an hour, grouped refusals, and
// deliveries that may be lost. Memory is constant under a flood. Each reason has its own few entries, so a flood of
// one reason never displaces the entry of another that explains a broken rotation.

import { dropOldest } from '../base/drop-oldest.ts';
import { REASON_NAMES, type Reason } from '../core/decision.ts';
import { isLost, type RequestRecord } from '../core/request-record.ts';
import { shortened, shownPath } from '../log/cut-text.ts';
import { TrafficByRoute } from './route-traffic.ts';
import {
  APP_ANSWERS,
  CURVES,
  type RecentCounts,
  type RefusalGroup,
  type StatusSnapshot,
  type Undelivered,
} from './status-snapshot.ts';

const SLOT_MS = 10_000;
const SLOTS_PER_MINUTE = 6;
const SLOTS_KEPT = 60 * SLOTS_PER_MINUTE;
const SLOTS_COUNTED = 5 * SLOTS_PER_MINUTE;
const GROUPS_PER_REASON = 10;
const SHOWN_GROUPS = 50;
const KEPT_UNDELIVERED = 20;

/**
 * `noise`: rejected and reported requests that need no attention; the reasons count all others, and once more those that
 * had a signature.
 */
const COUNTED = [
  ...CURVES,
  ...REASON_NAMES,
  ...REASON_NAMES.map((name) => `signed ${name}` as const),
  'noise',
] as const;
type Counted = (typeof COUNTED)[number];

export class RecentRequests {
  /** Counts of ten seconds each, by epoch time in slots; the oldest first. */
  readonly #slots = new Map<number, Record<Counted, number>>();
  /** Keyed by a closed set: reasons, gate rules, and causes of upstream failures. In each, the oldest is first. */
  readonly #groups: Record<string, Map<string, RefusalGroup>> = {};
  /** The requests of groups that are kept no more. */
  readonly #dropped: Record<string, number> = {};
  readonly traffic = new TrafficByRoute();
  #undelivered: readonly Undelivered[] = [];

  record(record: RequestRecord): void {
    const at = Date.now();
    const counts = this.#countsAt(at);
    counts[record.decision]++;
    const answer = APP_ANSWERS[Math.floor(record.upstreamStatus / 100) - 2];
    if (answer !== undefined) counts[answer]++;
    if (record.upstreamFailure !== null) counts.upstreamFailures++;
    const refused = record.decision === 'rejected' || record.decision === 'reported';
    if (refused && isNoise(record)) counts.noise++;
    else if (refused && record.reason !== 'none') {
      counts[record.reason]++;
      if (record.signed) counts[`signed ${record.reason}`]++;
    }
    if (isLost(record)) {
      this.#undelivered = [undeliveredOf(record, at), ...this.#undelivered.slice(0, KEPT_UNDELIVERED - 1)];
    }
    this.traffic.record(record, at);
    if (refused || record.upstreamFailure !== null) this.#keep(refusalOf(record, at));
  }

  #countsAt(at: number): Record<Counted, number> {
    const slot = Math.floor(at / SLOT_MS);
    const known = this.#slots.get(slot);
    if (known !== undefined) return known;
    const counts = byName(COUNTED, () => 0);
    this.#slots.set(slot, counts);
    dropOldest(this.#slots, SLOTS_KEPT);
    return counts;
  }

  #keep(refusal: RefusalGroup): void {
    const reason = refusal.upstreamFailure ?? refusal.rule ?? refusal.reason;
    this.#groups[reason] ??= new Map();
    const groups = this.#groups[reason];
    const group = [refusal.decision, refusal.route, refusal.client, refusal.header].join(' ');
    const before = groups.get(group);
    groups.delete(group);
    // Diagnoses are rate-limited: the last request of a flood may have none, so an earlier hint is kept.
    groups.set(group, { ...refusal, hint: refusal.hint ?? before?.hint ?? null, count: (before?.count ?? 0) + 1 });
    const oldest = groups.keys().next().value ?? group;
    const amount = groups.get(oldest)?.count ?? 0;
    if (dropOldest(groups, GROUPS_PER_REASON) !== undefined)
      this.#dropped[reason] = (this.#dropped[reason] ?? 0) + amount;
  }

  /** The parts of a status snapshot that come from requests. */
  view(): Pick<StatusSnapshot, 'recent' | 'refusals' | 'undelivered'> {
    const refusals = Object.entries(this.#groups).flatMap(([reason, kept]) => {
      const groups = [...kept.values()];
      const others = this.#dropped[reason] ?? 0;
      return groups.map((group, at) => (at === groups.length - 1 ? { ...group, others } : group));
    });
    return {
      recent: this.#counts(),
      refusals: refusals.sort((a, b) => b.at - a.at).slice(0, SHOWN_GROUPS),
      undelivered: this.#undelivered,
    };
  }

  #counts(): RecentCounts {
    const newest = Math.floor(Date.now() / SLOT_MS);
    const minute = (name: Counted, at: number) =>
      this.#sum(name, newest - (59 - at) * SLOTS_PER_MINUTE, SLOTS_PER_MINUTE);
    const lately = byName(COUNTED, (name) => this.#sum(name, newest, SLOTS_COUNTED));
    // A client that leaves needs no attention, so it is never the top reason.
    const reasons = REASON_NAMES.filter((name) => name !== 'client_closed' && lately[name] > 0);
    return {
      windowSeconds: (SLOTS_COUNTED * SLOT_MS) / 1000,
      ...byName(CURVES, (name) => lately[name]),
      noise: lately.noise,
      topReason: reasons.toSorted((a, b) => lately[b] - lately[a])[0] ?? null,
      reasons: byReason((name) => lately[name] - lately[`signed ${name}`]),
      signedReasons: byReason((name) => this.#sum(`signed ${name}`, newest, SLOTS_KEPT)),
      hour: byName(CURVES, (name) => Array.from({ length: 60 }, (_, at) => minute(name, at))),
    };
  }

  /** The sum of the last `slots` slots up to `newest`. */
  #sum(name: Counted, newest: number, slots: number): number {
    let sum = 0;
    for (let slot = newest; slot > newest - slots; slot--) sum += this.#slots.get(slot)?.[name] ?? 0;
    return sum;
  }
}

const byName = <K extends string, V>(names: readonly K[], value: (name: K) => V) =>
  Object.fromEntries(names.map((name) => [name, value(name)])) as Record<K, V>;

/** Only the reasons that occurred. */
const byReason = (count: (name: Reason) => number): RecentCounts['reasons'] =>
  Object.fromEntries(REASON_NAMES.map((name) => [name, count(name)] as const).filter(([, amount]) => amount > 0));

/**
 * True for requests that every public port gets: other paths, other methods, GETs without a signature, also odd ones, and clients that
 * departed. One with a signature may be a delivery, so it is none of these.
 */
function isNoise({ reason, method, signed, decision }: RequestRecord): boolean {
  if (signed) return reason === 'client_closed' && decision !== 'rejected';
  if (reason === 'route_rejected' || reason === 'method_not_allowed' || reason === 'client_closed') return true;
  return (reason === 'missing_signature' || reason === 'bad_request') && (method === 'GET' || method === 'HEAD');
}

function undeliveredOf(record: RequestRecord, at: number): Undelivered {
  const { upstreamFailure, reason, hint, bodySha256 } = record;
  const cause = upstreamFailure ?? (reason === 'overloaded' ? reason : '5xx');
  return { ...shownOf(record, at), cause, hint, bodySha256 };
}

function refusalOf(record: RequestRecord, at: number): RefusalGroup {
  const { method, decision, reason, upstreamFailure, hint, rule, header } = record;
  return {
    ...shownOf(record, at),
    count: 1,
    others: 0,
    method: shortened(method, 32),
    decision,
    reason,
    upstreamFailure,
    hint: hint === null ? null : shortened(hint, 512),
    rule,
    header: header === null ? null : shortened(header, 128),
  };
}

function shownOf({ route, path, status, upstreamError, client }: RequestRecord, at: number) {
  return { at, route, path: shownPath(path), status, upstreamError, client: shortened(client, 64) };
}
