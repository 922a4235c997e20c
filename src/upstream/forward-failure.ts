// Why a request was not forwarded, or its response is not whole, and which of our answers that gives.
import { codeOf } from '../base/errors.ts';
import type { BodyFailure } from '../bodies/receiver.ts';
import { OVERLOAD_HINTS } from '../core/overload-hints.ts';
import type { UpstreamFailure } from '../core/request-record.ts';
import { CONNECT_TIMEOUT } from './connect.ts';

export type ForwardFailure =
  | { readonly side: 'client'; readonly reason: BodyFailure; readonly hint?: string }
  | {
      readonly side: 'upstream';
      readonly cause: UpstreamFailure;
      readonly answer: 'bad_gateway' | 'gateway_timeout';
      /** The system's code, such as `ECONNREFUSED`. */
      readonly code: string | null;
    };

export function failedUpstream(cause: UpstreamFailure, error: Error | null = null): ForwardFailure {
  const code = codeOf(error);
  const tooSlow = cause === 'timeout' || (cause === 'connect' && code === CONNECT_TIMEOUT);
  return { side: 'upstream', cause, answer: tooSlow ? 'gateway_timeout' : 'bad_gateway', code: code || null };
}

const overloaded = (hint: string): ForwardFailure => ({ side: 'client', reason: 'overloaded', hint });

export const NO_SLOT = overloaded(OVERLOAD_HINTS.slots);
export const NO_BYTES_LEFT = overloaded(OVERLOAD_HINTS.bytes);
export const STOPPED = overloaded(OVERLOAD_HINTS.stopped);
