// Changes that are made durable together: one sync of the folder for many files.
import { TIME_LIMIT_MS } from './store.ts';

interface Waiting {
  readonly write: () => Promise<void>;
  readonly until: number;
  readonly done: (error: unknown) => void;
}

/** The most that are synced together: their clients wait a second at most. */
const BATCH = 32;

export class Batches {
  readonly #sync: () => Promise<void>;
  #waiting: Waiting[] = [];
  #writing = false;

  constructor(sync: () => Promise<void>) {
    this.#sync = sync;
  }

  /** Resolves once `write` was called and what it wrote is synced. What has waited for too long is not begun. */
  add(write: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (error: unknown) => (error === null ? resolve() : reject(error));
      this.#waiting.push({ write, until: performance.now() + TIME_LIMIT_MS, done });
      if (!this.#writing) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#writing = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, BATCH);
      const written = (await Promise.all(batch.map(begun))).filter((each) => each !== null);
      const error: unknown = await this.#sync().then(
        () => null,
        (failure: unknown) => failure,
      );
      for (const { done } of written) done(error);
    }
    this.#writing = false;
  }
}

/** Null if it has failed, which it then knows. */
async function begun(waiting: Waiting): Promise<Waiting | null> {
  try {
    if (performance.now() >= waiting.until) throw new Error('the file system is too slow');
    await waiting.write();
    return waiting;
  } catch (error) {
    waiting.done(error);
    return null;
  }
}
