// The outcomes of the deliveries of one route, of which a share is bad, and THE ONE RULE FOR SHARES: whether the route
// fails. Four an hour and a hundred a second are judged alike, and nothing flips: a state is left later than it is
// reached. The memory is constant, and an outcome allocates nothing. Times are milliseconds of the monotonic clock: no
// step of the machine's clock moves one.
import { Causes, type Detail } from './causes.ts';
import { Counts } from './counts.ts';
import type { Diagnosis } from './diagnoses.ts';
import { DAY, HOUR, MINUTE, QUARTER, SECOND } from './times.ts';

/** The ends of a delivery that may be lost. `refused`: by the app (4xx), or by us before the verdict. */
export const LOST_ENDS = ['failed', 'abandoned', 'refused', 'turnedAway'] as const;
export type LostEnd = (typeof LOST_ENDS)[number];

/** The outcomes that are kept one by one. */
const KEPT = 60;
/** Milliseconds of the first bad outcome before anything counts as failed: an app that restarts needs a moment. */
const SETTLE_MS = 10_000;
/** `failed` is reached, too, at this share of bad outcomes of the last minute, or of the last MANY if it has fewer. */
const REACHED = 1 / 5;
const MANY = 20;
/** `failed` is left below this share of the last quarter of an hour, or of the last KEPT. */
const LEFT = 1 / 20;
const LEAST_BAD = 3;
/** Good ones in a row that may come while a third is bad. */
const LEAST_GOOD = 8;

export class Outcomes {
  /** All since the start. */
  good = 0;
  bad = 0;
  lastGood = Number.NaN;
  #lastAt = Number.NaN;
  /** How many of the last good ones in a row were 3xx. */
  redirects = 0;
  redirectStatus = 0;
  // --- the episode: it began with the first bad one after the last episode's end
  firstBad = Number.NaN;
  goodBefore = Number.NaN;
  lastBad = Number.NaN;
  bads = 0;
  /** Good ones of the episode before its last bad one, and after it. */
  #between = 0;
  since = 0;
  /** Bad ones that the app took at a later sending. */
  #takenLater = 0;
  /** Bad ones in a row up to now, and when the second of them came. */
  #run = 0;
  #secondOfRun = Number.NaN;
  /** One kind for good ones, one for bad ones. */
  readonly #minute = new Counts(2, 12, 5 * SECOND);
  readonly #quarter = new Counts(2, 15, MINUTE);
  readonly #kept = new Uint8Array(KEPT);
  readonly causes = new Causes();
  /** The state that was given last. */
  #isFailed = false;
  // --- losses, whatever came since
  readonly losses = new Counts(LOST_ENDS.length, 25, HOUR);
  lastLoss = Number.NaN;
  lossDiagnosis: Diagnosis | null = null;

  /** `status`: that of the app's answer; 0 where it is not known, at a later sending. */
  addGood(status: number, now: number): void {
    this.good++;
    this.lastGood = now;
    if (status >= 300) {
      this.redirects++;
      this.redirectStatus = status;
    } else if (status > 0) this.redirects = 0;
    this.#add(0, now);
    if (this.bads === 0) return;
    this.since++;
    this.#run = 0;
  }

  /** A stored delivery was taken at a later sending. */
  addTakenLater(now: number): void {
    if (this.bads > 0) this.#takenLater++;
    this.addGood(0, now);
  }

