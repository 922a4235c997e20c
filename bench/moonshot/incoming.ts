// Bytes that have come and were not taken yet. The usual message comes in one piece and is never copied; what comes in many is
// gathered in one growing buffer. Bytes that were given out are never written over.
import { Buffer } from 'node:buffer';

const EMPTY = Buffer.alloc(0);

export class Incoming {
  bytes: Buffer = EMPTY;
  /** Where the bytes that nobody took begin and end. */
  at = 0;
  end = 0;
  #ours = false;

  get length(): number {
    return this.end - this.at;
  }

  push(piece: Buffer): void {
    if (this.at === this.end) {
      this.bytes = piece;
      this.at = 0;
      this.end = piece.length;
      this.#ours = false;
      return;
    }
    const length = this.length + piece.length;
    if (!this.#ours || this.end + piece.length > this.bytes.length) this.#grow(2 * length);
    piece.copy(this.bytes, this.end);
    this.end += piece.length;
  }

  /** The next `length` bytes; to be asked for only when they are there. */
  take(length: number): Buffer {
    const taken = this.bytes.subarray(this.at, this.at + length);
    this.at += length;
    return taken;
  }

  skip(length: number): void {
    this.at += length;
  }

  text(from: number, to: number): string {
    return this.bytes.toString('latin1', from, to);
  }

  /** Where `needle` begins in what is there, from `from` on; -1 where it does not. */
  find(needle: string, from: number): number {
    const found = this.bytes.indexOf(needle, from, 'latin1');
    return found >= 0 && found + needle.length <= this.end ? found : -1;
  }

  #grow(capacity: number): void {
    const next = Buffer.allocUnsafeSlow(capacity);
    this.bytes.copy(next, 0, this.at, this.end);
    this.end -= this.at;
    this.at = 0;
    this.bytes = next;
    this.#ours = true;
  }
}
