// Waits for an event no longer than a test can.
import { patience } from '../runner/patience.ts';

/** A promise with a deadline; the error names what it waited for, and what it has seen. */
export function within<T = void>(
  what: string,
  start: (done: (value: T) => void, fail: (error: Error) => void) => void,
  seen = () => '',
): Promise<T> {
  return new Promise((resolve, reject) => {
    const deadline = patience();
    const timer = setTimeout(() => reject(new Error(`waited ${deadline} ms for ${what}${seen()}`)), deadline);
    const settled = <V>(settle: (value: V) => void) => {
      return (value: V) => {
        clearTimeout(timer);
        settle(value);
      };
    };
    start(settled(resolve), settled(reject));
  });
}