  /** `loss`: null for a delivery that is stored, so not lost yet. `record`: null for a connection that was turned away. */
  addBad(diagnosis: Diagnosis, loss: LostEnd | null, record: Detail | null, now: number): void {
    if (this.#isOver(now)) this.end();
    if (this.bads === 0) {
      this.firstBad = now;
      this.goodBefore = this.lastGood;
    }
    this.#add(1, now);
    this.bad++;
    this.bads++;
    this.#between += this.since;
    this.since = 0;
    this.#run++;
    if (this.#run === 2) this.#secondOfRun = now;
    this.lastBad = now;
    this.causes.add(diagnosis, record, now);
    if (loss === null) return;
    this.losses.add(LOST_ENDS.indexOf(loss), now);
    this.lastLoss = now;
    this.lossDiagnosis = diagnosis;
  }

  #add(kind: 0 | 1, now: number): void {
    this.#lastAt = now;
    if (this.bads === 0 && kind === 0) return;
    this.#kept[this.#ends % KEPT] = kind;
    this.#minute.add(kind, now);
    this.#quarter.add(kind, now);
  }

  /** Ends the episode: what came before the next one has no part in it. */
  end(): void {
    this.bads = this.#between = this.since = this.#run = this.#takenLater = 0;
    this.#isFailed = false;
    this.#minute.clear();
    this.#quarter.clear();
    this.causes.clear();
  }

  // --- what the judge reads

  /** All outcomes of the episode, later sendings of its deliveries too. */
  get #ends(): number {
    return this.bads + this.#between + this.since;
  }

  /** All deliveries of the episode. */
  get all(): number {
    return Math.max(this.bads, this.#ends - this.#takenLater);
  }

  /** True if none of the episode's deliveries may be lost, so far. */
  get isLossless(): boolean {
    return !(this.lastLoss >= this.firstBad);
  }

  /** True once the app took as many at a later sending as were bad, and the last outcome is good. */
  get areTaken(): boolean {
    return this.isLossless && this.since > 0 && this.#takenLater >= this.bads;
  }

  /** True while an episode is open. */
  isOpen(now: number): boolean {
    return this.bads > 0 && !this.#isOver(now);
  }

  /** True while the first bad outcome is too fresh to judge. */
  isFresh(now: number): boolean {
    return this.isOpen(now) && now - this.firstBad < SETTLE_MS;
  }

  /** True once nothing came for a day: what is known is old. */
  isOld(now: number): boolean {
    return now - this.#lastAt > DAY;
  }

  lost(now: number): number {
    return LOST_ENDS.reduce((sum, _, kind) => sum + this.losses.sum(kind, now), 0);
  }

  /** The state now. Each judgement asks once: `failed` is left later than it is reached. */
  state(now: number): 'failed' | 'warning' | 'ok' {
    if (!this.isOpen(now)) return 'ok';
    const stays = this.#isFailed && this.#share(this.#quarter, KEPT, now) >= LEFT;
    this.#isFailed = (stays || this.#isReached(now)) && !this.isOld(now);
    return this.#isFailed && !this.areTaken ? 'failed' : 'warning';
  }

  /** How many good ones in a row end the episode, by its share. */
  get enough(): number {
    return Math.ceil(LEAST_GOOD + (12 * (this.#between + 1)) / this.bads);
  }

  /** True once enough good ones came, or the app took each bad one later. */
  get hasEnough(): boolean {
    return this.#takenLater >= this.bads || this.since >= this.enough;
  }

  /** An episode ends a minute after its last bad one, once it has enough good ones. */
  #isOver(now: number): boolean {
    return this.bads === 0 || (this.hasEnough && now - this.lastBad >= MINUTE);
  }

  #isReached(now: number): boolean {
    if (this.#run >= 2 && now - this.#secondOfRun >= SETTLE_MS) return true;
    if (this.isFresh(now)) return false;
    if (this.good === 0) return true;
    // At the last outcome: while nothing comes, no route becomes worse. Much later only the last few count.
    if (this.bads < LEAST_BAD || this.#share(this.#minute, MANY, this.#lastAt) < REACHED) return false;
    return now - this.#lastAt < QUARTER || this.#lastShare(MANY) >= REACHED;
  }

  /** The share of bad ones at a time, since the episode began. */
  #share(window: Counts, enough: number, at: number): number {
    const bad = window.sum(1, at);
    const all = bad + window.sum(0, at);
    return all >= enough ? bad / all : this.#lastShare(enough);
  }

  #lastShare(amount: number): number {
    let bad = 0;
    for (let nth = Math.max(0, this.#ends - amount); nth < this.#ends; nth++) bad += this.#kept[nth % KEPT] ?? 0;
    return bad / Math.min(amount, this.#ends);
  }
}
