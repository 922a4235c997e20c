// Shared by src/upstream and its callers: the source of a request, how far it comes, and the failures.
import { codeOf } from '../base/errors.ts';
import type { ByteBudget } from '../bodies/budget.ts';
import type { BodyFailure, Memory } from '../bodies/buffered-body.ts';
import type { DeliveryClaim } from '../core/fate-by-status.ts';
import { type Hint, OVERLOAD_HINTS } from '../core/hint.ts';
import type { UpstreamFailure } from '../core/reasons.ts';
import type { Exchange } from '../downstream/client-exchange.ts';
import type { ClientConnection, Reply } from '../downstream/reply.ts';
import { CONNECT_TIMEOUT } from './connect.ts';
import type { UpstreamExchange } from './upstream-exchange.ts';

/** A reply as the upstream's side knows it. A deferred delivery has one that discards everything. */
export type ResponseSink = Readonly<
  Pick<Reply, 'phase' | 'unsent' | 'continue' | 'inform' | 'begin' | 'data' | 'flush' | 'end' | 'cut' | 'onSent'>
>;

/** The fields of the request's record that the upstream's side writes. */
type Recorded = 'upstreamMs' | 'upstreamStatus' | 'upstreamFailure' | 'upstreamError' | 'interims';

interface AnyRequester extends Pick<Exchange, 'head' | 'receiver' | 'onDeparture' | Recorded> {
  readonly reply: ResponseSink;
}

export interface FromClient extends AnyRequester, Pick<Exchange, 'from'> {
  /** Pausing the stream holds back the rest of the body. */
  readonly clientConnection: Pick<ClientConnection, 'stream' | 'handOver'>;
}

/** The source of a request; `store`: of a deferred delivery, for which no client waits. */
export type Requester = FromClient | (AnyRequester & { readonly from: 'store' });

export interface ForwardOptions {
  /** The lines to send; core/sent-head.ts replaces hop-by-hop lines and framing. */
  readonly lines: readonly string[];
  /** Milliseconds from the start for which the request waits for a slot, or for an upstream that accepts connections. */
  readonly patience: number;
  /** Milliseconds; 0 is off. */
  readonly responseTimeout: number;
  readonly idleTimeout: number;
  /** The right to deliver under `once`, or null. With it, the request outlives its client, and a 2xx counts. */
  readonly claim: DeliveryClaim | null;
  /** True for a delivery that may be stored: it outlives its client until an answer begins, which may wait at its head. */
  readonly deferrable: boolean;
  /** Counts the pieces of a streaming body that wait for the upstream. */
  readonly budget: ByteBudget;
}

/** How far a request has come: its answer waits at its head, to be dropped if the delivery is stored, or it is over. */
export type Reached = { readonly at: 'head'; readonly answer: Pick<UpstreamExchange, 'relay' | 'drop'> } | End;

export interface End {
  readonly at: 'end';
  /** Why the request was not forwarded, or its answer is not whole; null also if its client departed. */
  readonly failure: ForwardFailure | null;
  /** Memory of the request's body. `in use`: a socket may still be writing it, or a store reading it. */
  readonly memory: Memory;
}

/** `client`: on the client's side of the exchange, so also that the proxy is full or stops. `answer`: the one of ours. */
export type ForwardFailure =
  | { readonly side: 'client'; readonly reason: BodyFailure; readonly hint?: Hint | null }
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

export function overloaded(by: keyof typeof OVERLOAD_HINTS): ForwardFailure {
  return { side: 'client', reason: 'overloaded', hint: OVERLOAD_HINTS[by] };
}
