// Jobs on the files of deliveries: one at a time on each, and what a listing beside them may tell.
import { ignore } from '../../base/errors.ts';
import type { BoundedCalls } from '../bounded-calls.ts';

export class Jobs {
  readonly #calls: BoundedCalls;
  /** By id. */
  readonly #atWork = new Map<string, Promise<unknown>>();
  /** Changes that are under way, also those that took too long. */
  readonly #unsettled = new Set<string>();
  /** The ids that each listing must not judge. */
  readonly #listings = new Set<Set<string>>();

  constructor(calls: BoundedCalls) {
    this.#calls = calls;
  }

  /** Jobs on one delivery follow each other: a removal must not meet what replaces it. */
  async alone<T>(id: string, job: () => Promise<T>): Promise<T> {
    for (let other = this.#atWork.get(id); other !== undefined; other = this.#atWork.get(id)) {
      await other.catch(ignore);
    }
    if (this.#unsettled.has(id)) throw new Error('the file system has not answered yet');
    for (const touched of this.#listings) touched.add(id);
    const work = job();
    this.#atWork.set(id, work);
    try {
      return await work;
    } finally {
      this.#atWork.delete(id);
    }
  }

  /** A change that takes too long may still happen: until then nothing else is done with that delivery. */
  change<T>(id: string, job: () => Promise<T>): Promise<T> {
    return this.#calls.run(() => {
      const done = job();
      this.#unsettled.add(id);
      const settle = () => this.#unsettled.delete(id);
      done.then(settle, settle);
      return done;
    });
  }

  /**
   * A listing. `touched`: those that were at work when it began, or have been since. It has seen them before or after the
   * work, or half of it, so it must not say that they are gone, or how large they are: the next one does.
   */
  async list<T>(listing: (touched: ReadonlySet<string>) => Promise<T>): Promise<T> {
    const touched = new Set([...this.#atWork.keys(), ...this.#unsettled]);
    this.#listings.add(touched);
    try {
      return await listing(touched);
    } finally {
      this.#listings.delete(touched);
    }
  }
}
