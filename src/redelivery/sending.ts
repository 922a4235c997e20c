// One sending of a deferred delivery: a request without a client, by the one way upstream that there is, with a permit
// that the rules have just minted. It touches no series of requests and none of the upstream.

import { ignore } from '../base/errors.ts';
import { type DeliveryLease, isNotTaken } from '../core/fate.ts';
import type { ForwardOptions, Requester, ResponseSink } from '../upstream/requester.ts';
import { type ForwardFailure, failedUpstream } from '../upstream/requester.ts';
import { UpstreamExchange } from '../upstream/upstream-exchange.ts';
import type { Needs } from './needs.ts';
import type { Went } from './pace.ts';
import type { Verified } from './record.ts';

/** The limits of a response that nobody reads: a longer one, in bytes or milliseconds, is not read to its end. */
const MAX_RESPONSE = 64 * 1024;
const MAX_RESPONSE_MS = 30_000;
/** Milliseconds for which it waits for a slot, with its body in memory. */
const SLOT_WAIT_MS = 10_000;

export interface Sent {
  /** `not sent`: there was no slot, or the process stops. `duplicate`: by `once` it was delivered before. */
  readonly went: Went | 'not sent' | 'duplicate';
  /** The status, or a word such as `reset`. */
  readonly failure: string;
}

/** The reply of a request that has no client. */
const TO_NOBODY: Omit<ResponseSink, 'begin' | 'data'> = {
  ...{ phase: 'begun', unsent: 0, onDrain: null, flush: () => true, onSent: (listener) => listener() },
  ...{ continue: ignore, inform: ignore, cut: ignore, end: ignore },
};

/** Sends it, and resolves when the exchange is over; never rejects. `lease`: null without `once`. */
export function send(delivery: Verified, lease: DeliveryLease | null, needs: Needs): Promise<Sent> {
  const { responseTimeout, idleTimeout } = needs.policy().settings;
  const { promise, resolve } = Promise.withResolvers<Sent>();
  let failure: ForwardFailure | null = null;
  let bytes = 0;
  let timer: NodeJS.Timeout | undefined;
  /** True once the response is so long that the rest does not matter. */
  let isEnough = false;
  const enough = () => {
    isEnough = true;
    exchange.giveUp(failedUpstream('timeout'));
  };
  const reply: ResponseSink = {
    ...TO_NOBODY,
    begin: () => {
      timer = setTimeout(enough, MAX_RESPONSE_MS).unref();
    },
    data: (piece) => {
      bytes += piece.length;
      if (bytes > MAX_RESPONSE) setImmediate(enough);
      return true;
    },
  };
  const requester: Requester = {
    ...{ head: delivery.head, reply, receiver: null, stallTimeout: 0, interims: 0 },
    ...{ upstreamMs: -1, upstreamStatus: 0, upstreamFailure: null, upstreamError: null },
    ...{ pauseBody: ignore, resumeBody: ignore, onDeparture: ignore },
  };
  const options: ForwardOptions = {
    ...{ lines: delivery.lines, patience: SLOT_WAIT_MS, responseTimeout, idleTimeout, lease, budget: needs.budget },
    ...{ deferred: true, atHead: null },
    onFailure: (found) => {
      failure = found;
      // With `once`, the response counts as what its status says.
      if (isEnough && requester.upstreamStatus < 300) lease?.delivered();
    },
    onEnd: () => {
      clearTimeout(timer);
      resolve(sentBy(requester.upstreamStatus, isEnough ? null : failure));
    },
  };
  const exchange = new UpstreamExchange(delivery.permit, requester, needs.upstream, options);
  exchange.start();
  return promise;
}

/** An answer that breaks off is none; one that is too long for us to read is the app's. */
function sentBy(status: number, failure: ForwardFailure | null): Sent {
  if (failure === null) {
    if (isNotTaken(status)) return { went: 'failed', failure: `${status}` };
    return { went: status >= 400 ? 'refused' : 'taken', failure: `${status}` };
  }
  if (failure.side !== 'upstream') return { went: 'not sent', failure: failure.reason };
  return { went: failure.cause === 'connect' ? 'no connection' : 'failed', failure: failure.cause };
}
