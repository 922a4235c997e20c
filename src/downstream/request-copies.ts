// Copies of requests, byte for byte as they come, made only while an operator captures refused ones
// (admin/captures.ts). Nothing is copied while nobody asks.
import type { Buffer } from 'node:buffer';
import { JoinedBytes } from '../base/bytes.ts';

/** Bytes that the copies of requests in progress may have together, beyond the most of one. */
const MOST_OF_OTHERS = 1024 * 1024;

/** The most requests that one capture hands out, and the milliseconds that it lasts at most. */
export const MOST_CAPTURED = { requests: 10_000, ms: 24 * 60 * 60 * 1000 };

/** The room that all copies share. */
export interface CopyRoom {
  /** The most bytes of one request: chunk framing, of which a client may send any amount, could exceed every limit. */
  readonly mostBytes: number;
  used: number;
}

export class RequestCopy {
  readonly #room: CopyRoom;
  #joined: JoinedBytes;
  /** False once a part could not be kept; then nothing of it is. */
  isWhole = true;

  constructor(room: CopyRoom) {
    this.#room = room;
    this.#joined = new JoinedBytes(room.mostBytes);
  }

  /** A view, which is no longer valid after the next `add` or `release`. */
  get bytes(): Buffer {
    return this.#joined.bytes;
  }

  /** Copies `bytes`, which may change afterwards. */
  add(bytes: Buffer): void {
    const { mostBytes, used } = this.#room;
    const fits = this.#joined.length + bytes.length <= mostBytes && used + bytes.length <= mostBytes + MOST_OF_OTHERS;
    this.isWhole &&= fits;
    if (!this.isWhole) return this.release();
    this.#room.used += bytes.length;
    this.#joined.add(bytes);
  }

  /** Frees the bytes. Call it at the request's end. */
  release(): void {
    this.#room.used -= this.#joined.length;
    this.#joined = new JoinedBytes(0);
  }
}
