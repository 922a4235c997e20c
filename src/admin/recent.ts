// What happened lately, for operators without Prometheus: counts of five minutes, curves of an hour, refusals in groups,
// and deliveries that may be gone for good. Memory is constant under a flood, and a flood of one reason must never push out
// the one line of another that explains a broken rotation: each reason has its own few places.
import { REASON_NAMES, type Reason } from '../core/decision.ts';
import type { RequestRecord } from '../core/record.ts';
import { shortened, shownPath } from '../log/log.ts';
import {
  CURVES,
  type Curve,
  type RecentCounts,
  type Refusal,
  type StatusSnapshot,
  type Undelivered,
} from './status.ts';

const SLOTS = 30;
const SLOT_MS = 10_000;
const MINUTES = 60;
const MINUTE_MS = 60_000;
const GROUPS_PER_REASON = 10;
const SHOWN_GROUPS = 50;
const KEPT_UNDELIVERED = 20;

interface Slot {
  readonly curves: Record<Curve, number>;
  readonly reasons: Record<Reason, number>;
  noise: number;
}

export class RecentRequests {
  readonly #now: () => number;
  readonly #slots = new Ring(SLOTS, SLOT_MS, emptySlot);
  readonly #minutes = new Ring(MINUTES, MINUTE_MS, () => zeros(CURVES));
  /** By a closed set: reasons, the gate's rules, and the causes of upstream failures. In each the oldest group is first. */
  readonly #groups = new Map<string, Map<string, Refusal>>();
  #undelivered: readonly Undelivered[] = [];

  /** `now` gives epoch milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  record(record: RequestRecord): void {
    const at = this.#now();
    const slot = this.#slots.at(at);
    const minute = this.#minutes.at(at);
    slot.curves[record.decision]++;
    minute[record.decision]++;
    if (record.upstreamFailure !== null) {
      slot.curves.upstreamFailures++;
      minute.upstreamFailures++;
    }
    const refused = record.decision === 'rejected' || record.decision === 'reported';
    if (refused && isNoise(record)) slot.noise++;
    else if (record.reason !== 'none') slot.reasons[record.reason]++;
    if (isUndelivered(record)) {
      this.#undelivered = [undeliveredOf(record, at), ...this.#undelivered.slice(0, KEPT_UNDELIVERED - 1)];
    }
    if (refused || record.upstreamFailure !== null) this.#keep(refusalOf(record, at));
  }

  #keep(refusal: Refusal): void {
    const reason = refusal.upstreamFailure ?? refusal.rule ?? refusal.reason;
    let groups = this.#groups.get(reason);
    if (groups === undefined) {
      groups = new Map();
      this.#groups.set(reason, groups);
    }
    const group = [refusal.decision, refusal.route, refusal.client, refusal.header].join(' ');
    const before = groups.get(group);
    groups.delete(group);
    // Diagnoses are rate-limited: the last request of a flood has none, and an earlier one's explains it as well.
    groups.set(group, { ...refusal, hint: refusal.hint ?? before?.hint ?? null, count: (before?.count ?? 0) + 1 });
    const [oldest] = groups.keys();
    if (groups.size > GROUPS_PER_REASON && oldest !== undefined) groups.delete(oldest);
  }

  /** The parts of a status snapshot that come from requests. */
  view(): Pick<StatusSnapshot, 'recent' | 'refusals' | 'undelivered'> {
    const refusals = [...this.#groups.values()].flatMap((groups) => [...groups.values()]);
    return {
      recent: this.#counts(),
      refusals: refusals.sort((a, b) => b.at - a.at).slice(0, SHOWN_GROUPS),
      undelivered: this.#undelivered,
    };
  }

  #counts(): RecentCounts {
    const at = this.#now();
    const sum = emptySlot();
    for (const slot of this.#slots.last(at)) {
      if (slot === null) continue;
      for (const curve of CURVES) sum.curves[curve] += slot.curves[curve];
      for (const reason of REASON_NAMES) sum.reasons[reason] += slot.reasons[reason];
      sum.noise += slot.noise;
    }
    const hour = this.#minutes.last(at);
    return {
      windowSeconds: (SLOTS * SLOT_MS) / 1000,
      ...sum.curves,
      noise: sum.noise,
      topReason: topReason(sum.reasons),
      hour: byName(CURVES, (curve) => hour.map((minute) => minute?.[curve] ?? 0)),
    };
  }
}

