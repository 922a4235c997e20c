// The log has every problem of the status page, also those for which no request has a line of its own: a certificate
// that ends, a store that fails. Nobody should have to look at a page to learn of them.
import type { Advice } from '../admin/advice/advice.ts';
import type { Log } from '../log/log.ts';

/** Milliseconds. A problem that lasts, or comes and goes, has one line an hour. */
const AGAIN_AFTER = 3_600_000;

/** One note is told: on a forward route that is named, signed requests may be deliveries that nobody verifies. */
const LEVELS = { failed: 'error', warning: 'warn', note: 'info' } as const;

export class DiagnosisLog {
  readonly #log: Log;
  readonly #told = new Map<string, number>();

  constructor(log: Log) {
    this.#log = log;
  }

  look(advice: readonly Advice[], now: number): void {
    for (const { id, state, message, remedy, page, follows } of advice) {
      if (state === 'ok' || (state === 'note' && id !== 'signed-unverified')) continue;
      const told = `${state} ${id}`;
      if (now - (this.#told.get(told) ?? Number.NEGATIVE_INFINITY) < AGAIN_AFTER) continue;
      this.#told.set(told, now);
      const also = follows.length === 0 ? {} : { follows: follows.map((one) => one.id) };
      this.#log[LEVELS[state]]('diagnosis', { diagnosis: id, problem: message, remedy, page, ...also });
    }
  }
}
