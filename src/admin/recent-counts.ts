// What happened of late, for the status page of those who have no Prometheus: counts of five minutes, curves of an hour.
// Constant memory: slots of ten seconds and of a minute, reused in rings.
import { type Decision, REASON_NAMES, type Reason } from '../core/decision.ts';
import type { RequestRecord } from '../core/record.ts';
import { CURVES, type Curve, type RecentCounts } from './status.ts';

const SLOTS = 30;
const SLOT_MS = 10_000;
const MINUTES = 60;
const MINUTE_MS = 60_000;

export interface RecentRequests {
  record(record: RequestRecord): void;
  counts(): RecentCounts;
}

interface Slot {
  readonly decisions: Record<Decision, number>;
  readonly reasons: Record<Reason, number>;
  upstreamFailures: number;
  noise: number;
}

/**
 * True for what any public port gets (other paths, other methods, GETs without a signature) and for clients that left:
 * no sign of trouble, as the alerts have it (helm/files/rules.yaml).
 */
export function isNoise({ reason, method }: Pick<RequestRecord, 'reason' | 'method'>): boolean {
  if (reason === 'route_rejected' || reason === 'method_not_allowed' || reason === 'client_closed') return true;
  return reason === 'missing_signature' && (method === 'GET' || method === 'HEAD');
}

/** `now` gives epoch milliseconds. */
export function createRecentRequests(now: () => number): RecentRequests {
  const slots = new Ring(SLOTS, SLOT_MS, emptySlot);
  const minutes = new Ring(MINUTES, MINUTE_MS, emptyCurves);
  return {
    record(record) {
      const at = now();
      const slot = slots.at(at);
      slot.decisions[record.decision]++;
      const refused = record.decision === 'rejected' || record.decision === 'reported';
      if (refused && isNoise(record)) slot.noise++;
      else if (record.reason !== 'none') slot.reasons[record.reason]++;
      const minute = minutes.at(at);
      minute[record.decision]++;
      if (record.upstreamFailure === null) return;
      slot.upstreamFailures++;
      minute.upstreamFailures++;
    },
    counts() {
      const at = now();
      const sum = emptySlot();
      for (const slot of slots.last(at)) {
        if (slot === null) continue;
        for (const [name, count] of entries(slot.decisions)) sum.decisions[name] += count;
        for (const [name, count] of entries(slot.reasons)) sum.reasons[name] += count;
        sum.upstreamFailures += slot.upstreamFailures;
        sum.noise += slot.noise;
      }
      const hour = minutes.last(at);
      return {
        windowSeconds: (SLOTS * SLOT_MS) / 1000,
        ...sum.decisions,
        upstreamFailures: sum.upstreamFailures,
        noise: sum.noise,
        topReason: topReason(sum.reasons),
        hour: Object.fromEntries(CURVES.map((name) => [name, hour.map((minute) => minute?.[name] ?? 0)])) as Curves,
      };
    },
  };
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
    // A slot of another time is stale.
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

type Curves = Record<Curve, number[]>;

const emptyCurves = () => Object.fromEntries(CURVES.map((name) => [name, 0])) as Record<Curve, number>;

function emptySlot(): Slot {
  return {
    decisions: { accepted: 0, rejected: 0, reported: 0, forwarded: 0, duplicate: 0 },
    reasons: Object.fromEntries(REASON_NAMES.map((name) => [name, 0])) as Record<Reason, number>,
    upstreamFailures: 0,
    noise: 0,
  };
}

function topReason(reasons: Readonly<Record<Reason, number>>): Reason | null {
  let top: Reason | null = null;
  for (const [name, count] of entries(reasons)) {
    // A client that leaves is no reason to look into: it is never the top.
    if (count > 0 && name !== 'client_closed' && (top === null || count > reasons[top])) top = name;
  }
  return top;
}

function entries<K extends string>(record: Readonly<Record<K, number>>): [K, number][] {
  return Object.entries(record) as [K, number][];
}
