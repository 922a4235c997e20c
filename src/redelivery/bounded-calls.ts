// Calls that may hang: what they take together is bounded, and so is the time that anybody waits for one.
import { deadline } from '../base/deadline.ts';
import { ignore } from '../base/errors.ts';
import { TIME_LIMIT_MS } from './stores/store.ts';

interface Waiting {
  readonly size: number;
  readonly begin: () => void;
}

interface Closable {
  close(): Promise<void>;
}

export class BoundedCalls {
  readonly #callee: string;
  readonly #most: () => number;
  #taken = 0;
  readonly #waiting = new Set<Waiting>();

  /** `callee`: who may hang, for the error. `most`: the sum of the sizes that are at work; one alone may be larger. */
  constructor(callee: string, most: () => number) {
    this.#callee = callee;
    this.#most = most;
  }

  /**
   * Runs a job. Rejects with its error, or once `TIME_LIMIT_MS` is over: then a job that has begun goes on, and its place
   * stays taken until it ends; one that has not never begins.
   */
  run<T>(job: () => Promise<T>, size = 1): Promise<T> {
    return new Promise((resolve, reject) => {
      const begin = () => {
        this.#waiting.delete(waiting);
        this.#taken += size;
        job()
          .then(resolve, reject)
          .finally(() => {
            cancel();
            this.#taken -= size;
            this.#next();
          });
      };
      const waiting = { size, begin };
      const cancel = deadline(TIME_LIMIT_MS, () => {
        this.#waiting.delete(waiting);
        reject(new Error(`${this.#callee} did not answer within ${TIME_LIMIT_MS} ms`));
      });
      this.#waiting.add(waiting);
      this.#next();
    });
  }

  /** The same for what has to be closed: where it comes too late for whoever asked, it is closed here. */
  async open<T extends Closable>(job: () => Promise<T>): Promise<T> {
    let isWanted = true;
    const opening = async () => {
      const opened = await job();
      if (!isWanted) void opened.close().catch(ignore);
      return opened;
    };
    try {
      return await this.run(opening);
    } catch (error) {
      isWanted = false;
      throw error;
    }
  }

  /** In their order: small ones that overtake a large one would keep it out until its time is over. */
  #next(): void {
    for (const { size, begin } of this.#waiting) {
      if (this.#taken > 0 && this.#taken + size > this.#most()) return;
      begin();
    }
  }
}
