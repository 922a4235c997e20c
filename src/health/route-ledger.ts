// What became of the deliveries of one route: its losses of a day, whatever came since, and its open causes of bad outcomes.
// THE ONE RULE FOR SHARES is `told`. A cause has its own share, its own row of good ones since its last bad one, and its own
// end; what came before its first has no part in it. Four an hour and a hundred a second are judged alike, and nothing
// flips: a state is left later than it is reached. Times are milliseconds of the monotonic clock.
import { dropOldest } from '../base/drop-oldest.ts';
import { FATES, type Fate } from '../core/fate-by-status.ts';
import type { Diagnosis } from './diagnoses.ts';
import { Counts, copied, type Detail, detailOf, entryOf, NONE } from './tallies.ts';
import { DAY, MINUTE, QUARTER, SECOND } from './times.ts';

/** The ends of a delivery that may be lost. `refused`: by the app (4xx), or by us before the verdict. */
export const LOST_ENDS = ['failed', 'abandoned', 'refused', 'turnedAway'] as const;
export type LostEnd = (typeof LOST_ENDS)[number];

/** Milliseconds from its first one on before a cause is failed: an app that restarts needs a moment. */
const SETTLE_MS = 10 * SECOND;
/** `failed` is reached, too, at this share of bad outcomes of the last minute, or of the last MANY if it has fewer. */
const REACHED = 1 / 5;
const MANY = 20;
const LEAST_BAD = 3;
/** `failed` is left below this share of the last quarter of an hour, or of the last MORE. */
const LEFT = 1 / 20;
const MORE = 60;
/** Tries that end within so many milliseconds are counted together: a quarter of an hour has this many counts of three kinds. */
const TOGETHER_MS = 10 * SECOND;
const MOST_COUNTS = (3 * QUARTER) / TOGETHER_MS;
/** Good ones in a row without which nothing ends: eight may come while a third is bad. */
const LEAST_GOOD = 9;
const FEW_GOOD = 4;
/** This many deliveries that met another cause show that the one before is over; so many stored ones, that it is not. */
export const FEW = 3;
/** The events that are remembered as untaken: 1 MB. Older ones count on, though nothing can end them. */
const MOST_UNTAKEN = 4000;
/** So many tries of an event, each begun before the one that ended before it, came back to us. */
const LOOPED = 3;

/** What bad outcomes met; `record`: of the first one. */
const newCause = (diagnosis: Diagnosis, record: Detail, goodBefore: number, knownAt: number) => ({
  diagnosis,
  /** True for requests that were refused before the verdict, or turned away: what was accepted passed it. */
  isRefusal: record.fate === 'none',
  /** When its first one came and was known, and the last good one before. */
  began: record.startedAt,
  knownAt,
  goodBefore,
  /** Of the last one. */
  detail: { ...NONE },
  lastAt: knownAt,
  /** How many events met it last; those that the app has not taken since, and those of them that may be lost. */
  times: 0,
  open: 0,
  lost: 0,
  /** How many events came where it strikes since its first one was known. */
  all: 0,
  /** Good ones in a row: before the last bad one, and after it. */
  between: 0,
  since: 0,
  /** True once others are in its place: they take over its freshness, and the state that was given last. */
  isPast: false,
  freshAt: knownAt,
  isFailed: false,
});
export type Cause = ReturnType<typeof newCause>;

/** Good ones in a row of which one such row in `odds` comes by chance while as many fail as before. */
function rowOf({ between, times }: Cause, odds: number): number {
  const good = (between + 2) / (times + between + 2);
  return Math.max(LEAST_GOOD, Math.ceil(-Math.log(odds) / Math.log(good)));
}

/** True if none before, among or after them was taken. */
const isOnly = ({ goodBefore, between, since }: Cause) => Number.isNaN(goodBefore) && between + since === 0;

/** True while its first one is too fresh to judge. */
export const isFresh = ({ freshAt }: Cause, now: number): boolean => now - freshAt < SETTLE_MS;

/** True once, after an unbroken row, as many good ones came, or four, which come in one of 45 where a third is bad. */
export function hasRecovered({ times, between, since, lastAt }: Cause, now: number, good?: number): boolean {
  const enough = good ?? Math.max(FEW_GOOD, Math.min(times, LEAST_GOOD));
  return times > 1 && between === 0 && since >= enough && now - lastAt >= QUARTER;
}

