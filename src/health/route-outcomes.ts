// The outcomes of the deliveries of one route: its episode of bad ones, and its losses of a day, whatever came since. Times
// are milliseconds of the monotonic clock: no step of the machine's clock moves one.
import type { Detail } from './causes.ts';
import { Counts } from './counts.ts';
import type { Diagnosis } from './diagnoses.ts';
import { Episode, KEPT } from './episode.ts';
import { HOUR } from './times.ts';

/** The ends of a delivery that may be lost. `refused`: by the app (4xx), or by us before the verdict. */
export const LOST_ENDS = ['failed', 'abandoned', 'refused', 'turnedAway'] as const;
export type LostEnd = (typeof LOST_ENDS)[number];

/** A later sending is no delivery of its own, and the status of its answer is not known. */
const LATER = { upstreamStatus: 0, startedAt: Number.NaN } as const;

export class Outcomes {
  /** All since the start. */
  good = 0;
  bad = 0;
  lastGood = Number.NaN;
  /** The last 24 good ones, a bit each; 1: the app answered 3xx. */
  #answers = 0;
  redirectStatus = 0;
  readonly redirected = new Counts(1, 25, HOUR);
  /** When the last good ones came. */
  readonly #goodStarts = new Float64Array(KEPT);
  #episode: Episode | null = null;
  readonly losses = new Counts(LOST_ENDS.length, 25, HOUR);
  lastLoss = Number.NaN;
  /** By diagnosis, in the order of their first. */
  readonly lossCauses = new Map<Diagnosis, Counts>();

  addGood({ upstreamStatus: status, startedAt }: Pick<Detail, 'upstreamStatus' | 'startedAt'>, now: number): void {
    this.#goodStarts[this.good++ % KEPT] = startedAt;
    this.lastGood = now;
    const isRedirect = status >= 300;
    if (status > 0) this.#answers = ((this.#answers << 1) | Number(isRedirect)) & 0xff_ff_ff;
    if (isRedirect) {
      this.redirectStatus = status;
      this.redirected.add(0, now);
    }
    this.#episode?.addGood(now);
  }

  /** How many of the last good ones were 3xx. */
  get redirects(): number {
    return this.#answers.toString(2).replaceAll('0', '').length;
  }

  /** A stored delivery was taken at a later sending, or gave way to an equal fresh one. */
  addEnd(result: 'delivered' | 'replaced', now: number): void {
    if (this.#episode !== null) this.#episode[result]++;
    if (result === 'delivered') this.addGood(LATER, now);
  }

  /** `loss`: null for a delivery that is stored, so not lost yet. */
  addBad(diagnosis: Diagnosis, loss: LostEnd | null, record: Detail, now: number): void {
    const episode = this.episode(now) ?? this.#begin(record.startedAt, now);
    episode.addBad(diagnosis, record, now);
    this.bad++;
    if (loss === null) return;
    episode.isLossless = false;
    this.losses.add(LOST_ENDS.indexOf(loss), now);
    this.lastLoss = now;
    const counts = this.lossCauses.get(diagnosis) ?? new Counts(1, 25, HOUR);
    this.lossCauses.set(diagnosis, counts);
    counts.add(0, now);
  }

  #begin(began: number, now: number): Episode {
    const beside = this.#goodStarts.subarray(0, this.good).filter((at) => at > began).length;
    this.#episode = new Episode({ began, beside, goodBefore: this.lastGood }, now);
    return this.#episode;
  }

  /** The open episode; null if there is none. */
  episode(now: number): Episode | null {
    if (this.#episode?.isOver(now) === true) this.#episode = null;
    return this.#episode;
  }

  lost(now: number): number {
    return LOST_ENDS.reduce((sum, _, kind) => sum + this.losses.sum(kind, now), 0);
  }
}
