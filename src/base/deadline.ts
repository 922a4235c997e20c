// Waiting: a fair deadline for data from a socket or file, one result for many callers, and how long a store stays slow.
import { setImmediate as nextTurn } from 'node:timers/promises';

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
