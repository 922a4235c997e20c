// When deferred deliveries are sent again: which is next, how many at once, and how long each waits after a failure. No
// I/O, and no clock but the one that is given: times are epoch milliseconds, the pace's are of a clock that never goes back.
import type { Buffer } from 'node:buffer';
import type { KeyObject } from 'node:crypto';
import { type DeferredState, type DeferredTotals, noneDeferred } from '../core/record.ts';
import type { Claim } from './store.ts';

export type Ending = 'delivered' | 'expired' | 'dropped';

/** What is known in memory of one deferred delivery: never its body or its lines. */
export interface Deferred {
  readonly id: string;
  bytes: number;
  /** When it came; from the store alone, and so not yet vouched for, until `checked`. */
  at: number;
  checked: boolean;
  state: DeferredState;
  /** When it is its turn. */
  due: number;
  /** True while it is at work. */
  busy: boolean;
  attempts: number;
  failure: string;
  /** As configured; null until the record was read, or if no route takes it. */
  route: string | null;
  secret: string | null;
  /** The secret that verified it when it was last read: an id names another value after a rotation. Null until then. */
  key: KeyObject | null;
  /** True if a person asked for it: what the app refused is then sent once more. */
  asked: boolean;
  /** The last claim on its record, which may have ended. */
  claim: Claim | null;
  /** How it ended, which is told once; then only its removal is left. Null until it has ended. */
  ended: Ending | null;
  /** Its last progress, sealed, while the store has not learnt that yet. */
  unwritten: Buffer | null;
}

const FIRST_PAUSE_MS = 1000;
const MAX_PAUSE_MS = 10 * 60_000;
/** Between two probes of an app that accepts no connection. */
export const PROBE_EVERY_MS = 10_000;
/** Between two sendings while each of them fails. */
const FAILING_PAUSE_MS = 50;
const MAX_FAILING_PAUSE_MS = 1000;

/** The pause after so many attempts: it doubles up to ten minutes. `random`: 0 to 1; it takes up to a quarter off. */
export function pauseAfter(attempts: number, random: number): number {
  return Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempts, 20)) * (1 - random / 4);
}

/** How a sending went: `taken`; `refused` (a 4xx, which says that the app works); `failed`; `no connection`. */
export type Went = 'taken' | 'refused' | 'failed' | 'no connection';

/** How many may be at work. After a failure one at a time; each of them another event, since the failed one waits. */
export class Pace {
  readonly #most: number;
  /** The app has just started, or failed: one at a time until it takes one. */
  #careful = true;
  #failures = 0;
  #notBefore = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get most(): number {
    return this.#careful ? 1 : this.#most;
  }

  /** No sending begins before. Milliseconds of the clock that `note` is given. */
  get notBefore(): number {
    return this.#notBefore;
  }

  /** `now`: of a clock that never goes back. */
  note(went: Went, now: number): void {
    switch (went) {
      case 'taken':
        this.#careful = false;
        this.now();
        return;
      case 'refused':
        this.now();
        return;
      case 'failed':
        this.#careful = true;
        this.#failures++;
        this.#notBefore = now + Math.min(MAX_FAILING_PAUSE_MS, FAILING_PAUSE_MS * 2 ** Math.min(this.#failures, 10));
        return;
      case 'no connection':
        this.#careful = true;
        this.#notBefore = now + PROBE_EVERY_MS;
        return;
      default:
        went satisfies never;
    }
  }

  /** Somebody asked, or the app works: it need not wait. */
  now(): void {
    this.#failures = 0;
    this.#notBefore = 0;
  }
}

interface Place {
  readonly due: number;
  readonly entry: Deferred;
}
/** Places in the heap beyond two for each entry: below that, old ones are not worth the work. */
const SPARE_PLACES = 64;

/** Everything that is deferred, in the order due. */
export class Schedule {
  readonly #all = new Map<string, Deferred>();
  /** A binary heap by due time. One whose time has changed since is in it again; the old place is skipped. */
  #heap: Place[] = [];

  get(id: string): Deferred | undefined {
    return this.#all.get(id);
  }

  all(): IterableIterator<Deferred> {
    return this.#all.values();
  }

  add(entry: Deferred): void {
    this.#all.set(entry.id, entry);
    this.#push(entry);
  }

  delete(entry: Deferred): void {
    if (this.#all.get(entry.id) === entry) this.#all.delete(entry.id);
  }

  /** Sets when it is its turn, and that it is not at work. */
  wait(entry: Deferred, due: number): void {
    entry.busy = false;
    entry.due = due;
    if (this.#all.get(entry.id) === entry) this.#push(entry);
  }

  /** Where the clock went back, it is the turn of what would wait for longer than its pause, or a probe's. */
  catchUp(now: number): void {
    for (const entry of this.#all.values()) {
      const latest = now + Math.max(PROBE_EVERY_MS, pauseAfter(entry.attempts, 0));
      if (entry.state === 'waiting' && !entry.busy && entry.due > latest) this.wait(entry, now);
    }
  }

  /** The next one; null if there is none. It stays the next one until it is busy, deleted or waits. */
  next(): Deferred | null {
    for (let top = this.#heap[0]; top !== undefined; top = this.#heap[0]) {
      const { due, entry } = top;
      if (!entry.busy && entry.due === due && this.#all.get(entry.id) === entry) return entry;
      this.#pop();
    }
    return null;
  }

  /** In one pass: there may be tens of thousands. */
  totals(): DeferredTotals {
    const totals = noneDeferred();
    for (const { state, bytes, at } of this.#all.values()) {
      const total = totals[state];
      total.deliveries++;
      total.bytes += bytes;
      total.oldest = total.oldest === 0 ? at : Math.min(total.oldest, at);
    }
    return totals;
  }

  /** Places in the heap, old ones included. */
  get places(): number {
    return this.#heap.length;
  }

  #push(entry: Deferred): void {
    if (this.#heap.length >= 2 * this.#all.size + SPARE_PLACES) this.#rebuild();
    const heap = this.#heap;
    const item = { due: entry.due, entry };
    let at = heap.push(item) - 1;
    for (let above = (at - 1) >> 1; at > 0; at = above, above = (at - 1) >> 1) {
      const parent = heap[above];
      if (parent === undefined || parent.due <= item.due) break;
      heap[at] = parent;
      heap[above] = item;
    }
  }

  /** Old places would grow in number with each request of a person. One at work has a new place when it waits. */
  #rebuild(): void {
    const waiting = [...this.#all.values()].filter(({ busy }) => !busy);
    this.#heap = waiting.map((entry) => ({ due: entry.due, entry })).sort((a, b) => a.due - b.due);
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (let below = 1; below < heap.length; below = 2 * at + 1) {
      const [left, right] = [heap[below], heap[below + 1]];
      const least = right !== undefined && left !== undefined && right.due < left.due ? below + 1 : below;
      const child = heap[least];
      if (child === undefined || child.due >= last.due) break;
      heap[at] = child;
      at = least;
    }
    heap[at] = last;
  }
}
