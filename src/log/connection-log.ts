// Connections that were ended before any answer, since there were too many: counted, and logged once a second at most.
import type { Log } from './log.ts';

export const TURNED_AWAY_CAUSES = ['limit', 'handshakes'] as const;
export type TurnedAwayCause = (typeof TURNED_AWAY_CAUSES)[number];

export class ConnectionLog {
  /** Since the start. */
  readonly counts: Record<TurnedAwayCause, number> = { limit: 0, handshakes: 0 };
  readonly #log: Log;
  #logged = { ...this.counts };
  #second: NodeJS.Timeout | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  record(cause: TurnedAwayCause, client: string): void {
    this.counts[cause]++;
    // A timer, not the clock, ends the second: so it ends even if the clock is set back or the flood stops.
    this.#second ??= setTimeout(() => this.#flush(client), 1000).unref();
  }

  /** `client`: the first of the second. */
  #flush(client: string): void {
    this.#second = undefined;
    const [limit, handshakes] = TURNED_AWAY_CAUSES.map((cause) => this.counts[cause] - this.#logged[cause]);
    this.#logged = { ...this.counts };
    this.#log.warn('connections were ended before any answer, since there were too many', {
      limit,
      handshakes,
      client,
    });
  }
}
