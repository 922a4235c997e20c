// The state of the store of deferred deliveries, as this process knows it: what waits there, the store's problem, and
// what is logged about both. Tens of thousands of deliveries may cause the same message: the first is logged, and the
// others are counted.
import type { KeyObject } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { onePerTurn } from '../base/deadline.ts';
import { ignore } from '../base/errors.ts';
import type { DeferredState, RedeliveryResult } from '../core/redelivery-record.ts';
import { UNMATCHED } from '../core/routes.ts';
import type { Fields, Needs } from './needs.ts';
import type { Note } from './note.ts';
import { keyTag } from './record.ts';
import type { DeferredStore, Summary } from './stores/store.ts';

/** Milliseconds. The longest wait for the latest summary. */
const PATIENCE_MS = 1000;

const FAILS = 'the store of deferred deliveries fails';
const WORKS = 'the store of deferred deliveries works';
const LOST = 'the store of deferred deliveries has lost what waited in it';

type Level = keyof Needs['log'];

const RESULTS = {
  delivered: ['info', 'a deferred delivery was taken', 'attempts'],
  expired: ['error', 'a deferred delivery is lost: its window is over', 'attempts'],
  dropped: ['warn', 'a deferred delivery was dropped from the store', 'attempts'],
  client_error: ['warn', 'the app refused a deferred delivery', 'status'],
  unverified: ['error', 'a deferred delivery cannot be verified, and is not sent', 'why'],
} as const satisfies Readonly<Record<RedeliveryResult, readonly [Level, string, string]>>;

/** `recovered`: the store was `failing`, and works again. */
type Kind = 'full' | 'slow' | 'failing' | 'recovered';

export class StoreState {
  readonly #needs: Pick<Needs, 'log' | 'onResult'>;
  /** Returns the store, and opens it if it is not open yet. */
  readonly store: () => Promise<DeferredStore>;
  /** Called once this process has changed what is stored. */
  onChange: () => void = ignore;
  /** The store's latest summary. */
  summary: Summary = { groups: [], soonest: [], dropped: [] };
  /** When the summary was made, in epoch milliseconds: the `wait` of its entries counts from then. */
  at = 0;
  /** How often this process has changed what is stored; `#seen`: how many of these changes the summary includes. */
  #changes = 0;
  #seen = 0;
  /** True if the last look failed: then it is not known whether the store is empty. */
  #lookFailed = false;
  /** How often the store failed, was full, was too slow, or lost events. */
  failures = 0;
  /** The problem that the store itself reports; null while it works. */
  #failing: string | null = null;
  /** The last delivery that was not stored because of the store; null once another one was. */
  turnedAway: { readonly why: string; readonly kind: Kind; readonly at: number } | null = null;
  /** The last time that the store lost events. */
  loss: { readonly at: number; readonly problem: string } | null = null;
  /** For each message: how many equal ones were not logged, and the level and fields of the last. */
  readonly #leftOut = new Map<string, { level: Level; fields: Fields; count: number }>();
  #isClosed = false;

  constructor(needs: Pick<Needs, 'log' | 'onResult'>, store: () => Promise<DeferredStore>) {
    this.#needs = needs;
    this.store = store;
  }

  // --- what waits

  /** True if nothing is stored, as far as this process knows. */
  get isEmpty(): boolean {
    return !this.#lookFailed && this.#seen === this.#changes && this.summary.soonest.length === 0;
  }

  /** The sums for one state. `oldest`: when the oldest delivery came, in epoch milliseconds; 0 if there is none. */
  total(state: DeferredState): { readonly deliveries: number; readonly bytes: number; readonly oldest: number } {
    const total = { deliveries: 0, bytes: 0, oldest: 0 };
    for (const { deliveries, bytes, oldest } of this.summary.groups.filter((group) => group.state === state)) {
      total.deliveries += deliveries;
      total.bytes += bytes;
      total.oldest = Math.min(total.oldest || oldest, oldest || total.oldest);
    }
    return total;
  }

  /** How many stored deliveries the secret with this key has verified, except those now in state `unverified`. */
  signedBy(key: KeyObject | null): number {
    const tag = key === null ? null : keyTag(key);
    const signed = this.summary.groups.filter((group) => group.key === tag && group.state !== 'unverified');
    return signed.reduce((sum, { deliveries }) => sum + deliveries, 0);
  }

