// The receiver of a request's body.
import type { Buffer } from 'node:buffer';
import type { Reason } from '../core/decision.ts';

/** Why a body is not whole, or was not accepted. */
export type BodyFailure = Extract<
  Reason,
  'bad_request' | 'body_too_large' | 'body_timeout' | 'overloaded' | 'client_closed'
>;

/**
 * Who owns a piece's memory after the call. The caller frees it at once, since the garbage collector would be too late:
 * the bodies of 200 refused clients would exceed the container's memory.
 */
export type Owner = 'caller' | 'receiver';

export interface BodyReceiver {
  /** Milliseconds on the monotonic clock; `fail('body_timeout')` follows it. */
  readonly deadline: number;
  /** Bytes per millisecond over the last second or so; Infinity while the client is paused. */
  rate(now: number): number;
  /** `pieces`: chunks, or parts of them, so far. */
  piece(piece: Buffer, pieces: number): Owner;
  /** The body is whole. `last`: the piece that came with its end, if any. `trailers`: a flat list of lines. */
  end(last: Buffer | null, trailers: readonly string[], pieces: number): Owner;
  /** The body will never be whole. Called at most once, and not after `end`. */
  fail(failure: 'bad_request' | 'body_timeout'): void;
}
