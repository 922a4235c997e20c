// How a request's body reaches whoever wants it.
import type { Buffer } from 'node:buffer';

/** Why a body did not come whole, or was not taken. */
export type BodyFailure = 'bad_request' | 'body_too_large' | 'body_timeout' | 'overloaded' | 'client_closed';

/**
 * Whether a piece is still needed after the call. The memory of a read that nobody needs is given back at once: left to the
 * garbage collector, what 200 clients send in vain is more than the container has.
 */
export type Taken = 'copied' | 'kept';

export interface BodyReceiver {
  /** Milliseconds on the monotonic clock; `fail('body_timeout')` follows it. */
  readonly deadline: number;
  /** Bytes a millisecond over the last second or so; Infinity while the client is held back. */
  rate(now: number): number;
  /** `pieces`: chunks, or parts of them, that the body has come in so far. */
  piece(piece: Buffer, pieces: number): Taken;
  /** The body is whole. `last`: what came with its end; null for nothing. `trailers`: flat: name, value, … */
  end(last: Buffer | null, trailers: readonly string[], pieces: number): Taken;
  /** It will never be whole. Called at most once, and not after `end`. */
  fail(failure: BodyFailure): void;
}
