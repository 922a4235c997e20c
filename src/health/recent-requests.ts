// Recent requests, as the status page shows them: counts of the last minutes, grouped refusals, and deliveries that may be
// lost. The judge does not read them. Memory is constant under a flood: each reason has its own few entries, so a flood
// of one never displaces another that explains a broken rotation.
import { dropOldest } from '../base/indexed-set.ts';
import { DECISIONS, type Decision } from '../core/reasons.ts';
import type { DeliveryRecord, RequestRecord } from '../core/request-record.ts';
import { Counts } from './counts.ts';
import { isNoise } from './ledger.ts';
import { type ShownRequest, shownOf } from './shown-request.ts';
import { MINUTE } from './times.ts';

/** The minutes that `recent` covers. */
const LATELY = 5;
const GROUPS_PER_REASON = 10;
const SHOWN_GROUPS = 50;
const KEPT_UNDELIVERED = 20;

/** The last of the refused, reported or failed requests with the same decision, cause, route, client and header. */
export interface RefusalGroup extends ShownRequest {
  readonly count: number;
}

type LostFields = 'at' | 'route' | 'path' | 'status' | 'upstreamError' | 'diagnosis' | 'hint' | 'bodySha256' | 'client';

/** A delivery that may be lost: it failed or was abandoned. */
export interface Undelivered extends Pick<ShownRequest, LostFields> {
  readonly fate: 'failed' | 'abandoned';
  /** The upstream's failure or status, `overloaded` or `abandoned`. */
  readonly cause: string;
}

export class RecentRequests {
  /** By decision; the last kind is noise. */
  readonly #counts = new Counts(DECISIONS.length + 1, LATELY, MINUTE);
  /** Keyed by a closed set: reasons, gate rules, and causes of upstream failures. In each map, the oldest is first. */
  readonly #groups: Record<string, Map<string, RefusalGroup>> = {};
  #undelivered: readonly Undelivered[] = [];
  #lastProbe: ShownRequest | null = null;

  /** `now`: milliseconds of the monotonic clock. */
  record(record: RequestRecord, now: number): void {
    const { decision, fate } = record;
    this.#counts.add(DECISIONS.indexOf(decision), now);
    if (decision === 'probe') {
      this.#lastProbe = shownOf(record, Date.now());
      return;
    }
    const isRefused = decision === 'rejected' || decision === 'reported';
    if (isRefused && isNoise(record)) this.#counts.add(DECISIONS.length, now);
    if (isRefused || (fate === 'none' && record.upstreamFailure !== null)) this.#keep(shownOf(record, Date.now()));
  }

  /** Called when a delivery's fate is known, perhaps long after its client left. */
  deliver(record: DeliveryRecord): void {
    const { fate, upstreamFailure } = record;
    const isLost = fate === 'failed' || fate === 'abandoned';
    if (!isLost && upstreamFailure === null) return;
    const shown = shownOf(record, Date.now());
    if (isLost) this.#lose({ ...shown, cause: causeOf(record), fate });
    if (upstreamFailure !== null) this.#keep(shown);
  }

  #lose(lost: Undelivered): void {
    this.#undelivered = [lost, ...this.#undelivered.slice(0, KEPT_UNDELIVERED - 1)];
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

  view(now: number) {
    const refusals = Object.values(this.#groups).flatMap((groups) => [...groups.values()]);
    const decisions = DECISIONS.map((decision, kind) => [decision, this.#counts.sum(kind, now)] as const);
    return {
      recent: {
        windowSeconds: (LATELY * MINUTE) / 1000,
        ...(Object.fromEntries(decisions) as Record<Decision, number>),
        /** Rejected and reported requests that need no attention. */
        noise: this.#counts.sum(DECISIONS.length, now),
      },
      /** Newest first, and so is `undelivered`. */
      refusals: refusals.sort((a, b) => b.at - a.at).slice(0, SHOWN_GROUPS),
      undelivered: this.#undelivered,
      /** The last verified probe; null before the first. */
      lastProbe: this.#lastProbe,
    };
  }
}

function causeOf({ upstreamFailure, upstreamStatus, fate }: DeliveryRecord): string {
  const own = fate === 'abandoned' ? fate : 'overloaded';
  return upstreamFailure ?? (upstreamStatus > 0 ? `${upstreamStatus}` : own);
}