/** How many good ones in a row make it a warning at the latest, a minute after its last bad one. */
export const calmAfter = (cause: Cause): number => rowOf(cause, 100);

/** True once it is a warning at most. */
function hasCalmed(cause: Cause, now: number): boolean {
  const silence = now - cause.lastAt;
  const isRare = silence >= MINUTE && cause.since >= calmAfter(cause);
  return isRare || hasRecovered(cause, now) || silence > DAY;
}

/** How many good ones in a row end it; 0 once they came, or the app took each bad one later. */
export function dueOf(cause: Cause): number {
  const enough = rowOf(cause, 100_000);
  return cause.open === 0 || cause.since >= enough ? 0 : enough;
}

/** It ends a minute after its last bad one, once it has enough good ones, and with a few after a day. */
function isOver(cause: Cause, now: number): boolean {
  const { open, since, lastAt } = cause;
  if (now - lastAt < MINUTE || (open > 0 && since < LEAST_GOOD)) return false; // each delivery asks
  return now - lastAt >= DAY || dueOf(cause) === 0;
}

/** An event that the app has not taken, as its last try ended. `loss`: null while it is stored. */
interface Untaken {
  readonly loss: LostEnd | null;
  readonly cause: Cause;
  readonly at: number;
  readonly startedAt: number;
  /** How many tries before it lay within each other, and within this one. */
  readonly within: number;
}

export class RouteLedger {
  readonly fates = Object.fromEntries(FATES.map((fate) => [fate, 0])) as Record<Fate, number>;
  /** Of deliveries that took long, or whose sender left first, by minute; milliseconds of the last such answer, or -1. */
  readonly slow = new Counts(15, MINUTE);
  slowMs = -1;
  /** POSTs that look like Entrupy's, and were forwarded without a look at their signature. */
  unverifiedDeliveries = 0;
  /** All since the start. */
  good = 0;
  lastGood = Number.NaN;
  /** How many good ones were known when the app answered one with 3xx. */
  redirectAt = Number.NEGATIVE_INFINITY;
  redirectStatus = 0;
  readonly redirected = new Counts();
  /** By event, the oldest first. */
  readonly untaken = new Map<string, Untaken>();
  /** Of those stored ones that failed again since the last fresh good one: FEW at most. */
  readonly #again = new Set<string>();
  /** In the order of their first. */
  readonly losses: { readonly id: Diagnosis; readonly end: LostEnd; readonly counts: Counts }[] = [];
  lastLoss = Number.NaN;
  readonly #causes = new Map<Diagnosis, Cause>();
  /** How many tries met what while a cause was open: null for good ones. A map for each `at` took twice the memory. */
  readonly #counts: { readonly at: number; readonly met: Cause | null; times: number }[] = [];
  lastTry = Number.NaN;
  /** Failed in a row up to now, also of one event, and when the second of them was known. */
  run = 0;
  #secondOfRun = Number.NaN;

  /** True once a delivery was verified here. */
  get hasVerified(): boolean {
    return FATES.some((fate) => this.fates[fate] > 0);
  }

  /** True if the app takes deliveries now. */
  takes(now: number): boolean {
    return this.good > 0 && (this.causes(now).size === 0 || this.run === 0);
  }

