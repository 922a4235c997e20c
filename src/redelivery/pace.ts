// How fast deferred deliveries are sent again, and against whom a failure speaks: it follows from how sendings went.
import type { Note } from './note.ts';

/** The maximum number of events sent at once; a quarter of the upstream slots if fewer: fresh ones need slots, too. */
const MOST_AT_WORK = 8;
const FIRST_PAUSE_MS = 1000;
export const MAX_PAUSE_MS = 10 * 60_000;
/** The pause between two sendings while the app accepts no connection. */
const UNREACHED_PAUSE_MS = 10_000;
/** The pause after a sending that failed although the app accepts connections. */
const FAILING_PAUSE_MS = 200;

/** Milliseconds to wait: each attempt doubles them, up to ten minutes; `random` (0 to 1) cuts up to a quarter off. */
export function pauseAfter(attempts: number, random: number): number {
  return Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempts, 20)) * (1 - random / 4);
}

/**
 * How a sending went. `refused`: a final 4xx, so the app works. `duplicate`: delivered before (`once`). `not sent`: no
 * slot, the stop, or `once` does not let it: a twin is being delivered, or its store failed.
 */
export type Went = 'taken' | 'refused' | 'failed' | 'no connection' | 'duplicate' | 'not sent';

/** Decides how many events are sent at once: at the start and after a failure only one, until the app takes one. */
export class SendingPace {
  readonly #most: number;
  #careful = true;
  /** No sending begins before this time, in milliseconds of the clock that `adapt` is given; 0 if there is no pause. */
  notBefore = 0;

  /** `slots`: the maximum number of requests that the upstream gets at once. */
  constructor(slots: number) {
    this.#most = Math.max(1, Math.min(MOST_AT_WORK, Math.floor(slots / 4)));
  }

  get atOnce(): number {
    return this.#careful ? 1 : this.#most;
  }

  /** `now`: milliseconds of a monotonic clock. */
  adapt(went: Went, now: number): void {
    if (went === 'taken') this.#careful = false;
    if (went === 'taken' || went === 'refused') return this.endPause();
    if (went !== 'failed' && went !== 'no connection') return;
    this.#careful = true;
    this.notBefore = now + (went === 'failed' ? FAILING_PAUSE_MS : UNREACHED_PAUSE_MS);
  }

  endPause(): void {
    this.notBefore = 0;
  }
}

/** What the app took last, by route, as far as is known: it tells whether a failure speaks against app or delivery. */
export class LastTaken {
  /** Times are epoch milliseconds. */
  readonly #taken = new Map<string, { came: number; takenAt: number }>();

  /** Must be called when the app took a delivery that had come at `came`. */
  took(route: string, came: number): void {
    const before = this.#taken.get(route)?.came ?? 0;
    this.#taken.set(route, { came: Math.max(came, before), takenAt: Date.now() });
  }

  /** True if, since a delivery was last tried, the app has taken another one that had come no earlier. */
  hasPassed(route: string, { came, tried }: Pick<Note, 'came' | 'tried'>): boolean {
    const taken = this.#taken.get(route);
    return taken !== undefined && taken.came >= came && taken.takenAt > tried;
  }
}
