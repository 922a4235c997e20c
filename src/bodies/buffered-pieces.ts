// The pieces of a body that streams, while they wait for the upstream: copies, since a slice would keep its whole read
// alive.
import { Buffer } from 'node:buffer';
import type { ByteBudget, UnfinishedBody } from './budget.ts';

export class BufferedPieces implements UnfinishedBody {
  place = -1;
  buffered = 0;
  readonly #budget: ByteBudget;
  readonly #onEvicted: () => void;
  #pieces: Buffer[] = [];

  constructor(budget: ByteBudget, onEvicted: () => void) {
    this.#budget = budget;
    this.#onEvicted = onEvicted;
    budget.unfinished.add(this);
  }

  /** Always 0, so that it is evicted before any other body: it waits for the upstream, not for the client. */
  rate(): number {
    return 0;
  }

  fail(): void {
    this.drain();
    this.#onEvicted();
  }

  /** False: the budget has no room for the piece. */
  add(piece: Buffer): boolean {
    if (!this.#budget.reserve(piece.length, this)) return false;
    const copy = Buffer.allocUnsafeSlow(piece.length);
    piece.copy(copy);
    this.#pieces.push(copy);
    this.buffered += piece.length;
    return true;
  }

  /** Returns all pieces in order and releases their memory from the budget. */
  drain(): Buffer[] {
    const pieces = this.#pieces;
    this.#budget.unfinished.delete(this);
    for (const { length } of pieces) this.#budget.release(length);
    this.#pieces = [];
    this.buffered = 0;
    return pieces;
  }
}
