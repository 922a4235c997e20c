// Recent requests, for operators without Prometheus: counts of five minutes, curves of an hour, refusals in groups, and
// deliveries that may be lost. Memory is constant under a flood. Each reason has its own few entries, so a flood of
// one reason never displaces the entry of another that explains a broken rotation.
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

const SLOT_MS = 10_000;
const SLOTS_PER_MINUTE = 6;
const SLOTS_KEPT = 60 * SLOTS_PER_MINUTE;
const SLOTS_COUNTED = 5 * SLOTS_PER_MINUTE;
const GROUPS_PER_REASON = 10;
const SHOWN_GROUPS = 50;
const KEPT_UNDELIVERED = 20;

/** Counts of ten seconds. */
interface Slot {
  /** Epoch time in slots. */
  readonly tick: number;
  readonly curves: Record<Curve, number>;
  readonly reasons: Record<Reason, number>;
  noise: number;
}

export class RecentRequests {
  readonly #now: () => number;
  /** A ring by tick; slots of an earlier hour stay in it until they are overwritten. */
  readonly #slots: (Slot | undefined)[] = Array.from({ length: SLOTS_KEPT });
  /** By a closed set: reasons, the gate's rules, and causes of upstream failures. In each the oldest group is first. */
  readonly #groups = new Map<string, Map<string, Refusal>>();
  #undelivered: readonly Undelivered[] = [];

  /** `now` gives epoch milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  record(record: RequestRecord): void {
    const at = this.#now();
    const slot = this.#slotAt(at);
    slot.curves[record.decision]++;
    if (record.upstreamFailure !== null) slot.curves.upstreamFailures++;
    const refused = record.decision === 'rejected' || record.decision === 'reported';
    if (refused && isNoise(record)) slot.noise++;
    else if (record.reason !== 'none') slot.reasons[record.reason]++;
    if (isUndelivered(record)) {
      this.#undelivered = [undeliveredOf(record, at), ...this.#undelivered.slice(0, KEPT_UNDELIVERED - 1)];
    }
    if (refused || record.upstreamFailure !== null) this.#keep(refusalOf(record, at));
  }

  #slotAt(at: number): Slot {
    const tick = Math.floor(at / SLOT_MS);
    const place = tick % SLOTS_KEPT;
    let slot = this.#slots[place];
    if (slot?.tick !== tick) {
      slot = emptySlot(tick);
      this.#slots[place] = slot;
    }
    return slot;
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
    // Diagnoses are rate-limited: the last request of a flood may have none, so an earlier hint is kept.
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
    const newest = Math.floor(this.#now() / SLOT_MS);
    const sum = emptySlot(newest);
    const hour = byName(CURVES, () => new Array<number>(60).fill(0));
    for (const slot of this.#slots) {
      if (slot === undefined || slot.tick > newest) continue; // a later slot: the clock was set back
      const age = newest - slot.tick;
      if (age >= SLOTS_KEPT) continue;
      const minute = 59 - Math.floor(age / SLOTS_PER_MINUTE);
      for (const curve of CURVES) hour[curve][minute] = (hour[curve][minute] ?? 0) + slot.curves[curve];
      if (age >= SLOTS_COUNTED) continue;
      for (const curve of CURVES) sum.curves[curve] += slot.curves[curve];
      for (const reason of REASON_NAMES) sum.reasons[reason] += slot.reasons[reason];
      sum.noise += slot.noise;
    }
    const windowSeconds = (SLOTS_COUNTED * SLOT_MS) / 1000;
    return { windowSeconds, ...sum.curves, noise: sum.noise, topReason: topReason(sum.reasons), hour };
  }
}

const byName = <K extends string, V>(names: readonly K[], value: (name: K) => V) =>
  Object.fromEntries(names.map((name) => [name, value(name)])) as Record<K, V>;

const zeros = <K extends string>(names: readonly K[]) => byName(names, () => 0);

const emptySlot = (tick: number): Slot => ({ tick, curves: zeros(CURVES), reasons: zeros(REASON_NAMES), noise: 0 });

function topReason(reasons: Readonly<Record<Reason, number>>): Reason | null {
  // A client that leaves needs no attention, so it is never the top reason.
  const names = REASON_NAMES.filter((name) => name !== 'client_closed' && reasons[name] > 0);
  return names.length === 0 ? null : names.reduce((top, name) => (reasons[name] > reasons[top] ? name : top));
}

/**
 * True for requests that every public port gets (other paths, other methods, GETs without a signature) and for clients
 * that left. The alerts ignore the same requests (helm/files/rules.yaml).
 */
function isNoise({ reason, method }: RequestRecord): boolean {
  if (reason === 'route_rejected' || reason === 'method_not_allowed' || reason === 'client_closed') return true;
  return reason === 'missing_signature' && (method === 'GET' || method === 'HEAD');
}

/** Verified, but answered with our own 502, 503 or 504, or with a truncated response: Entrupy documents no retry. */
function isUndelivered({ secret, upstreamFailure, reason }: RequestRecord): boolean {
  return secret !== null && (upstreamFailure !== null || reason === 'overloaded');
}

function undeliveredOf(record: RequestRecord, at: number): Undelivered {
  const { upstreamFailure, bodySha256 } = record;
  return { ...shownOf(record, at), cause: upstreamFailure ?? 'overloaded', bodySha256 };
}

function refusalOf(record: RequestRecord, at: number): Refusal {
  const { method, decision, reason, upstreamFailure, hint, rule, header } = record;
  return {
    ...shownOf(record, at),
    count: 1,
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
