// The log of redelivery: how deferred deliveries end, and whether their store works. Tens of thousands of deliveries may
// cause the same message: the first is logged, and the others are counted. Only a loss has a line of its own, always.
import type { RedeliveryResult } from '../core/fate-by-status.ts';
import { UNMATCHED } from '../core/routes.ts';
import type { Note } from './note.ts';
import type { Fields, Needs } from './process-parts.ts';

const FAILS = 'the store of deferred deliveries fails';
const WORKS = 'the store of deferred deliveries works';

type Level = keyof Needs['log'];

const RESULTS = {
  delivered: ['info', 'a deferred delivery was taken', 'attempts'],
  replaced: ['info', 'a deferred delivery was removed: an equal fresh one came', 'fresh'],
  expired: ['error', 'a deferred delivery was not taken in time, and is sent no more by itself', 'attempts'],
  dropped: ['warn', 'a deferred delivery was dropped from the store', 'attempts'],
  client_error: ['warn', 'the app refused a deferred delivery', 'status'],
  unverified: ['error', 'a deferred delivery cannot be verified, and is not sent', 'why'],
} as const satisfies Readonly<Record<Exclude<RedeliveryResult, 'lost'>, readonly [Level, string, string]>>;

export class ResultLog {
  readonly #needs: Pick<Needs, 'log' | 'onResult'>;
  /** The problem that was last logged; null if it is over. */
  #told: string | null = null;
  /** For each message: how many equal ones were not logged, and the level and fields of the last. */
  readonly #leftOut = new Map<string, { level: Level; fields: Fields; count: number }>();

  constructor(needs: Pick<Needs, 'log' | 'onResult'>) {
    this.#needs = needs;
  }

  /** Logs and reports what became of a delivery. `fresh`: what became of an equal one that replaced it. */
  result(result: keyof typeof RESULTS, id: string, note: Pick<Note, 'route'> & Partial<Note>, fresh = ''): void {
    const [level, message, field] = RESULTS[result];
    const { attempts = 0, failure = '', route } = note;
    this.tell(level, message, { id, [field]: { attempts, fresh, status: failure, why: failure }[field] });
    this.#needs.onResult({ result, route: route ?? UNMATCHED });
  }

  /** Must be called with the store's problem, or null while it has none: logs what has changed. */
  storeProblem(why: string | null): void {
    if (why !== null && why !== this.#told) this.tell('error', FAILS, { problem: why });
    if (why === null && this.#told !== null) this.tell('info', WORKS, {});
    this.#told = why;
  }

  tell(level: Level, message: string, fields: Fields): void {
    const before = this.#leftOut.get(message);
    if (before === undefined) this.#needs.log[level](message, fields);
    this.#leftOut.delete(message); // so that the latest message comes last
    this.#leftOut.set(message, { level, fields, count: before === undefined ? 0 : before.count + 1 });
  }

  /** Logs what was left out since the last time. If the store works again, the last line must not say that it fails. */
  flush(): void {
    let isTold = false;
    for (const [message, { level, fields, count }] of this.#leftOut) {
      if (count > 0) this.#needs.log[level](message, { ...fields, count });
      else if (isTold && message === WORKS) this.#needs.log[level](message, fields);
      isTold ||= count > 0;
    }
    this.#leftOut.clear();
  }
}
