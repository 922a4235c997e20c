// The end of a wait for what comes through a socket or a file.

/**
 * Calls `over` once so many milliseconds are over, unless the function that it returns was called before. Timers run
 * before sockets are read, so after a standstill (a suspended process or machine, a core that others use) everything that
 * came meanwhile would be late. Here it is read first.
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
