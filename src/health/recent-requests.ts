// Recent requests, as the status page shows them: grouped refusals, and deliveries that may be lost. The judge does not
// read them. Memory is constant under a flood: each reason has its own few entries, so a flood of one never displaces
// another that explains a broken rotation.
import { dropOldest } from '../base/indexed-set.ts';
import { diagnosisOf } from '../core/request-diagnosis.ts';
import type { DeliveryRecord, RequestRecord } from '../core/request-record.ts';
import { shownRequest } from '../log/request-log.ts';
import type { Diagnosis } from './diagnoses.ts';

const GROUPS_PER_REASON = 10;
const SHOWN_GROUPS = 50;
const KEPT_UNDELIVERED = 20;

export type ShownRequest = Readonly<ReturnType<typeof shownOf>>;

/** The last of the refused, reported or failed requests with the same decision, cause, route, client and header. */
export interface RefusalGroup extends ShownRequest {
  readonly count: number;
}

/** A delivery that may be lost: it failed or was abandoned. */
export interface Undelivered extends ShownRequest {
  /** The upstream's failure or status, `overloaded` or `abandoned`. */
  readonly cause: string;
}

export class RecentRequests {
  /** Keyed by a closed set: reasons, gate rules, and causes of upstream failures. In each map, the oldest is first. */
  readonly #groups: Record<string, Map<string, RefusalGroup>> = {};
  #undelivered: readonly (readonly [event: string, shown: Undelivered])[] = [];
  #lastProbe: ShownRequest | null = null;

  record(record: RequestRecord, diagnosis: Diagnosis | null): void {
    const { decision, fate } = record;
    const isRefused = decision === 'rejected' || decision === 'reported';
    const isKept = isRefused || (fate === 'none' && record.upstreamFailure !== null);
    if (decision === 'probe') this.#lastProbe = shownOf(record, diagnosis);
    else if (isKept) this.#keep(shownOf(record, diagnosis));
  }

  /** Called when a delivery's fate is known, perhaps long after its client left. */
  deliver(record: DeliveryRecord): void {
    const { fate, upstreamFailure } = record;
    if (fate !== 'refused') this.end(record);
    const isLost = fate === 'failed' || fate === 'abandoned';
    if (!isLost && upstreamFailure === null) return;
    const shown = shownOf(record, diagnosisOf(record));
    const own = fate === 'abandoned' ? fate : 'overloaded';
    const cause = upstreamFailure ?? (record.upstreamStatus > 0 ? `${record.upstreamStatus}` : own);
    if (isLost)
      this.#undelivered = [[record.event, { ...shown, cause }], ...this.#undelivered.slice(0, KEPT_UNDELIVERED - 1)];
    if (upstreamFailure !== null) this.#keep(shown);
  }

  /** The event is lost no more, as far as a delivery before this one was. */
  end(record: Pick<DeliveryRecord, 'event'>): void {
    if (this.#undelivered.length === 0) return; // else the signature is read
    this.#undelivered = this.#undelivered.filter(([event]) => event !== record.event);
  }

  #keep(refusal: ShownRequest): void {
    const reason = refusal.upstreamFailure ?? refusal.rule ?? refusal.reason;
    this.#groups[reason] ??= new Map();
    const groups = this.#groups[reason];
    const group = [refusal.decision, refusal.route, refusal.client, refusal.header].join(' ');
    const before = groups.get(group);
    // An only entry stays: of a map that is emptied and filled again V8 makes two tables (OrderedHashTable::Shrink), 150
    // bytes in old space, which only a full collection frees. So in Outcomes#addBad.
    if (groups.size > 1) groups.delete(group);
    // Hints are rate-limited: the last request of a flood may have none, so an earlier hint is kept.
    const { hint, diagnosis, secret } = refusal.hint === null && before?.hint != null ? before : refusal;
    groups.set(group, { ...refusal, hint, diagnosis, secret, count: (before?.count ?? 0) + 1 });
    dropOldest(groups, GROUPS_PER_REASON);
  }

  view() {
    const refusals = Object.values(this.#groups).flatMap((groups) => [...groups.values()]);
    return {
      /** Newest first, and so is `undelivered`. */
      refusals: refusals.sort((a, b) => b.at - a.at).slice(0, SHOWN_GROUPS),
      undelivered: this.#undelivered.map(([, shown]) => shown),
      /** The last verified probe; null before the first. */
      lastProbe: this.#lastProbe,
    };
  }
}

function shownOf(record: RequestRecord, diagnosis: Diagnosis | null) {
  // `secret`: the id of the secret outside its dates that signed the request.
  return { at: Date.now(), ...shownRequest(record, diagnosis), secret: record.hint?.secret ?? null };
}
