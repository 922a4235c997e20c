// Gathers the pieces of a body compactly. A piece of one byte costs 200 bytes of memory as node hands it over: small ones
// are copied together, large ones are kept as they are.
import { Buffer } from 'node:buffer';

const BLOCK = 16 * 1024;
/** Copying less than this is cheaper than keeping the piece. */
const SMALL = 4 * 1024;
const NOTHING = Buffer.alloc(0);

export class Gather {
  #pieces: Buffer[] = [];
  #block: Buffer = NOTHING;
  #used = 0;
  #length = 0;

  /** Bytes in it. */
  get length(): number {
    return this.#length;
  }

  add(piece: Buffer): void {
    this.#length += piece.length;
    if (piece.length >= SMALL) {
      this.#closeBlock();
      this.#pieces.push(piece);
      return;
    }
    if (this.#used + piece.length > this.#block.length) {
      this.#closeBlock();
      this.#block = Buffer.allocUnsafeSlow(BLOCK);
    }
    piece.copy(this.#block, this.#used);
    this.#used += piece.length;
  }

  /** All of it, in order; it is empty then. */
  take(): Buffer {
    this.#closeBlock();
    const [first = NOTHING] = this.#pieces;
    const taken = this.#pieces.length > 1 ? Buffer.concat(this.#pieces, this.#length) : first;
    this.clear();
    return taken;
  }

  clear(): void {
    this.#pieces = [];
    this.#block = NOTHING;
    this.#used = 0;
    this.#length = 0;
  }

  #closeBlock(): void {
    if (this.#used > 0) this.#pieces.push(this.#block.subarray(0, this.#used));
    this.#block = NOTHING;
    this.#used = 0;
  }
}
