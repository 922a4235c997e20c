// A response's head that waits until it is known whether the response goes on or ends here, and what comes meanwhile.
import { Buffer } from 'node:buffer';
import { appended, NO_BYTES } from '../base/bytes.ts';
import type { ForwardFailure } from './forward-failure.ts';

export class WaitingHead {
  /** The part of the body that came with the head; null if none did. */
  readonly piece: Buffer | null;
  /** What came behind, not parsed yet. */
  rest: Buffer;
  /** True once the upstream has sent its last byte. */
  ended = false;
  /** The first failure of the exchange; null if there was none. */
  failure: ForwardFailure | null = null;

  /** Copies both, since the next read overwrites the bytes. */
  constructor(piece: Buffer | null, rest: Buffer) {
    this.piece = piece === null ? null : Buffer.from(piece);
    this.rest = appended(NO_BYTES, rest);
  }

  append(bytes: Buffer): void {
    this.rest = appended(this.rest, bytes);
  }
}
