// Waits for an event no longer than a test can.

/** A promise with a deadline in milliseconds; the error names what it waited for. */
export function within<T = void>(
  deadline: number,
  what: string,
  start: (done: (value: T) => void, fail: (error: Error) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`waited ${deadline} ms for ${what}`)), deadline);
    const settled = <V>(settle: (value: V) => void) => {
      return (value: V) => {
        clearTimeout(timer);
        settle(value);
      };
    };
    start(settled(resolve), settled(reject));
  });
}
