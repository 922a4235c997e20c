// What happened in the last five minutes, for the status page of those who have no Prometheus. Constant memory: thirty
// slots of ten seconds, reused in a ring.
import { type Decision, REASON_NAMES, type Reason } from '../core/decision.ts';
import type { RequestRecord } from '../core/record.ts';
import type { RecentCounts } from './status.ts';

const SLOTS = 30;
const SLOT_MS = 10_000;

export interface RecentRequests {
  record(record: RequestRecord): void;
  counts(): RecentCounts;
}

interface Slot {
  /** Which ten seconds since the epoch it counts; a slot of another time is stale. */
  tick: number;
  readonly decisions: Record<Decision, number>;
  readonly reasons: Record<Reason, number>;
  upstreamFailures: number;
}

/** `now` gives epoch milliseconds. */
export function createRecentRequests(now: () => number): RecentRequests {
  const slots = new Map<number, Slot>();
  const tickNow = () => Math.floor(now() / SLOT_MS);
  return {
    record(record) {
      const tick = tickNow();
      let slot = slots.get(tick % SLOTS);
      if (slot === undefined || slot.tick !== tick) {
        slot = emptySlot(tick);
        slots.set(tick % SLOTS, slot);
      }
      slot.decisions[record.decision]++;
      if (record.reason !== 'none') slot.reasons[record.reason]++;
      if (record.upstreamFailure !== null) slot.upstreamFailures++;
    },
    counts() {
      const last = tickNow();
      const sum = emptySlot(last);
      for (const slot of slots.values()) {
        if (slot.tick <= last - SLOTS || slot.tick > last) continue;
        for (const [name, count] of entries(slot.decisions)) sum.decisions[name] += count;
        for (const [name, count] of entries(slot.reasons)) sum.reasons[name] += count;
        sum.upstreamFailures += slot.upstreamFailures;
      }
      return {
        windowSeconds: (SLOTS * SLOT_MS) / 1000,
        ...sum.decisions,
        upstreamFailures: sum.upstreamFailures,
        topReason: topReason(sum.reasons),
      };
    },
  };
}

function emptySlot(tick: number): Slot {
  return {
    tick,
    decisions: { accepted: 0, rejected: 0, reported: 0, forwarded: 0, duplicate: 0 },
    reasons: Object.fromEntries(REASON_NAMES.map((name) => [name, 0])) as Record<Reason, number>,
    upstreamFailures: 0,
  };
}

/** A client that leaves is no reason to look into: it is the top only where there is nothing else. */
function topReason(reasons: Readonly<Record<Reason, number>>): Reason | null {
  let top: Reason | null = null;
  for (const [name, count] of entries(reasons)) {
    if (count === 0 || (name === 'client_closed' && top !== null)) continue;
    if (top === null || count > reasons[top]) top = name;
  }
  return top;
}

function entries<K extends string>(record: Readonly<Record<K, number>>): [K, number][] {
  return Object.entries(record) as [K, number][];
}
