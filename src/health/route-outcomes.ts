// The outcomes of the deliveries of one route: its episode of bad ones, and its losses of a day, whatever came since. Times
// are milliseconds of the monotonic clock: no step of the machine's clock moves one.
import { dropOldest } from '../base/indexed-set.ts';
import { Cause, type Detail, detailOf, FEW } from './causes.ts';
import { Counts, copied } from './counts.ts';
import type { Diagnosis } from './diagnoses.ts';
import { Episode, KEPT } from './episode.ts';
import { HOUR } from './times.ts';

/** The ends of a delivery that may be lost. `refused`: by the app (4xx), or by us before the verdict. */
export const LOST_ENDS = ['failed', 'abandoned', 'refused', 'turnedAway'] as const;
export type LostEnd = (typeof LOST_ENDS)[number];

/** The events that are remembered as untaken: 1 MB. Older ones count on, though nothing can end them. */
const MOST_UNTAKEN = 4000;

/** So many tries of an event, each begun before the one that ended before it, came back to us. */
const LOOPED = 3;

/** An event that the app has not taken, as its last try ended. `loss`: null while it is stored. */
interface Untaken {
  readonly loss: LostEnd | null;
  readonly diagnosis: Diagnosis;
  readonly at: number;
  readonly startedAt: number;
  /** How many tries before it lay within each other, and within this one. */
  readonly within: number;
  /** The number of its cause, in whose time it has one outcome. */
  readonly cause: number;
}

export class Outcomes {
  /** All since the start. */
  good = 0;
  lastGood = Number.NaN;
  /** How many good ones were known when the app answered one with 3xx. */
  redirectAt = Number.NEGATIVE_INFINITY;
  redirectStatus = 0;
  readonly redirected = new Counts(1, 25, HOUR);
  /** When the last good ones came; one that was sent again leaves what is there. */
  readonly #goodStarts = new Float64Array(KEPT);
  #episode: Episode | null = null;
  #causes = 0;
  /** By event, the oldest first. */
  readonly untaken = new Map<string, Untaken>();
  /** Of those stored ones that failed again since the last fresh good one: FEW at most. */
  readonly #again = new Set<string>();
  /** By diagnosis, in the order of their first; kinds as in LOST_ENDS. */
  readonly losses = new Map<Diagnosis, Counts>();
  lastLoss = Number.NaN;

  addGood(record: Pick<Detail, 'upstreamStatus' | 'startedAt' | 'event'>, now: number): void {
    const { upstreamStatus: status, startedAt } = record;
    if (startedAt > 0) this.#goodStarts[this.good % KEPT] = startedAt;
    if (!(startedAt > 0)) this.#again.delete(record.event);
    else if (this.#again.size > 0) this.#again.clear(); // of an empty one V8 makes a new table, too
    this.good++;
    this.lastGood = now;
    if (status >= 300) {
      this.redirectAt = this.good;
      this.redirectStatus = status;
      this.redirected.add(0, now);
    }
    const isKnown = this.end(record);
    this.#episode?.add(null, now, isKnown ? 0 : 1);
  }

  /** An event is lost once, and counts for the cause that its last try met. `loss`: null for what is stored. */
  addBad(met: Diagnosis, loss: LostEnd | null, record: Detail, now: number): void {
    const { event, startedAt, upstreamStatus } = record;
    const before = this.untaken.get(event);
    // Once the app has taken others, a few stored ones that fail again speak for themselves alone.
    const isAgain = loss === null && before?.loss === null && before.at < this.lastGood;
    if (isAgain && this.#again.size < FEW && this.#again.add(copied(event)).size < FEW)
      return void detailOf(record, this.episode(now)?.causes.get(met)?.detail);
    const episode = this.episode(now) ?? new Episode();
    this.#episode = episode;
    // An only entry stays: of a map that is emptied and filled again V8 makes two tables (OrderedHashTable::Shrink), 150
    // bytes in old space, which only a full collection frees.
    if (this.untaken.size > 1) this.untaken.delete(event);
    const known = before === undefined ? null : this.#uncount(before);
    if (known !== null) known.times--;
    const within = before !== undefined && startedAt < before.startedAt ? before.within + 1 : 0;
    const diagnosis = upstreamStatus > 0 && within >= LOOPED ? 'upstream-loop' : met;
    const cause = episode.causes.get(diagnosis) ?? this.#begin(diagnosis, record, now);
    episode.causes.set(diagnosis, cause);
    episode.add(cause, now, known === null ? 1 : 0);
    // It may have come before the first one that met this cause, and is one of those now.
    cause.all = Math.max(cause.all, cause.times);
    detailOf(record, cause.detail);
    if (event !== '')
      this.untaken.set(copied(event), { loss, diagnosis, at: now, startedAt, within, cause: cause.first.nth });
    dropOldest(this.untaken, MOST_UNTAKEN);
    if (loss === null) return;
    cause.lost++;
    this.lastLoss = now;
    const counts = this.losses.get(diagnosis) ?? new Counts(LOST_ENDS.length, 25, HOUR);
    this.losses.set(diagnosis, counts);
    counts.add(LOST_ENDS.indexOf(loss), now);
  }

  /** The app has taken the event. True if it had been untaken in the time of its cause. */
  end(record: Pick<Detail, 'event'>): boolean {
    // Where nothing is untaken, the signature is not even read.
    const known = this.untaken.size === 0 ? undefined : this.untaken.get(record.event);
    return known !== undefined && this.untaken.delete(record.event) && this.#uncount(known) !== null;
  }

  /** The store has nothing of this route any more: another process has sent it, or a person has dropped it. */
  endStored(): void {
    for (const [event, known] of this.untaken)
      if (known.loss === null && this.untaken.delete(event)) this.#uncount(known);
    for (const cause of this.#episode?.causes.values() ?? []) cause.open = cause.lost;
  }

  /** Returns its cause, if that is not over. */
  #uncount({ loss, diagnosis, at, cause: nth }: Untaken): Cause | null {
    const known = this.#episode?.causes.get(diagnosis);
    const cause = known?.first.nth === nth ? known : null;
    if (cause !== null) cause.open--;
    if (loss === null) return cause;
    if (cause !== null) cause.lost--;
    this.losses.get(diagnosis)?.add(LOST_ENDS.indexOf(loss), at, -1);
    if (at === this.lastLoss) for (const { loss, at } of this.untaken.values()) if (loss !== null) this.lastLoss = at;
    return cause;
  }

  #begin(diagnosis: Diagnosis, { startedAt: began, fate }: Detail, known: number): Cause {
    const beside = this.#goodStarts.filter((at) => at > began).length;
    const first = { nth: ++this.#causes, began, known, goodBefore: this.lastGood, beside };
    return new Cause(diagnosis, fate === 'none', first);
  }

  /** The open episode; null if there is none. */
  episode(now: number): Episode | null {
    if (this.#episode?.endCauses(now) === true) this.#episode = null;
    return this.#episode;
  }

  /** How many of the last day may be lost. */
  lost(now: number, ends: readonly LostEnd[] = LOST_ENDS, causes = [...this.losses.values()]): number {
    return causes.flatMap((one) => ends.map((end) => one.sum(LOST_ENDS.indexOf(end), now))).reduce((a, b) => a + b, 0);
  }
}
