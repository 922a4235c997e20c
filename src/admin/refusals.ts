// Refusals for the status page, grouped by what they have in common, and the last deliveries that may be gone for good.
// Memory is constant under a flood, and a flood of one reason must never push out the one line of another that explains a
// broken rotation: each reason has its own few places.
import type { RequestRecord } from '../core/record.ts';
import { shortened, shownPath } from '../log/redact.ts';
import type { Refusal, Undelivered } from './status.ts';

export interface Refusals {
  record(record: RequestRecord): void;
  /** A group each, the one with the newest refusal first, at most 50. */
  list(): readonly Refusal[];
  /** Newest first, at most 20. */
  undelivered(): readonly Undelivered[];
}

const GROUPS_A_REASON = 10;
const SHOWN = 50;
const KEPT_UNDELIVERED = 20;

/** Keeps refused and reported requests, and those that the upstream failed. `now` gives epoch milliseconds. */
export function createRefusals(now: () => number): Refusals {
  // By a closed set: reasons, the gate's rules, and the causes of upstream failures. In each the oldest group is first.
  const kept = new Map<string, Map<string, Refusal>>();
  let undelivered: readonly Undelivered[] = [];
  return {
    record(record) {
      if (isUndelivered(record))
        undelivered = [undeliveredOf(record, now()), ...undelivered.slice(0, KEPT_UNDELIVERED - 1)];
      if (!isTrouble(record)) return;
      const reason = record.upstreamFailure ?? record.rule ?? record.reason;
      let groups = kept.get(reason);
      if (groups === undefined) {
        groups = new Map();
        kept.set(reason, groups);
      }
      const refusal = refusalOf(record, now());
      const group = [refusal.decision, refusal.route, refusal.client, refusal.header].join(' ');
      const before = groups.get(group);
      groups.delete(group);
      // Diagnoses are rate-limited: the last request of a flood has none, and an earlier one's explains it as well.
      groups.set(group, { ...refusal, hint: refusal.hint ?? before?.hint ?? null, count: (before?.count ?? 0) + 1 });
      const [oldest] = groups.keys();
      if (groups.size > GROUPS_A_REASON && oldest !== undefined) groups.delete(oldest);
    },
    list() {
      const all = [...kept.values()].flatMap((groups) => [...groups.values()]);
      return all.sort((a, b) => b.at - a.at).slice(0, SHOWN);
    },
    undelivered: () => undelivered,
  };
}

function isTrouble(record: RequestRecord): boolean {
  return record.decision === 'rejected' || record.decision === 'reported' || record.upstreamFailure !== null;
}

/** Verified, and then our own 502, 503 or 504, or an answer that was cut: Entrupy documents no retry. */
function isUndelivered({ secret, upstreamFailure, reason }: RequestRecord): boolean {
  return secret !== null && (upstreamFailure !== null || reason === 'overloaded');
}

function undeliveredOf(record: RequestRecord, at: number): Undelivered {
  const { route, status, upstreamFailure, upstreamError, bodySha256, client } = record;
  const cause = upstreamFailure ?? 'overloaded';
  const path = shownPath(record.path);
  return { at, route, path, status, cause, upstreamError, bodySha256, client: shortened(client, 64) };
}

function refusalOf(record: RequestRecord, at: number): Refusal {
  return {
    at,
    count: 1,
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
