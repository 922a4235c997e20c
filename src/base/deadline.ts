// Turns of the event loop: a deadline for what comes through a socket or a file, and costly work that many may ask for
// at once.
import { setImmediate as nextTurn } from 'node:timers/promises';

/**
 * Calls `over` after `milliseconds`; the returned function cancels it. Timers run before sockets are read, so after a
 * standstill (a suspended process or machine, a core that others use) all that came meanwhile would count as late. So
 * sockets are read once more before `over` is called.
 */
export function deadline(milliseconds: number, over: () => void): () => void {
  let next: NodeJS.Immediate | undefined;
  const timer = setTimeout(() => {
    next = setImmediate(over);
  }, milliseconds);
  return () => {
    clearTimeout(timer);
    clearImmediate(next);
  };
}

/**
 * Makes one result for all callers in one turn of the event loop, or while the previous result is being made. However
 * many there are, other work gets its turn in between. A result is begun after its callers ask, so none is stale.
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
