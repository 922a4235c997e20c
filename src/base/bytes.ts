// Bytes in memory: copies that keep no larger buffer alive, memory that is freed at once, and how much there may be.
import { Buffer } from 'node:buffer';

export const NO_BYTES = Buffer.alloc(0);

/** Joins pieces in a buffer that keeps neither a read nor Node's shared pool alive, and doubles: the time is linear. */
export class JoinedBytes {
  readonly #mostAhead: number;
  #buffer: Buffer = NO_BYTES;
  length = 0;

  /** `mostAhead`: bytes up to which memory is allocated before it is needed; 0 for none. */
  constructor(mostAhead: number) {
    this.#mostAhead = mostAhead;
  }

  /** A view, which is no longer valid after the next `add`. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.length);
  }

  add(piece: Buffer): void {
    const total = this.length + piece.length;
    if (total > this.#buffer.length) {
      const before = this.#buffer;
      const ahead = this.length === 0 ? 0 : Math.min(2 * total, this.#mostAhead);
      this.#buffer = Buffer.allocUnsafeSlow(Math.max(total, ahead));
      before.copy(this.#buffer, 0, 0, this.length);
      free(before);
    }
    piece.copy(this.#buffer, this.length);
    this.length = total;
  }
}

/** Bytes. A smaller buffer is left to the garbage collector. */
const WORTH_FREEING = 4 * 1024;

/** Frees the bytes' memory at once, unless others share it or it is small. No view of it may be used again. */
export function free(bytes: Buffer): void {
  const { buffer } = bytes;
  if (bytes.length < WORTH_FREEING || bytes.length !== buffer.byteLength) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}

/** Bytes of memory that the container may use; huge or Infinity where there is no limit. */
export function containerMemory(): number {
  return process.constrainedMemory() || Number.POSITIVE_INFINITY; // 0: unknown
}
