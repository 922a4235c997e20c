// Waiting: fair deadlines for data from sockets and files, one result for many callers, and how long a store stays slow.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ignore } from './errors.ts';
import { IndexedSet, type Member } from './indexed-set.ts';

/**
 * Calls `expired` after `milliseconds`; the returned function cancels it. Timers run before sockets are read, so after
 * a standstill (a suspended process or machine, a core that others use) data that came in time would count as late. So
 * sockets are read once more before `expired` is called.
 */
export function deadline(milliseconds: number, expired: () => void): () => void {
  let next: NodeJS.Immediate | undefined;
  const timer = setTimeout(() => {
    next = setImmediate(expired);
  }, milliseconds);
  return () => {
    clearTimeout(timer);
    clearImmediate(next);
  };
}

const TICK_MS = 250;

/** Connections with deadlines, checked four times a second by one timer, which runs only while there are any. */
export class TickedSet<T extends Member & { tick(now: number): void }> {
  readonly #members = new IndexedSet<T>();
  readonly #after: (now: number) => void;
  #timer: NodeJS.Timeout | null = null;

  /** `after`: called after each round of checks. */
  constructor(after: (now: number) => void = ignore) {
    this.#after = after;
  }

  get size(): number {
    return this.#members.size;
  }

  add(member: T): void {
    this.#members.add(member);
    // Timers run before sockets are read, immediates after them: see `deadline`. The time is the timer's: after a
    // standstill between the two, nothing that came meanwhile is late.
    this.#timer ??= setInterval(() => setImmediate(this.#run, performance.now()), TICK_MS).unref();
  }

  readonly #run = (now: number): void => {
    for (const ticked of this.list()) ticked.tick(now);
    this.#after(now);
  };

  delete(member: T): void {
    this.#members.delete(member);
    if (this.#members.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  /** Returns a copy, since members may leave during a loop over them. */
  list(): T[] {
    return [...this.#members];
  }
}

/**
 * Returns a function that makes one result for all who call it in one turn of the event loop, or while the previous
 * result is being made, so other work runs between two results. None is stale: each is begun after its callers ask.
 */
export function onePerTurn<T>(make: () => T | Promise<T>): () => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  let next: Promise<T> | null = null;
  const begin = async () => {
    await nextTurn();
    next = null;
    return make();
  };
  return () => {
    if (next === null) {
      next = last.then(begin, begin);
      last = next;
    }
    return next;
  };
}

/**
 * Returns a function that makes a value at its first call, and returns the same to every caller. A failure is not kept:
 * a module that could not be read because no file descriptor was free would otherwise be missing for ever.
 */
export function madeOnce<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | null = null;
  return () => {
    made ??= make().catch((error: unknown) => {
      made = null;
      throw error;
    });
    return made;
  };
}

/** Milliseconds. A store that was slow counts as slow until it has been quick for this long. */
export const QUICK_FOR_MS = 60_000;
