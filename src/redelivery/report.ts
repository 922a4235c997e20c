// The reports of redelivery: lines of the log, results, and the state of its store. Tens of thousands of deliveries may
// have the same to report, so of equal messages the first is written, and the others are counted.
import type { RedeliveryResult } from '../core/request-record.ts';
import type { About, Fields, Level, Needs } from './needs.ts';

const FAILS = 'the store of deferred deliveries fails';
const WORKS = 'the store of deferred deliveries works';
const LOST = 'the store of deferred deliveries has lost what waited in it';

const RESULTS = {
  delivered: ['info', 'a deferred delivery was taken', 'attempts'],
  expired: ['error', 'a deferred delivery is lost: its window is over', 'attempts'],
  dropped: ['warn', 'a deferred delivery was dropped from the store', 'attempts'],
  client_error: ['warn', 'the app refused a deferred delivery', 'status'],
  unverified: ['error', 'a deferred delivery cannot be verified, and is not sent', 'why'],
} as const satisfies Readonly<Record<RedeliveryResult, readonly [Level, string, string]>>;

/** `failed`: it works again. */
type Kind = 'full' | 'slow' | 'failing' | 'failed';

export class Report {
  readonly #needs: Pick<Needs, 'tell' | 'onResult'>;
  /** By message: how many were left out, and the last of them. */
  readonly #leftOut = new Map<string, { level: Level; fields: Fields; count: number }>();
  /** How often the store failed, was full, was too slow, or lost everything. */
  failures = 0;
  /** The store's own account of its problem; null while it works. */
  #failing: string | null = null;
  /** The last delivery that was not stored because of the store; null once another one was. */
  turnedAway: { readonly why: string; readonly kind: Kind; readonly at: number } | null = null;
  /** The last time that the store lost what it held. */
  loss: { readonly at: number; readonly problem: string } | null = null;

  constructor(needs: Pick<Needs, 'tell' | 'onResult'>) {
    this.#needs = needs;
  }

  /** The present problem of the store; null if none is known. */
  get problem(): { readonly why: string; readonly kind: Kind } | null {
    return this.#failing === null ? this.turnedAway : { why: this.#failing, kind: 'failing' };
  }

  tell(level: Level, message: string, fields: Fields): void {
    const before = this.#leftOut.get(message);
    if (before === undefined) this.#needs.tell(level, message, fields);
    this.#leftOut.delete(message); // the order is that of the last ones
    this.#leftOut.set(message, { level, fields, count: before === undefined ? 0 : before.count + 1 });
  }

  /** Tells of what was left out since the last time. That the store fails must not be the last word if it works. */
  flush(): void {
    let isTold = false;
    for (const [message, { level, fields, count }] of this.#leftOut) {
      if (count > 0) this.#needs.tell(level, message, { ...fields, count });
      else if (isTold && message === WORKS) this.#needs.tell(level, message, fields);
      isTold ||= count > 0;
    }
    this.#leftOut.clear();
  }

  result(result: RedeliveryResult, id: string, about: About): void {
    const [level, message, field] = RESULTS[result];
    const { attempts = 0, failure = '' } = about;
    this.tell(level, message, { id, [field]: field === 'attempts' ? attempts : failure });
    this.#needs.onResult(result, id, about);
  }

  /** A call to the store has failed. */
  readonly failed = (error: unknown): void => {
    this.failures++;
    if (this.#failing === null) this.tell('error', FAILS, { problem: textOf(error) }); // else the store has told
  };

  /** A delivery was not stored, because of the store. */
  passes(kind: Kind, error: unknown): void {
    this.failed(error);
    this.turnedAway = { why: textOf(error), kind, at: Date.now() };
  }

  /** A delivery was stored. */
  stored(): void {
    const { kind = 'failed' } = this.turnedAway ?? {};
    this.turnedAway = null;
    if (kind !== 'failed' && this.#failing === null) this.tell('info', WORKS, {});
  }

  /** The store itself tells of a change; null: it works. */
  readonly set = (problem: string | null): void => {
    const changed = (problem === null) !== (this.#failing === null);
    this.#failing = problem;
    if (!changed) return;
    if (problem !== null) return this.tell('error', FAILS, { problem });
    if (this.turnedAway?.kind === 'failing') this.turnedAway = { ...this.turnedAway, kind: 'failed' };
    this.tell('info', WORKS, {});
  };

  /** Events that were stored are gone or were set aside, all or the last of them. */
  readonly lost = (problem: string): void => {
    this.failures++;
    this.loss = { problem, at: Date.now() };
    this.tell('error', LOST, { problem });
  };
}

const textOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
