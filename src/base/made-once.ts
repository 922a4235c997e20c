// Things that are made once, in a promise, and then kept: a module that is loaded late, a store that is opened.

/**
 * Returns a function that makes a value at its first call, and returns the same to every caller. A failure is not kept:
 * a module that could not be read because no file descriptor was free would otherwise be missing for ever.
 */
export function madeOnce<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | null = null;
  const forget = () => {
    made = null;
  };
  return () => {
    if (made === null) {
      made = make();
      made.catch(forget);
    }
    return made;
  };
}
