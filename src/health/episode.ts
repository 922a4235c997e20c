// THE ONE RULE FOR SHARES: whether a route fails. An episode begins with the first bad outcome after the last one's end, and
// what came before it has no part in it. It has causes; each has its own share and its own end. Four an hour and a hundred a
// second are judged alike, and nothing flips: a state is left later than it is reached. The memory is constant.
import { type Cause, commonOf, SETTLE_MS } from './causes.ts';
import { Counts } from './counts.ts';
import type { Diagnosis } from './diagnoses.ts';
import { MINUTE, QUARTER, SECOND } from './times.ts';

/** The tries that are kept one by one. */
export const KEPT = 60;
/** `failed` is reached, too, at this share of bad outcomes of the last minute, or of the last MANY if it has fewer. */
const REACHED = 1 / 5;
const MANY = 20;
/** `failed` is left below this share of the last quarter of an hour, or of the last KEPT. */
const LEFT = 1 / 20;
const LEAST_BAD = 3;

const windows = () => ({ minute: new Counts(1, 12, 5 * SECOND), quarter: new Counts(1, 15, MINUTE) });

export class Episode {
  lastAt = Number.NaN;
  /** Failed in a row up to now, also of one event, and when the second of them was known. */
  run = 0;
  #secondOfRun = Number.NaN;
  /** Of bad ones by their cause, and of good ones. */
  readonly #windows = new WeakMap<Cause | Episode, ReturnType<typeof windows>>();
  /** The last tries: null for a good one. */
  readonly #kept: (Cause | null)[] = [];
  readonly causes = new Map<Diagnosis, Cause>();

  /** A try has its outcome: null for a good one, or its cause. `events`: 0 for one that had an outcome before. */
  add(cause: Cause | null, now: number, events: 0 | 1): void {
    if (this.#kept.push(cause) > KEPT) this.#kept.shift();
    const known = this.#windows.get(cause ?? this) ?? windows();
    this.#windows.set(cause ?? this, known);
    for (const window of [known.minute, known.quarter]) window.add(0, now);
    this.lastAt = now;
    this.run = cause === null ? 0 : this.run + 1;
    if (this.run === 2) this.#secondOfRun = now;
    for (const one of this.causes.values()) {
      // The app fails none of what is refused before it, and what it takes had passed that.
      if (!one.isRefusal && cause?.isRefusal === true) continue;
      if (!one.isRefusal && cause === null) one.since++;
      one.tries++;
      one.all += events;
    }
    if (cause === null) return;
    cause.times++;
    cause.open++;
    cause.between += cause.since;
    cause.since = 0;
    cause.lastAt = now;
  }

  /** Those that are told. Each judgement asks once: `failed` is left later than it is reached. */
  told(now: number): readonly Cause[] {
    const all = [...this.causes.values()];
    const told = commonOf(all, this.#kept.slice(-MANY));
    const live = told.filter((one) => !one.hasCalmed(now));
    const settled = live.filter((one) => !one.isFresh(now));
    const mayFail = ({ times, since }: Cause) => times > 1 || since < 2;
    const reachedOf = (some: readonly Cause[]) => some.filter((one) => mayFail(one) && this.#isReached([one], now));
    // A fresh one fails only in a row that no other has made failed.
    const alone = [settled, live].map(reachedOf).find((some) => some.length > 0) ?? [];
    // Else several may strike a fifth together.
    const reached = alone.length === 0 && this.#isReached(settled, now) ? settled : alone;
    for (const one of all) {
      const stays = one.isFailed && mayFail(one) && this.#share([one], 'quarter', now) >= LEFT;
      one.isFailed = live.includes(one) && (reached.includes(one) || stays);
    }
    return told;
  }

  /** Ends the causes that are over. True if none is left: then it is over, too. */
  endCauses(now: number): boolean {
    for (const [diagnosis, one] of this.causes) if (one.isOver(now)) this.causes.delete(diagnosis);
    return this.causes.size === 0;
  }

  #isReached(some: readonly Cause[], now: number): boolean {
    if (this.run >= 2 && now - this.#secondOfRun >= SETTLE_MS && some.some(({ since }) => since === 0)) return true;
    if (some.length === 0 || some.some((one) => one.isFresh(now))) return false;
    // The only ones so far.
    const isOnly = ({ first, since }: Cause) => since === 0 && Number.isNaN(first.goodBefore);
    if (this.run >= this.#kept.length && some.every(isOnly)) return true;
    // At the last outcome: while nothing comes, no route becomes worse. Much later only the last few count.
    const open = some.reduce((sum, one) => sum + one.open, 0);
    if (open < LEAST_BAD || this.#share(some, 'minute', this.lastAt) < REACHED) return false;
    return now - this.lastAt < QUARTER || this.#lastShare(some, MANY) >= REACHED;
  }

  /** The share at a time of some among those that came where they strike, since the first of them. */
  #share(some: readonly Cause[], window: 'minute' | 'quarter', at: number): number {
    const sum = (all: readonly (Cause | Episode)[]) =>
      all.reduce((total, one) => total + (this.#windows.get(one)?.[window].sum(0, at) ?? 0), 0);
    const all = Math.min(sum([this, ...this.#met(some)]), sinceFirst(some));
    const enough = window === 'minute' ? MANY : KEPT;
    return all >= enough ? sum(some) / all : this.#lastShare(some, enough);
  }

  #lastShare(some: readonly Cause[], amount: number): number {
    const met = this.#met(some);
    const last = this.#kept.filter((one) => !one || met.includes(one)).slice(-Math.min(amount, sinceFirst(some)));
    return last.filter((one) => one !== null && some.includes(one)).length / Math.max(1, last.length);
  }

  /** Without those that others have replaced; of an app's, without those that never came there. */
  #met(some: readonly Cause[]): readonly Cause[] {
    const isFront = some.some(({ isRefusal }) => isRefusal);
    const common = commonOf([...this.causes.values()], this.#kept.slice(-MANY));
    return common.filter(({ isRefusal }) => isFront || !isRefusal);
  }
}

/** All that came since the first of them. What was on its way then may be more than is known. */
const sinceFirst = (some: readonly Cause[]) =>
  Math.max(...some.map(({ tries, first }) => (first.beside === KEPT ? Number.POSITIVE_INFINITY : tries)));
