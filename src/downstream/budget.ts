// The byte budget: all verified bodies that are held at once. When it is full the unfinished body that came slowest of
// late is ended, not the newcomer, so that those who drip pay and honest senders do not.
import { IndexedSet, type Member } from '../core/indexed-set.ts';

/** Bodies up to this size may use the whole budget; larger ones leave an eighth of it to them. */
export const SMALL_BODY = 64 * 1024;

/** A body that is still coming in. */
export interface UnfinishedBody extends Member {
  /** Bytes of memory that it holds. */
  readonly held: number;
  /** Bytes a millisecond over the last second or so. */
  rate(now: number): number;
  /** Ends it with 503; it gives back what it holds before it returns. */
  evict(): void;
}

export class ByteBudget {
  #limit: number;
  #used = 0;
  #usedByLarge = 0;
  readonly #unfinished = new IndexedSet<UnfinishedBody>();

  /** `limit` in bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get used(): number {
    return this.#used;
  }

  get limit(): number {
    return this.#limit;
  }

  /** A reload may change it; what is held stays held. */
  setLimit(limit: number): void {
    this.#limit = limit;
  }

  enter(body: UnfinishedBody): void {
    this.#unfinished.add(body);
  }

  leave(body: UnfinishedBody): void {
    this.#unfinished.delete(body);
  }

  /** Takes `bytes` more for a body that then holds `total`. False: there is no room even after evictions. */
  take(bytes: number, options: { total: number; now: number; body: UnfinishedBody }): boolean {
    const large = options.total > SMALL_BODY;
    while (!this.#fits(bytes, large)) {
      const slowest = this.#slowest(options.now, large);
      if (slowest === null) return false;
      slowest.evict();
      if (slowest === options.body) return false;
    }
    this.#used += bytes;
    if (large) this.#usedByLarge += bytes;
    return true;
  }

  /** Gives back `bytes` that were taken for a body that held `total` then. */
  release(bytes: number, total: number): void {
    this.#used -= bytes;
    if (total > SMALL_BODY) this.#usedByLarge -= bytes;
  }

  #fits(bytes: number, large: boolean): boolean {
    if (this.#used + bytes > this.#limit) return false;
    return !large || this.#usedByLarge + bytes <= this.#limit - this.#limit / 8;
  }

  #slowest(now: number, large: boolean): UnfinishedBody | null {
    let slowest: UnfinishedBody | null = null;
    let rate = Number.POSITIVE_INFINITY;
    for (const body of this.#unfinished) {
      if (body.held === 0 || (large && body.held <= SMALL_BODY && this.#used < this.#limit)) continue;
      const its = body.rate(now);
      if (its < rate) [slowest, rate] = [body, its];
    }
    return slowest;
  }
}
