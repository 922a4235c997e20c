// When deferred deliveries are sent again: which is next. No I/O, and no clock but the one that is given: times are epoch
// milliseconds.
import { type DeferredTotals, noneDeferred } from '../core/request-record.ts';
import type { Deferred } from './deferred.ts';
import { PROBE_EVERY_MS, pauseAfter } from './pace.ts';

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