  /** Must be called when this process has changed what is stored, or the store may hold what no look has seen yet. */
  changed(): void {
    this.#changes++;
    this.onChange();
  }

  /** Resolves once the summary includes the last change, after a second at most. */
  async upToDate(): Promise<void> {
    if (this.#seen === this.#changes) return;
    await Promise.race([this.look(), sleep(PATIENCE_MS, undefined, { ref: false })]);
  }

  readonly look = onePerTurn(async () => {
    const changes = this.#changes;
    const summary = await this.ask((store) => store.summary());
    if (summary !== null) [this.summary, this.at] = [summary, Date.now()];
    this.#lookFailed = summary === null;
    for (const { id, note } of summary?.dropped ?? []) this.result('dropped', id, note ?? { route: null });
    this.#seen = changes;
    this.#flush();
  });

  close(): void {
    this.#isClosed = true;
    this.#flush();
  }

  // --- whether the store works

  /** The present problem of the store; null if none is known. */
  get problem(): { readonly why: string; readonly kind: Kind } | null {
    return this.#failing === null ? this.turnedAway : { why: this.#failing, kind: 'failing' };
  }

  /** Calls the store, and returns its answer; null if the call failed, which is logged. */
  async ask<T>(call: (store: DeferredStore) => Promise<T>): Promise<T | null> {
    try {
      return await call(await this.store());
    } catch (error) {
      this.failed(error);
      return null;
    }
  }

  readonly failed = (error: unknown): void => {
    if (this.#isClosed) return;
    this.failures++;
    if (this.#failing === null) this.tell('error', FAILS, { problem: textOf(error) }); // else it is logged already
  };

  /** Must be called when a delivery was not stored because of the store. */
  passes(kind: Kind, error: unknown): void {
    this.failed(error);
    this.turnedAway = { why: textOf(error), kind, at: Date.now() };
  }

  stored(): void {
    const { kind = 'recovered' } = this.turnedAway ?? {};
    this.turnedAway = null;
    this.changed();
    if (kind !== 'recovered' && this.#failing === null) this.tell('info', WORKS, {});
  }

  /** Called by the store with its problem, or null when it works. */
  readonly set = (problem: string | null): void => {
    const changed = (problem === null) !== (this.#failing === null);
    this.#failing = problem;
    if (!changed) return;
    if (problem !== null) return this.tell('error', FAILS, { problem });
    if (this.turnedAway?.kind === 'failing') this.turnedAway = { ...this.turnedAway, kind: 'recovered' };
    this.tell('info', WORKS, {});
  };

  /** Called by the store when stored events, all or the latest of them, are gone or were set aside. */
  readonly lost = (problem: string): void => {
    this.failures++;
    this.loss = { problem, at: Date.now() };
    this.tell('error', LOST, { problem });
  };

  // --- the log

  /** Logs and reports what became of a delivery. `note` holds only a route if nothing else is known. */
  result(result: RedeliveryResult, id: string, note: Pick<Note, 'route'> & Partial<Note>): void {
    const [level, message, field] = RESULTS[result];
    const { attempts = 0, failure = '', route } = note;
    this.tell(level, message, { id, [field]: field === 'attempts' ? attempts : failure });
    this.#needs.onResult({ result, id, route: route ?? UNMATCHED, failure });
  }

  tell(level: Level, message: string, fields: Fields): void {
    const before = this.#leftOut.get(message);
    if (before === undefined) this.#needs.log[level](message, fields);
    this.#leftOut.delete(message); // so that the latest message comes last
    this.#leftOut.set(message, { level, fields, count: before === undefined ? 0 : before.count + 1 });
  }

  /** Logs what was left out since the last time. If the store works again, the last line must not say that it fails. */
  #flush(): void {
    let isTold = false;
    for (const [message, { level, fields, count }] of this.#leftOut) {
      if (count > 0) this.#needs.log[level](message, { ...fields, count });
      else if (isTold && message === WORKS) this.#needs.log[level](message, fields);
      isTold ||= count > 0;
    }
    this.#leftOut.clear();
  }
}

const textOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
