// The outcomes of the deliveries of one route, which compete for one share. The memory is constant, and an outcome
// allocates nothing. Times are milliseconds of the monotonic clock: no step of the machine's clock moves one.
import type { RequestDiagnosis } from '../core/hint.ts';
import { Counts } from './counts.ts';
import { type Detail, LastDetail } from './detail.ts';
import { HOUR, MINUTE } from './times.ts';

/** The ends of a delivery that may be lost. `refused`: by the app (4xx), or by us before the verdict. */
export const LOSSES = ['failed', 'abandoned', 'refused', 'turnedAway'] as const;
export type Loss = (typeof LOSSES)[number];

/** The diagnoses of one outcome. */
export type OutcomeDiagnosis = RequestDiagnosis | 'signature-dropped' | 'connections-full';

const SECOND = 1000;

/** The outcomes that are kept one by one. */
const KEPT = 60;
const KEPT_DIAGNOSES = 16;

export class Series {
  /** All since the start. */
  good = 0;
  bad = 0;
  lastGood = Number.NaN;
  /** How many of the last good ones in a row were 3xx. */
  redirects = 0;
  redirectStatus = 0;
  // --- the episode: it began with the first bad one after the last episode's end
  firstBad = Number.NaN;
  lastBad = Number.NaN;
  bads = 0;
  /** Good ones before the last bad one, and after it. */
  between = 0;
  since = 0;
  /** Bad ones in a row up to now, and when the second of them came. */
  run = 0;
  secondOfRun = Number.NaN;
  /** One kind for good ones, one for bad ones. */
  readonly lastMinute = new Counts(2, 12, 5 * SECOND);
  readonly lastQuarter = new Counts(2, 15, MINUTE);
  readonly #kept = new Uint8Array(KEPT);
  readonly #diagnoses: (OutcomeDiagnosis | null)[] = new Array(KEPT_DIAGNOSES).fill(null);
  readonly #details = new Map<OutcomeDiagnosis, LastDetail>();
  // --- losses, whatever came since
  readonly losses = new Counts(LOSSES.length, 25, HOUR);
  lastLoss = Number.NaN;
  lossDiagnosis: OutcomeDiagnosis | null = null;

  /** `status`: that of the app's answer; 0 where it is not known, at a later sending. */
  addGood(status: number, now: number): void {
    this.good++;
    this.lastGood = now;
    if (status >= 300) {
      this.redirects++;
      this.redirectStatus = status;
    } else if (status > 0) this.redirects = 0;
    if (this.bads === 0) return;
    this.#kept[this.all % KEPT] = 0;
    this.since++;
    this.run = 0;
    this.lastMinute.add(0, now);
    this.lastQuarter.add(0, now);
  }

  /** `loss`: null for a delivery that is stored, so not lost yet. `record`: null for a connection that was turned away. */
  addBad(diagnosis: OutcomeDiagnosis, loss: Loss | null, record: Detail | null, now: number): void {
    if (this.bads > 0 && this.isOver(now)) this.#begin();
    if (this.bads === 0) this.firstBad = now;
    this.bad++;
    this.#kept[this.all % KEPT] = 1;
    this.#diagnoses[this.bads % KEPT_DIAGNOSES] = diagnosis;
    this.bads++;
    this.between += this.since;
    this.since = 0;
    this.run++;
    if (this.run === 2) this.secondOfRun = now;
    this.lastBad = now;
    this.lastMinute.add(1, now);
    this.lastQuarter.add(1, now);
    if (record !== null) this.#detailOf(diagnosis).set(record);
    if (loss === null) return;
    this.losses.add(LOSSES.indexOf(loss), now);
    this.lastLoss = now;
    this.lossDiagnosis = diagnosis;
  }

  #detailOf(diagnosis: OutcomeDiagnosis): LastDetail {
    let detail = this.#details.get(diagnosis);
    if (detail === undefined) {
      detail = new LastDetail();
      this.#details.set(diagnosis, detail);
    }
    return detail;
  }

  #begin(): void {
    this.bads = 0;
    this.between = 0;
    this.since = 0;
    this.run = 0;
    this.lastMinute.clear();
    this.lastQuarter.clear();
    this.#details.clear();
  }

  // --- what the judge reads

  /** True while an episode is open. */
  isOpen(now: number): boolean {
    return this.bads > 0 && !this.isOver(now);
  }

  /** An episode ends once enough good ones have come in a row, by its share, and a minute has passed. */
  isOver(now: number): boolean {
    return this.since >= 3 + (12 * (this.between + 1)) / this.bads && now - this.lastBad >= MINUTE;
  }

  /** All outcomes of the episode. */
  get all(): number {
    return this.bads + this.between + this.since;
  }

  /** The bad ones among the last `amount` of the episode; `amount` is at most KEPT. */
  badOfLast(amount: number): number {
    let bad = 0;
    for (let at = Math.max(0, this.all - amount); at < this.all; at++) bad += this.#kept[at % KEPT] ?? 0;
    return bad;
  }

  /** The commonest diagnosis of the last bad ones; of equally common ones the later. */
  commonest(): { readonly diagnosis: OutcomeDiagnosis; readonly detail: Detail } {
    const last = Math.min(this.bads, KEPT_DIAGNOSES);
    let best: OutcomeDiagnosis = 'proxy-full';
    let most = 0;
    for (let back = 1; back <= last; back++) {
      const one: OutcomeDiagnosis = this.#diagnoses[(this.bads - back) % KEPT_DIAGNOSES] ?? best;
      const count: number = this.#diagnoses.slice(0, last).filter((other) => other === one).length;
      if (count > most) [best, most] = [one, count];
    }
    return { diagnosis: best, detail: this.#details.get(best) ?? NO_DETAIL };
  }
}

const NO_DETAIL = new LastDetail();
