// One sending of a deferred delivery: a request without a client, by the one way upstream that there is, with a permit
// that the rules have just minted. It touches no series of requests and none of the upstream.
import type { Buffer } from 'node:buffer';
import type { DeliveryLease } from '../base/delivery-lease.ts';
import type { ByteBudget } from '../bodies/budget.ts';
import type { BodyReceiver } from '../bodies/receiver.ts';
import { isNotTaken } from '../core/decision.ts';
import type { Head } from '../core/request-head.ts';
import { type ForwardFailure, failedUpstream } from '../upstream/forward-failure.ts';
import type { Requester, ResponseSink } from '../upstream/requester.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { UpstreamExchange } from '../upstream/upstream-exchange.ts';
import type { ResponseHead } from '../wire/parser.ts';
import type { Went } from './pace.ts';
import type { Verified } from './record.ts';

/** Of a response that nobody reads: a longer one, in bytes or milliseconds, is not read to its end. */
const MAX_RESPONSE = 64 * 1024;
const MAX_RESPONSE_MS = 30_000;

export interface SendingOptions {
  readonly upstream: Upstream;
  readonly budget: ByteBudget;
  /** Null without `once`. */
  readonly lease: DeliveryLease | null;
  /** Milliseconds; 0 is off. */
  readonly responseTimeout: number;
  readonly idleTimeout: number;
}

export interface Sent {
  readonly went: Went;
  /** The status, or a word such as `reset`. */
  readonly failure: string;
}

/** Sends it, and resolves when the exchange is over; never rejects. */
export function send(delivery: Verified, options: SendingOptions): Promise<Sent> {
  const { upstream, lease, ...rest } = options;
  return new Promise((resolve) => {
    const sink = new Unread(() => exchange.giveUp(failedUpstream('timeout')));
    let failure: ForwardFailure | null = null;
    const exchange = new UpstreamExchange(delivery.permit, new Alone(delivery.head, sink), upstream, {
      ...rest,
      lines: delivery.lines,
      lease,
      departure: 'aborts nothing',
      deferred: true,
      atHead: null,
      onFailure: (found) => {
        failure = found;
        // A 2xx counts, even if nobody reads it to its end: the delivery is not sent again.
        if (sink.status >= 200 && sink.status < 300) lease?.delivered();
      },
      onEnd: () => {
        sink.stop();
        resolve(sentBy(sink.status, failure));
      },
    });
    exchange.start();
  });
}

/** What the app said counts, even if its response then breaks off. */
function sentBy(status: number, failure: ForwardFailure | null): Sent {
  if (status > 0) {
    if (isNotTaken(status)) return { went: 'failed', failure: `${status}` };
    return { went: status >= 400 ? 'refused' : 'taken', failure: `${status}` };
  }
  if (failure?.side !== 'upstream') return { went: 'no connection', failure: failure?.reason ?? 'overloaded' };
  return { went: failure.cause === 'connect' ? 'no connection' : 'failed', failure: failure.cause };
}

/** A requester that has no client. */
class Alone implements Requester {
  readonly head: Head;
  readonly reply: ResponseSink;
  receiver: BodyReceiver | null = null;
  bodyBytes = 0;
  upstreamMs = -1;
  upstreamStatus = 0;
  interims = 0;

  constructor(head: Head, reply: ResponseSink) {
    this.head = head;
    this.reply = reply;
  }

  pauseBody(): void {}
  resumeBody(): void {}
  limitStall(): void {}
  onDeparture(): void {}
}

/** Takes a response that nobody reads, but its status. */
class Unread implements ResponseSink {
  phase: ResponseSink['phase'] = 'waiting';
  readonly unsent = 0;
  onDrain: (() => void) | null = null;
  status = 0;
  readonly #giveUp: () => void;
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(giveUp: () => void) {
    this.#giveUp = giveUp;
  }

  begin({ status }: ResponseHead): void {
    this.phase = 'begun';
    this.status = status;
    this.#timer = setTimeout(this.#giveUp, MAX_RESPONSE_MS).unref();
  }

  data(piece: Buffer): boolean {
    this.#bytes += piece.length;
    if (this.#bytes > MAX_RESPONSE) setImmediate(this.#giveUp);
    return true;
  }

  end(): void {
    this.phase = 'ended';
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  continue(): void {}
  inform(): void {}
  cut(): void {}

  flush(): boolean {
    return true;
  }

  onSent(listener: () => void): void {
    listener();
  }
}