  addGood(record: Pick<Detail, 'upstreamStatus' | 'startedAt' | 'event'>, now: number): void {
    const { upstreamStatus: status, startedAt } = record;
    if (!(startedAt > 0)) this.#again.delete(record.event);
    else if (this.#again.size > 0) this.#again.clear(); // of an empty one V8 makes a new table, too
    this.good++;
    this.lastGood = now;
    if (status >= 300) {
      this.redirectAt = this.good;
      this.redirectStatus = status;
      this.redirected.add(now);
    }
    const isKnown = this.end(record);
    if (this.#causes.size > 0) this.#try(null, isKnown, now);
  }

  /** An event is lost once, and counts for the cause that its last try met. `loss`: null for what is stored. */
  addBad(met: Diagnosis, loss: LostEnd | null, record: Detail, now: number): void {
    const { event, startedAt, upstreamStatus } = record;
    const causes = this.causes(now);
    const before = this.untaken.get(event);
    // Once the app has taken others, a few stored ones that fail again speak for themselves alone.
    const isAgain = loss === null && before?.loss === null && before.at < this.lastGood;
    if (isAgain && this.#again.size < FEW && this.#again.add(copied(event)).size < FEW)
      return void detailOf(record, causes.get(met)?.detail);
    // An only entry stays: of a map that is emptied and filled again V8 makes two tables (OrderedHashTable::Shrink), 150
    // bytes in old space, which only a full collection frees.
    if (this.untaken.size > 1) this.untaken.delete(event);
    const isKnown = before !== undefined && this.#uncount(before);
    if (isKnown) before.cause.times--;
    const within = before !== undefined && startedAt < before.startedAt ? before.within + 1 : 0;
    const diagnosis = upstreamStatus > 0 && within >= LOOPED ? 'upstream-loop' : met;
    const begin = () => newCause(diagnosis, record, this.lastGood, now);
    const isLate = now < this.lastTry || now < this.lastGood; // others came since: a loss, and no try
    const cause = isLate ? begin() : entryOf(this.#causes, diagnosis, begin);
    detailOf(record, cause.detail);
    if (!isLate) this.#try(cause, isKnown, now);
    if (event !== '') this.untaken.set(copied(event), { loss, cause, at: now, startedAt, within });
    dropOldest(this.untaken, MOST_UNTAKEN);
    if (loss === null) return;
    cause.lost++;
    if (!(now < this.lastLoss)) this.lastLoss = now;
    this.#countLoss(diagnosis, loss, now, 1);
  }

  #countLoss(id: Diagnosis, end: LostEnd, at: number, by: 1 | -1): void {
    const loss = this.losses.find((loss) => loss.id === id && loss.end === end) ?? { id, end, counts: new Counts() };
    if (!this.losses.includes(loss)) this.losses.push(loss);
    loss.counts.add(at, by);
  }

  /** The app has taken the event. True if it had been untaken in the time of its cause. */
  end(record: Pick<Detail, 'event'>): boolean {
    // Where nothing is untaken, the signature is not even read.
    const untaken = this.untaken.size === 0 ? undefined : this.untaken.get(record.event);
    return untaken !== undefined && this.untaken.delete(record.event) && this.#uncount(untaken);
  }

  /** The store has nothing of this route any more: another process has sent it, or a person has dropped it. */
  endStored(): void {
    for (const [event, untaken] of this.untaken)
      if (untaken.loss === null && this.untaken.delete(event)) this.#uncount(untaken);
    for (const cause of this.#causes.values()) cause.open = cause.lost;
  }

  /** True if its cause is not over. */
  #uncount({ loss, cause, at }: Untaken): boolean {
    cause.open--;
    if (loss !== null) {
      cause.lost--;
      this.#countLoss(cause.diagnosis, loss, at, -1);
      if (at === this.lastLoss) for (const { loss, at } of this.untaken.values()) if (loss !== null) this.lastLoss = at;
    }
    return this.#causes.get(cause.diagnosis) === cause;
  }

  /** How many of the last day may be lost. */
  lost(now: number, of?: LostEnd | Diagnosis): number {
    const all = this.losses.filter(({ id, end }) => of === undefined || of === end || of === id);
    return all.reduce((sum, { counts }) => sum + counts.sum(now), 0);
  }

  /** The open causes, none of them over. */
  causes(now: number): ReadonlyMap<Diagnosis, Cause> {
    for (const [diagnosis, one] of this.#causes) if (isOver(one, now)) this.#causes.delete(diagnosis);
    if (this.#causes.size === 0) this.run = 0;
    return this.#causes;
  }

  /** A try has its outcome: null for a good one. `isKnown`: its event had one before. */
  #try(met: Cause | null, isKnown: boolean, now: number): void {
    const { at = now } = this.#counts.at(-1) ?? {};
    const begun = now - at >= TOGETHER_MS || met?.times === 0 ? now : at;
    const counted = this.#counts.findLast((count) => count.met === met);
    if (counted?.at === begun) counted.times++;
    else if (this.#counts.push({ at: begun, met, times: 1 }) > MOST_COUNTS) this.#counts.shift();
    this.lastTry = now;
    this.run = met === null ? 0 : this.run + 1;
    if (this.run === 2) this.#secondOfRun = now;
    for (const cause of this.#causes.values()) {
      // The app fails none of what is refused before it, and what it takes had passed that.
      if (!cause.isRefusal && met?.isRefusal === true) continue;
      if (!cause.isRefusal && met === null) cause.since++;
      if (!isKnown) cause.all++;
    }
    if (met === null) return;
    met.times++;
    met.open++;
    met.all = Math.max(met.all, met.times); // it may have come before the first one that met this cause
    met.between += met.since;
    [met.since, met.lastAt, met.isPast] = [0, now, false];
    this.#replaceBy(met);
  }

  /** A cause is past once others that strike there began after its last: a few, or one that an app accepted again. */
  #replaceBy(others: Cause): void {
    const { upstreamStatus, upstreamFailure } = others.detail;
    const isAccepted = upstreamStatus > 0 || (upstreamFailure ?? 'connect') !== 'connect';
    for (const one of this.#causes.values()) {
      const isEnd = others.times >= FEW || (isAccepted && one.detail.upstreamFailure === 'connect');
      if (one.isPast || !isEnd || others.isRefusal !== one.isRefusal || others.began <= one.lastAt) continue;
      one.isPast = true;
      others.isFailed ||= one.isFailed && one.since < FEW;
      if (isOnly(one)) others.freshAt = one.freshAt;
    }
  }

  /** Those that are told, the commonest of the last first. Each judgement asks once: `failed` is left later than reached. */
  judgeCauses(now: number): readonly Cause[] {
    const last = this.#met(0, 0, MANY, now, true);
    const shown = [...this.causes(now).values()]
      .filter((cause) => cause.times > 0 && !cause.isPast)
      .sort((cause, other) => (last.get(other) ?? 0) - (last.get(cause) ?? 0) || other.lastAt - cause.lastAt);
    // None becomes failed once each of its failures was taken later.
    const live = shown.filter((cause) => !hasCalmed(cause, now) && (cause.isFailed || cause.open > 0));
    const settled = live.filter((cause) => !isFresh(cause, now));
    const isInRow = this.run >= 2 && now - this.#secondOfRun >= SETTLE_MS;
    const mayFail = ({ times, since }: Cause) => times > 1 || since < 2;
    const row = live.filter((cause) => isInRow && cause.since === 0);
    const alone = settled.filter((cause) => mayFail(cause) && (row.includes(cause) || this.#isReached([cause], now)));
    // A fresh one fails only in a row that no other has made failed; else several may strike a fifth together.
    const reached =
      [alone, row, this.#isReached(settled, now) ? settled : []].find((causes) => causes.length > 0) ?? [];
    for (const cause of this.#causes.values()) {
      const stays = cause.isFailed && mayFail(cause) && this.#share([cause], QUARTER, MORE, now) >= LEFT;
      cause.isFailed = live.includes(cause) && (reached.includes(cause) || stays);
    }
    return shown;
  }

  #isReached(causes: readonly Cause[], now: number): boolean {
    if (causes.length > 0 && causes.every(isOnly)) return true;
    // At the last outcome: while nothing comes, no route becomes worse. Much later the last few count, too.
    const reaches = (span: number) => this.#share(causes, span, MANY, this.lastTry) >= REACHED;
    const open = causes.reduce((sum, cause) => sum + cause.open, 0);
    return open >= LEAST_BAD && reaches(MINUTE) && (now - this.lastTry < QUARTER || reaches(0));
  }

  /** The share of some up to a time among those that came where they strike since the first of them, in the last `span`. */
  #share(causes: readonly Cause[], span: number, least: number, at: number): number {
    const isFront = causes.some(({ isRefusal }) => isRefusal);
    const met = this.#met(Math.min(...causes.map(({ began }) => began)), span, least, at, isFront);
    const all = [...met.values()].reduce((sum, times) => sum + times, 0);
    return causes.reduce((sum, cause) => sum + (met.get(cause) ?? 0), 0) / Math.max(1, all);
  }

  /** How many tries met what since `from`, in the last `span` up to a time, but at least of so many. */
  #met(from: number, span: number, least: number, at: number, isFront: boolean): ReadonlyMap<Cause | null, number> {
    const timesBy = new Map<Cause | null, number>();
    let [all, last] = [0, Number.NaN];
    for (const { at: begun, met, times } of this.#counts.toReversed()) {
      if (begun !== last && (begun < from || (all >= least && begun <= at - span))) break;
      last = begun;
      if (met?.isRefusal === true && !isFront) continue;
      all += times;
      timesBy.set(met, (timesBy.get(met) ?? 0) + times);
    }
    return timesBy;
  }
}
