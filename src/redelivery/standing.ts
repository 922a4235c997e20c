// How the store stands, as this process knows it. Looked at every ten seconds, and when somebody asks after a change of
// ours.
import type { KeyObject } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { onePerTurn } from '../base/deadline.ts';
import { type DeferredTotals, noneDeferred } from '../core/request-record.ts';
import { keyTag } from './record.ts';
import type { Report } from './report.ts';
import type { DeferredStore, Summary } from './stores/store.ts';

const LOOK_EVERY_MS = 10_000;
/** Milliseconds. Whoever asks waits no longer. */
const PATIENCE_MS = 1000;

export class Standing {
  readonly #store: Promise<DeferredStore>;
  readonly #report: Report;
  /** As last told by the store. */
  summary: Summary = { groups: [], soonest: [], dropped: [] };
  /** When the summary was made, epoch milliseconds: the `wait` of its entries counts from there. */
  at = 0;
  /** This process has changed something since the last look began, or there was none. */
  isStale = true;
  #isLooking = false;
  #isStopped = false;
  readonly #looks: NodeJS.Timeout;
  readonly #look = onePerTurn(() => this.#lookOnce());

  constructor(store: Promise<DeferredStore>, report: Report) {
    this.#store = store;
    this.#report = report;
    this.#looks = setInterval(this.#look, LOOK_EVERY_MS).unref();
    void this.#look();
  }

  /** True if nothing is stored, as far as this process knows. */
  get isEmpty(): boolean {
    return !this.isStale && !this.#isLooking && this.summary.soonest.length === 0;
  }

  totals(): DeferredTotals {
    const totals = noneDeferred();
    for (const { state, deliveries, bytes, oldest } of this.summary.groups) {
      const total = totals[state];
      total.deliveries += deliveries;
      total.bytes += bytes;
      total.oldest = Math.min(total.oldest || oldest, oldest || total.oldest);
    }
    return totals;
  }

  /** How many deliveries the secret's value has signed, but for those that nothing verifies now. */
  signedBy(key: KeyObject | null): number {
    const tag = key === null ? null : keyTag(key);
    const signed = this.summary.groups.filter((group) => group.key === tag && group.state !== 'unverified');
    return signed.reduce((sum, { deliveries }) => sum + deliveries, 0);
  }

  /** Resolves once the last change is known, a second later at most. */
  async known(): Promise<void> {
    if (!this.isStale && !this.#isLooking) return;
    await Promise.race([this.#look(), sleep(PATIENCE_MS, undefined, { ref: false })]);
  }

  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#looks);
  }

  async #lookOnce(): Promise<void> {
    this.#isLooking = true;
    try {
      const store = await this.#store;
      this.isStale = false;
      this.summary = await store.summary();
      this.at = Date.now();
      for (const { id, note } of this.summary.dropped) this.#report.result('dropped', id, note ?? { route: null });
    } catch (error) {
      if (!this.#isStopped) this.#report.failed(error);
    }
    this.#isLooking = false;
    this.#report.flush();
  }
}
