// The outcomes of the deliveries of one route: its episode of bad ones, and its losses of a day, whatever came since. Times
// are milliseconds of the monotonic clock: no step of the machine's clock moves one.
import { dropOldest } from '../base/indexed-set.ts';
import type { Detail } from './causes.ts';
import { Counts, copied } from './counts.ts';
import type { Diagnosis } from './diagnoses.ts';
import { Episode, KEPT } from './episode.ts';
import { HOUR } from './times.ts';

/** The ends of a delivery that may be lost. `refused`: by the app (4xx), or by us before the verdict. */
export const LOST_ENDS = ['failed', 'abandoned', 'refused', 'turnedAway'] as const;
export type LostEnd = (typeof LOST_ENDS)[number];

/** The events that are remembered as untaken: 1 MB. Older ones count on, though nothing can end them. */
const MOST_UNTAKEN = 4000;

/** An event that the app has not taken, as its last delivery ended. `loss`: null while it is stored. */
interface Untaken {
  readonly loss: LostEnd | null;
  readonly diagnosis: Diagnosis;
  readonly at: number;
  /** The number of its episode, in which it has one outcome. */
  readonly episode: number;
}

export class Outcomes {
  /** All since the start. */
  good = 0;
  lastGood = Number.NaN;
  /** The last 24 good ones, a bit each; 1: the app answered 3xx. */
  #answers = 0;
  redirectStatus = 0;
  readonly redirected = new Counts(1, 25, HOUR);
  /** When the last good ones came. */
  readonly #goodStarts = new Float64Array(KEPT);
  #episode: Episode | null = null;
  #episodes = 0;
  /** By event, the oldest first. */
  readonly untaken = new Map<string, Untaken>();
  /** By diagnosis, in the order of their first; kinds as in LOST_ENDS. */
  readonly losses = new Map<Diagnosis, Counts>();
  lastLoss = Number.NaN;

  addGood(record: Pick<Detail, 'upstreamStatus' | 'startedAt' | 'event'>, now: number): void {
    const { upstreamStatus: status, startedAt } = record;
    this.#goodStarts[this.good++ % KEPT] = startedAt;
    this.lastGood = now;
    const isRedirect = status >= 300;
    if (status > 0) this.#answers = ((this.#answers << 1) | Number(isRedirect)) & 0xff_ff_ff;
    if (isRedirect) {
      this.redirectStatus = status;
      this.redirected.add(0, now);
    }
    const isKnown = this.end(record);
    if (!isKnown) this.#episode?.add(0, now);
    this.#episode?.took(now);
  }

  /** How many of the last good ones were 3xx. */
  get redirects(): number {
    return this.#answers.toString(2).replaceAll('0', '').length;
  }

  /** An event is lost once, however often it comes. `loss`: null for a delivery that is stored, so not lost yet. */
  addBad(diagnosis: Diagnosis, loss: LostEnd | null, record: Detail, now: number): void {
    const { event } = record;
    const open = this.episode(now) ?? this.#begin(record.startedAt, now);
    const before = this.untaken.get(event);
    if (this.untaken.size > 1) this.untaken.delete(event);
    if (before !== undefined) this.#uncount(before);
    const isKnown = before?.episode === this.#episodes;
    if (!isKnown) open.add(1, now);
    open.failed(now);
    open.causes.add(diagnosis, record, now).times += isKnown ? 0 : 1;
    open.open++;
    if (event !== '') this.untaken.set(copied(event), { loss, diagnosis, at: now, episode: this.#episodes });
    dropOldest(this.untaken, MOST_UNTAKEN);
    if (loss === null) return;
    open.lost++;
    this.lastLoss = now;
    const counts = this.losses.get(diagnosis) ?? new Counts(LOST_ENDS.length, 25, HOUR);
    this.losses.set(diagnosis, counts);
    counts.add(LOST_ENDS.indexOf(loss), now);
  }

  /** A stored delivery was sent again, and not taken. */
  addSending(diagnosis: Diagnosis, record: Detail, now: number): void {
    if (this.untaken.has(record.event)) this.episode(now)?.causes.addAgain(diagnosis, record, now);
    else this.addBad(diagnosis, null, record, now);
  }

  /** The app has taken the event. True if it had been untaken in this episode. */
  end(record: Pick<Detail, 'event'>): boolean {
    // Where nothing is untaken, the signature is not even read.
    const known = this.untaken.size === 0 ? undefined : this.untaken.get(record.event);
    if (known !== undefined && this.untaken.delete(record.event)) this.#uncount(known);
    return known?.episode === this.#episodes;
  }

  /** The store has nothing of this route any more: another process has sent it, or a person has dropped it. */
  endStored(): void {
    for (const [event, known] of this.untaken)
      if (known.loss === null && this.untaken.delete(event)) this.#uncount(known);
    if (this.#episode !== null) this.#episode.open = this.#episode.lost;
  }

  #uncount({ loss, diagnosis, at, episode }: Untaken): void {
    const open = episode === this.#episodes ? this.#episode : null;
    if (open !== null) open.open--;
    if (loss === null) return;
    if (open !== null) open.lost--;
    this.losses.get(diagnosis)?.takeBack(LOST_ENDS.indexOf(loss), at);
    if (at !== this.lastLoss) return;
    for (const { loss, at } of this.untaken.values()) if (loss !== null) this.lastLoss = at;
  }

  #begin(began: number, now: number): Episode {
    this.#episodes++;
    const beside = this.#goodStarts.subarray(0, this.good).filter((at) => at > began).length;
    this.#episode = new Episode({ began, beside, goodBefore: this.lastGood }, now);
    return this.#episode;
  }

  /** The open episode; null if there is none. */
  episode(now: number): Episode | null {
    if (this.#episode?.isOver(now) === true) this.#episode = null;
    return this.#episode;
  }

  /** How many of the last day may be lost. */
  lost(now: number, ends: readonly LostEnd[] = LOST_ENDS, causes = [...this.losses.values()]): number {
    return causes.flatMap((one) => ends.map((end) => one.sum(LOST_ENDS.indexOf(end), now))).reduce((a, b) => a + b, 0);
  }
}
