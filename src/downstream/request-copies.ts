// Copies of requests, byte for byte as they come, made only while an operator captures refused ones
// (admin/captures.ts). Nothing is copied while nobody asks.
import type { Buffer } from 'node:buffer';
import { JoinedBytes } from '../base/bytes.ts';

/** Bytes that the copies of requests in progress may have together, beyond the most of one. */
const MOST_OF_OTHERS = 1024 * 1024;

export class RequestCopies {
  /** The most bytes of one request: chunk framing, of which a client may send any amount, could exceed every limit. */
  readonly mostBytes: number;
  #together = 0;

  constructor(mostBytes: number) {
    this.mostBytes = mostBytes;
  }

  begin(): RequestCopy {
    return new RequestCopy(this);
  }

  /** True if a copy of `length` bytes may grow by `bytes`, which then count. Only RequestCopy calls it. */
  reserve(length: number, bytes: number): boolean {
    const fits = length + bytes <= this.mostBytes && this.#together + bytes <= this.mostBytes + MOST_OF_OTHERS;
    if (fits) this.#together += bytes;
    return fits;
  }

  /** Only RequestCopy calls it. */
  release(bytes: number): void {
    this.#together -= bytes;
  }
}

/** One request as it came. */
export class RequestCopy {
  readonly #copies: RequestCopies;
  #joined: JoinedBytes;
  /** False once a part could not be kept; then nothing of it is. */
  isWhole = true;

  constructor(copies: RequestCopies) {
    this.#copies = copies;
    this.#joined = new JoinedBytes(copies.mostBytes);
  }

  /** A view, which is no longer valid after the next `add` or `release`. */
  get bytes(): Buffer {
    return this.#joined.bytes;
  }

  /** Copies `bytes`, which may change afterwards. */
  add(bytes: Buffer): void {
    if (this.isWhole && this.#copies.reserve(this.#joined.length, bytes.length)) return this.#joined.add(bytes);
    this.isWhole = false;
    this.release();
  }

  /** Frees the bytes. Call it at the request's end. */
  release(): void {
    this.#copies.release(this.#joined.length);
    this.#joined = new JoinedBytes(0);
  }
}