/** Counters for equal spans of time, the last few of them kept. */
class Ring<T> {
  readonly #places: ({ readonly tick: number; readonly value: T } | undefined)[];
  readonly #span: number;
  readonly #empty: () => T;

  constructor(length: number, span: number, empty: () => T) {
    this.#places = Array.from({ length });
    this.#span = span;
    this.#empty = empty;
  }

  at(now: number): T {
    const tick = Math.floor(now / this.#span);
    const place = tick % this.#places.length;
    let entry = this.#places[place];
    // A place with another tick is of an earlier round.
    if (entry?.tick !== tick) {
      entry = { tick, value: this.#empty() };
      this.#places[place] = entry;
    }
    return entry.value;
  }

  /** Oldest first; null for spans in which nothing was counted. */
  last(now: number): readonly (T | null)[] {
    const tick = Math.floor(now / this.#span);
    const { length } = this.#places;
    return Array.from({ length }, (_, index) => {
      const wanted = tick - length + 1 + index;
      const entry = this.#places[wanted % length];
      return entry?.tick === wanted ? entry.value : null;
    });
  }
}

const byName = <K extends string, V>(names: readonly K[], value: (name: K) => V) =>
  Object.fromEntries(names.map((name) => [name, value(name)])) as Record<K, V>;

const zeros = <K extends string>(names: readonly K[]) => byName(names, () => 0);

const emptySlot = (): Slot => ({ curves: zeros(CURVES), reasons: zeros(REASON_NAMES), noise: 0 });

function topReason(reasons: Readonly<Record<Reason, number>>): Reason | null {
  // A client that leaves is no reason to look into: it is never the top.
  const names = REASON_NAMES.filter((name) => name !== 'client_closed' && reasons[name] > 0);
  return names.length === 0 ? null : names.reduce((top, name) => (reasons[name] > reasons[top] ? name : top));
}

/**
 * True for what any public port gets (other paths, other methods, GETs without a signature) and for clients that left:
 * no sign of trouble, as the alerts have it (helm/files/rules.yaml).
 */
function isNoise({ reason, method }: RequestRecord): boolean {
  if (reason === 'route_rejected' || reason === 'method_not_allowed' || reason === 'client_closed') return true;
  return reason === 'missing_signature' && (method === 'GET' || method === 'HEAD');
}

/** Verified, and then our own 502, 503 or 504, or an answer that was cut: Entrupy documents no retry. */
function isUndelivered({ secret, upstreamFailure, reason }: RequestRecord): boolean {
  return secret !== null && (upstreamFailure !== null || reason === 'overloaded');
}

function undeliveredOf(record: RequestRecord, at: number): Undelivered {
  const { route, status, upstreamFailure, upstreamError, bodySha256 } = record;
  const cause = upstreamFailure ?? 'overloaded';
  const path = shownPath(record.path);
  return { at, route, path, status, cause, upstreamError, bodySha256, client: shortened(record.client, 64) };
}

function refusalOf(record: RequestRecord, at: number): Refusal {
  const { route, status, decision, reason, upstreamFailure, upstreamError, hint, rule, header } = record;
  return {
    at,
    count: 1,
    route,
    method: shortened(record.method, 32),
    path: shownPath(record.path),
    status,
    decision,
    reason,
    upstreamFailure,
    upstreamError,
    hint: hint === null ? null : shortened(hint, 512),
    rule,
    header: header === null ? null : shortened(header, 128),
    client: shortened(record.client, 64),
  };
}
