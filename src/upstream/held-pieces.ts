// What has come of a streaming body before the upstream can take it: while the request waits for a slot or a socket. Copied to
// its own size and counted in the byte budget, so that a thousand waiting uploads hold what the budget says and no more.
import { Buffer } from 'node:buffer';
import type { ByteBudget, UnfinishedBody } from '../downstream/budget.ts';

export class HeldPieces implements UnfinishedBody {
  place = -1;
  readonly #budget: ByteBudget;
  readonly #onEvicted: () => void;
  #pieces: Buffer[] = [];
  #bytes = 0;

  /** `onEvicted`: the budget is full, and this body came slowest of late. */
  constructor(budget: ByteBudget, onEvicted: () => void) {
    this.#budget = budget;
    this.#onEvicted = onEvicted;
    budget.enter(this);
  }

  get held(): number {
    return this.#bytes;
  }

  /** It waits for the upstream, not for its client: of all unfinished bodies the first to go. */
  rate(): number {
    return 0;
  }

  evict(): void {
    this.take();
    this.#onEvicted();
  }

  /** False: the budget has no room for it. */
  add(piece: Buffer): boolean {
    const room = { total: 0, now: performance.now(), body: this };
    if (!this.#budget.take(piece.length, room)) return false;
    const copy = Buffer.allocUnsafeSlow(piece.length);
    piece.copy(copy);
    this.#pieces.push(copy);
    this.#bytes += piece.length;
    return true;
  }

  /** All of it, in order. From now on it holds nothing and counts nothing. */
  take(): Buffer[] {
    const pieces = this.#pieces;
    this.#budget.leave(this);
    this.#budget.release(this.#bytes, 0);
    this.#pieces = [];
    this.#bytes = 0;
    return pieces;
  }
}
