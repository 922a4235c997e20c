// The last few refusals, for the status page. Memory is constant under a flood, and a flood of one reason must never
// push out the one line of another that explains a broken rotation: each reason has its own few places.
import type { RequestRecord } from '../core/record.ts';
import { shortened, shownPath } from './redact.ts';
import type { Refusal } from './status.ts';

export interface Refusals {
  record(record: RequestRecord): void;
  /** Newest first, at most 50. */
  list(): readonly Refusal[];
}

const PLACES_A_REASON = 10;
const SHOWN = 50;

/** Keeps refused and reported requests, and those that the upstream failed. `now` gives epoch milliseconds. */
export function createRefusals(now: () => number): Refusals {
  const kept = new Map<string, { readonly places: Refusal[]; next: number }>();
  return {
    record(record) {
      if (!isTrouble(record)) return;
      // A closed set: reasons, the gate's rules, and the causes of upstream failures.
      const key = record.upstreamFailure ?? record.rule ?? record.reason;
      let ring = kept.get(key);
      if (ring === undefined) {
        ring = { places: [], next: 0 };
        kept.set(key, ring);
      }
      ring.places[ring.next] = refusalOf(record, now());
      ring.next = (ring.next + 1) % PLACES_A_REASON;
    },
    list() {
      const all = [...kept.values()].flatMap((ring) => ring.places);
      return all.sort((a, b) => b.at - a.at).slice(0, SHOWN);
    },
  };
}

function isTrouble(record: RequestRecord): boolean {
  return record.decision === 'rejected' || record.decision === 'reported' || record.upstreamFailure !== null;
}

function refusalOf(record: RequestRecord, at: number): Refusal {
  return {
    at,
    route: record.route,
    method: shortened(record.method, 32),
    path: shownPath(record.path),
    status: record.status,
    decision: record.decision,
    reason: record.reason,
    upstreamFailure: record.upstreamFailure,
    upstreamError: record.upstreamError,
    hint: record.hint === null ? null : shortened(record.hint, 512),
    rule: record.rule,
    header: record.header === null ? null : shortened(record.header, 128),
    client: shortened(record.client, 64),
  };
}
