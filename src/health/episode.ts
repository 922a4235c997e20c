// THE ONE RULE FOR SHARES: whether a route fails. An episode begins with the first bad outcome after the last one's end, and
// what came before it has no part in it. Four an hour and a hundred a second are judged alike, and nothing flips: a state
// is left later than it is reached. The memory is constant, and an outcome allocates nothing.
import { Causes } from './causes.ts';
import { Counts } from './counts.ts';
import { DAY, MINUTE, QUARTER, SECOND } from './times.ts';

/** The outcomes that are kept one by one. */
export const KEPT = 60;
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

/** When the first bad one came, how many good ones known before it came since, and when the last of those was known. */
type First = Readonly<Record<'began' | 'beside' | 'goodBefore', number>>;

export class Episode {
  readonly first: First;
  readonly #firstBad: number;
  lastBad = Number.NaN;
  lastAt = Number.NaN;
  /** Outcomes: an event that comes again has no other. */
  #ends = 0;
  bads = 0;
  /** The bad ones that the app has not taken since, and those of them that may be lost: the others are stored. */
  open = 0;
  lost = 0;
  /** Taken before the last that failed, and after it; an event that had failed, too. */
  #between = 0;
  since = 0;
  /** Failed in a row up to now, also of one event, and when the second of them was known. */
  #run = 0;
  #secondOfRun = Number.NaN;
  /** One kind for good ones, one for bad ones. */
  readonly #minute = new Counts(2, 12, 5 * SECOND);
  readonly #quarter = new Counts(2, 15, MINUTE);
  readonly #kept = new Uint8Array(KEPT);
  readonly causes = new Causes();
  /** The state that was given last. */
  #isFailed = false;

  constructor(first: First, now: number) {
    this.first = first;
    this.#firstBad = now;
  }

  /** An event has its outcome: 0 for a good one, 1 for a bad one. Whatever comes of it later, it has no other. */
  add(kind: 0 | 1, now: number): void {
    this.#kept[this.#ends++ % KEPT] = kind;
    this.#minute.add(kind, now);
    this.#quarter.add(kind, now);
    this.bads += kind;
  }

  took(now: number): void {
    this.lastAt = now;
    this.since++;
    this.#run = 0;
  }

  /** The app did not take one, perhaps not for the first time. */
  failed(now: number): void {
    this.#between += this.since;
    this.since = 0;
    this.#run++;
    if (this.#run === 2) this.#secondOfRun = now;
    this.lastBad = this.lastAt = now;
  }

  // --- what the judge reads

  /** All deliveries that came since the first bad one, as far as their outcome is known; maybe more if `beside` is KEPT. */
  get all(): number {
    return this.#ends + this.first.beside;
  }

  /** True while the first bad outcome is too fresh to judge. */
  isFresh(now: number): boolean {
    return now - this.#firstBad < SETTLE_MS;
  }

  /** The state now. Each judgement asks once: `failed` is left later than it is reached. */
  state(now: number): 'failed' | 'warning' {
    const stays = this.#isFailed && this.#share(this.#quarter, KEPT, now) >= LEFT;
    // A day after the last bad one that is old, whether good ones came since or nothing did.
    this.#isFailed = (stays || this.#isReached(now)) && !this.#hasCalmed(now) && now - this.lastBad <= DAY;
    return this.#isFailed ? 'failed' : 'warning';
  }

  /** True once, a minute after the last bad one, more good ones came in a row than one of a hundred that still fail takes. */
  #hasCalmed(now: number): boolean {
    if (this.bads === 1) return this.since >= 2;
    const share = this.bads / (this.bads + this.#between + 2);
    return this.since > LEAST_GOOD && now - this.lastBad >= MINUTE && (1 - share) ** this.since <= 1 / 100;
  }

  /** How many good ones in a row end it, by its share. */
  get enough(): number {
    return Math.ceil(LEAST_GOOD + (12 * (this.#between + 1)) / this.bads);
  }

  /** True once enough good ones came, or the app took each bad one later. */
  get hasEnough(): boolean {
    return this.open === 0 || this.since >= this.enough;
  }

  /** It ends a minute after its last bad one, once it has enough good ones. */
  isOver(now: number): boolean {
    return this.hasEnough && now - this.lastBad >= MINUTE;
  }

  #isReached(now: number): boolean {
    if (this.#run >= 2 && now - this.#secondOfRun >= SETTLE_MS) return true;
    if (this.isFresh(now)) return false;
    if (Number.isNaN(this.first.goodBefore) && this.open === this.#ends) return true;
    // At the last outcome: while nothing comes, no route becomes worse. Much later only the last few count.
    if (this.open < LEAST_BAD || this.#share(this.#minute, MANY, this.lastAt) < REACHED) return false;
    return now - this.lastAt < QUARTER || this.#lastShare(MANY) >= REACHED;
  }

  /** The share of bad ones at a time. */
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
