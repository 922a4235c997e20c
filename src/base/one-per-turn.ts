// Costly work that many may ask for at once.
import { setImmediate as nextTurn } from 'node:timers/promises';

/**
 * Makes one thing for all who ask in one turn of the event loop, or while the one before is being made. However many
 * ask, everything else has its turn in between. It is begun after they have asked, so to nobody is it old.
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
