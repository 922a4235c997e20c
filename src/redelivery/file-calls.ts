// Calls to a file system that may hang: two at a time, since node has four threads for all files and for DNS, and a
// `fsync` that never returns holds one for ever.
import { TIME_LIMIT_MS } from './store.ts';

const AT_ONCE = 2;

export class FileCalls {
  #free = AT_ONCE;
  readonly #waiting = new Set<() => void>();

  /**
   * Runs a job of calls that follow each other. Rejects with its error, or once `TIME_LIMIT_MS` is over: then a job that
   * has begun goes on, and its place stays taken until it ends.
   */
  run<T>(job: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(begin);
        reject(new Error(`the file system did not answer within ${TIME_LIMIT_MS} ms`));
      }, TIME_LIMIT_MS);
      const begin = () => {
        this.#waiting.delete(begin);
        this.#free--;
        job()
          .then(resolve, reject)
          .finally(() => {
            clearTimeout(timer);
            this.#free++;
            for (const next of this.#waiting) {
              if (this.#free > 0) next();
            }
          });
      };
      this.#waiting.add(begin);
      if (this.#free > 0) begin();
    });
  }
}
