// Copies of requests, byte for byte as they come, made only while an operator captures refused ones
// (admin/captures.ts). Nothing is copied while nobody asks.
import { Buffer } from 'node:buffer';
import { NO_BYTES } from '../base/bytes.ts';

/** Bytes of all copies of requests in progress. One of them may be larger, up to `mostBytes`. */
const MOST_TOGETHER = 1024 * 1024;

export class RequestCopies {
  /** The most bytes of one request: chunk framing, of which a client may send any amount, could exceed every limit. */
  readonly #mostBytes: number;
  /** The copy that alone may exceed MOST_TOGETHER; null while none does. */
  #large: RequestCopy | null = null;
  #together = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  begin(): RequestCopy {
    return new RequestCopy(this);
  }

  /** True if `copy` may grow by `bytes`, which then count. Only RequestCopy calls it. */
  reserve(copy: RequestCopy, bytes: number): boolean {
    if (copy.length + bytes > this.#mostBytes) return false;
    if (this.#large === copy) return true;
    if (this.#together + bytes <= MOST_TOGETHER) {
      this.#together += bytes;
      return true;
    }
    if (this.#large !== null) return false;
    this.#large = copy;
    this.#together -= copy.length;
    return true;
  }

  /** Only RequestCopy calls it. */
  release(copy: RequestCopy): void {
    if (this.#large === copy) this.#large = null;
    else this.#together -= copy.length;
  }
}

/** One request as it came. */
export class RequestCopy {
  readonly #copies: RequestCopies;
  #bytes = NO_BYTES;
  length = 0;
  /** False once a part could not be kept; then nothing of it is. */
  isWhole = true;

  constructor(copies: RequestCopies) {
    this.#copies = copies;
  }

  /** Copies `bytes`, which may change afterwards. */
  add(bytes: Buffer): void {
    if (!this.isWhole) return;
    if (!this.#copies.reserve(this, bytes.length)) {
      this.release();
      this.isWhole = false;
      return;
    }
    const length = this.length + bytes.length;
    // One buffer that doubles: of a body in reads of one byte, a list of copies would take a hundred times its size.
    if (length > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(1024, 2 * this.#bytes.length, length));
      this.#bytes.copy(grown, 0, 0, this.length);
      this.#bytes = grown;
    }
    bytes.copy(this.#bytes, this.length);
    this.length = length;
  }

  /** A copy of its own size. */
  bytes(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.length));
  }

  /** Frees the bytes. Call it at the request's end. */
  release(): void {
    this.#copies.release(this);
    this.#bytes = NO_BYTES;
    this.length = 0;
  }
}
