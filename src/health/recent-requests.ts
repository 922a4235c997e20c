// Recent requests, as the status page shows them: grouped refusals, and deliveries that may be lost. The judge does not
// read them. Memory is constant under a flood: each reason has its own few entries, so none displaces another.
import { diagnosisOf } from '../core/request-diagnosis.ts';
import type { DeliveryRecord, RequestRecord } from '../core/request-record.ts';
import { shownRequest } from '../log/request-log.ts';
import type { Diagnosis } from './diagnoses.ts';
import { copied, type Detail, Tally } from './tallies.ts';

const GROUPS_PER_REASON = 10;
const SHOWN_GROUPS = 50;
const KEPT_UNDELIVERED = 20;

export type ShownRequest = Readonly<ReturnType<typeof shownOf>>;

/** The last of the refused, reported or failed requests of a group, and how many there were. */
export type RefusalGroup = ShownRequest & { readonly count: number };

/** A delivery that may be lost: it failed or was abandoned. */
export interface Undelivered extends ShownRequest {
  /** The upstream's failure or status, `overloaded` or `abandoned`. */
  readonly cause: string;
}

export class RecentRequests {
  /** Keyed by a closed set: reasons, gate rules, and causes of upstream failures. In each list, the oldest is first. */
  readonly #groups: Record<string, Tally[]> = {};
  #undelivered: readonly (readonly [event: string, shown: Undelivered])[] = [];
  #lastProbe: ShownRequest | null = null;

  record(record: RequestRecord, diagnosis: Diagnosis | null): void {
    const { decision, fate } = record;
    const isRefused = decision === 'rejected' || decision === 'reported';
    const isKept = isRefused || (fate === 'none' && record.upstreamFailure !== null);
    if (decision === 'probe') this.#lastProbe = shownOf(record, diagnosis);
    else if (isKept && diagnosis !== null) this.#keep(record, diagnosis);
  }

  /** Called when a delivery's fate is known, perhaps long after its client left. */
  deliver(record: DeliveryRecord): void {
    const { fate, upstreamFailure } = record;
    if (fate !== 'refused') this.end(record);
    const isLost = fate === 'failed' || fate === 'abandoned';
    if (!isLost && upstreamFailure === null) return;
    const shown = shownOf(record, diagnosisOf(record));
    const cause = upstreamFailure ?? `${record.upstreamStatus || (fate === 'abandoned' ? fate : 'overloaded')}`;
    if (isLost)
      this.#undelivered = [[record.event, { ...shown, cause }], ...this.#undelivered.slice(0, KEPT_UNDELIVERED - 1)];
    if (upstreamFailure !== null && shown.diagnosis !== null) this.#keep(record, shown.diagnosis);
  }

  /** The event is lost no more, as far as a delivery before this one was. */
  end(record: Pick<DeliveryRecord, 'event'>): void {
    if (this.#undelivered.length === 0) return; // else the signature is read
    this.#undelivered = this.#undelivered.filter(([event]) => event !== record.event);
  }

  #keep(record: RequestRecord, diagnosis: Diagnosis): void {
    const reason = record.upstreamFailure ?? record.rule ?? record.reason;
    this.#groups[reason] ??= [];
    const groups = this.#groups[reason];
    const index = groups.findIndex(({ detail }) => isSame(detail, record));
    const [group = new Tally()] = index < 0 ? [] : groups.splice(index, 1);
    if (groups.push(group) > GROUPS_PER_REASON) groups.shift();
    // An earlier hint stays, with its diagnosis.
    const isTold = record.hint !== null || group.detail.hint === null;
    group.add(isTold ? diagnosis : group.diagnosis, record, Date.now());
    group.detail.path = copied(record.path);
    group.detail.header = record.header && copied(record.header);
  }

  view() {
    const groups = Object.values(this.#groups).flat();
    const refusals = groups.map(({ detail, diagnosis, lastAt, total }) => {
      return { ...shownOf(detail, diagnosis, lastAt), count: total };
    });
    return {
      /** Newest first, and so is `undelivered`. */
      refusals: refusals.sort((a, b) => b.at - a.at).slice(0, SHOWN_GROUPS),
      undelivered: this.#undelivered.map(([, shown]) => shown),
      /** The last verified probe; null before the first. */
      lastProbe: this.#lastProbe,
    };
  }
}

/** True for requests of one group, if their cause is the same, too. */
const isSame = ({ client, route, header, decision }: Detail, other: Detail) =>
  other.client === client && other.route === route && other.header === header && other.decision === decision;

function shownOf(record: Parameters<typeof shownRequest>[0], diagnosis: Diagnosis | null, at = Date.now()) {
  // `secret`: the id of the secret outside its dates that signed the request.
  return { at, ...shownRequest(record, diagnosis), secret: record.hint?.secret ?? null };
}
