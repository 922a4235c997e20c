// Whether the store of deferred deliveries works: told once for each change, and counted for each failure.
import type { Telling } from './grouped-log.ts';

const FAILS = 'the store of deferred deliveries fails';

export class StoreHealth {
  readonly #telling: Telling;
  /** How often the store failed, was full, or was too slow. */
  failures = 0;
  /** The store's present problem; null if none is known. */
  problem: string | null = null;

  constructor(telling: Telling) {
    this.#telling = telling;
  }

  /** A call has failed. */
  failed(error: unknown): void {
    this.failures++;
    if (this.problem !== null) return; // the store has told
    const problem = error instanceof Error ? error.message : String(error);
    this.#telling.tell('error', FAILS, { problem });
  }

  /** The store itself tells of a change; null: it works. */
  set(problem: string | null): void {
    const changed = (problem === null) !== (this.problem === null);
    this.problem = problem;
    if (!changed) return;
    if (problem === null) this.#telling.tell('info', 'the store of deferred deliveries works', {});
    else this.#telling.tell('error', FAILS, { problem });
  }
}
