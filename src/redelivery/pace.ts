// How fast deferred deliveries are sent again: how many at once, and how long each waits after a failure. No clock but the
// one that is given.

const FIRST_PAUSE_MS = 1000;
/** Milliseconds. */
export const MAX_PAUSE_MS = 10 * 60_000;
/** Between two probes of an app that accepts no connection. */
const PROBE_EVERY_MS = 10_000;
/** Between two sendings while each of them fails. */
const FAILING_PAUSE_MS = 200;

/** The pause after so many attempts: it doubles up to ten minutes. `random`: 0 to 1; it takes up to a quarter off. */
export function pauseAfter(attempts: number, random: number): number {
  return Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempts, 20)) * (1 - random / 4);
}

/**
 * How a sending went. `refused`: a 4xx, which says that the app works. `duplicate`: by `once` it was delivered before.
 * `not sent`: there was no slot, a twin of `once` is on its way, or the process stops.
 */
export type Went = 'taken' | 'refused' | 'failed' | 'no connection' | 'duplicate' | 'not sent';

/** How many may be at work. After a failure one at a time; each of them another event, since the failed one waits. */
export class SendingPace {
  readonly #most: number;
  /** The app has just started, or failed: one at a time until it takes one. */
  #careful = true;
  /** No sending begins before. Milliseconds of the clock that `note` is given. */
  notBefore = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get most(): number {
    return this.#careful ? 1 : this.#most;
  }

  /** `now`: of a clock that never goes back. */
  note(went: Went, now: number): void {
    if (went === 'taken') this.#careful = false;
    if (went === 'taken' || went === 'refused') return this.now();
    if (went !== 'failed' && went !== 'no connection') return;
    this.#careful = true;
    this.notBefore = now + (went === 'failed' ? FAILING_PAUSE_MS : PROBE_EVERY_MS);
  }

  /** Somebody asked, or the app works: it need not wait. */
  now(): void {
    this.notBefore = 0;
  }
}
