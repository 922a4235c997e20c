// The requester of the upstream, as this folder knows it: a client's exchange, or a request that has no client at all.
import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import type { DeliveryLease } from '../base/delivery-lease.ts';
import type { ByteBudget } from '../bodies/budget.ts';
import type { BodyReceiver } from '../bodies/receiver.ts';
import type { Head } from '../core/request-head.ts';
import type { UpstreamFailure } from '../core/request-record.ts';
import type { ResponseHead } from '../wire/parser.ts';
import type { ForwardFailure } from './forward-failure.ts';

export interface ResponseSink {
  /** `gone`: nothing more can reach the client. */
  readonly phase: 'waiting' | 'begun' | 'ended' | 'gone';
  /** Bytes that the kernel has not accepted yet. */
  readonly unsent: number;
  /** The one listener, called when the client has caught up with reading. */
  onDrain: (() => void) | null;
  /** Sends 100 to a client that waits for it. */
  continue(): void;
  /** Sends an interim response. */
  inform(status: number, reason: string, lines: readonly string[]): void;
  begin(head: ResponseHead, wish?: 'close' | 'persist'): void;
  /** False: the client reads too slowly; wait for `onDrain`. Nobody else may use `piece` from now on. */
  data(piece: Buffer): boolean;
  /** Writes what was added in this turn of the event loop. False: as with `data`. */
  flush(): boolean;
  end(trailers?: readonly string[]): void;
  /** Ends the connection in a way that tells the client that the answer is incomplete. */
  cut(): void;
  /** Calls `listener` once the kernel has all that was written, or the client is gone. */
  onSent(listener: () => void): void;
}

export interface Requester {
  readonly head: Head;
  readonly reply: ResponseSink;
  /** Receives the body as it comes. Null: the body is dropped. */
  receiver: BodyReceiver | null;
  /** Holds back the rest of the body, or lets it come. */
  pauseBody(): void;
  resumeBody(): void;
  /** Sets for how many milliseconds the client may leave the response unread; 0 is off. */
  limitStall(milliseconds: number): void;
  /** Sets the one listener for a client that departs before its answer. */
  onDeparture(listener: (() => void) | null): void;
  // Facts for the record.
  bodyBytes: number;
  upstreamMs: number;
  upstreamStatus: number;
  interims: number;
}

/** A requester whose connection can become a tunnel. */
export interface TunnelRequester extends Requester {
  readonly lines: readonly string[];
  readonly reply: ResponseSink & { becomeTunnel(): void };
  readonly clientConnection: {
    readonly stream: Socket;
    /** True if bytes behind the WebSocket handshake were dropped. */
    readonly hasDroppedBytes: boolean;
    /** Hands the stream to the tunnel. Returns the bytes that came after the WebSocket handshake. */
    handOver(): Buffer;
  };
  /** True once a tunnel is open. */
  tunnelled: boolean;
  upstreamFailure: UpstreamFailure | null;
}

export interface ForwardOptions {
  /** The request's lines to be sent; hop-by-hop lines and framing are replaced here. */
  readonly lines: readonly string[];
  /** Milliseconds; 0 is off. */
  readonly responseTimeout: number;
  readonly idleTimeout: number;
  /** The right to deliver: with it the upstream's 2xx counts even if the client departs once the request is sent. */
  readonly lease: DeliveryLease | null;
  /** What a departing client aborts: nothing, where its delivery is stored if the upstream does not take it. */
  readonly departure: 'aborts' | 'aborts nothing';
  /** True if nobody waits: it is sent again, behind all others. */
  readonly deferred: boolean;
  /**
   * Called at the response's head. With a promise the head waits until it is settled: `passes` goes on, `diverted` ends
   * the upstream connection, since the client has got another answer. Null: it passes at once.
   */
  readonly atHead: ((status: number) => Promise<'passes' | 'diverted'> | null) | null;
  /** Counts the pieces of a streaming body that wait for the upstream. */
  readonly budget: ByteBudget;
  /** There is no response, or it broke off. Called at most once, before `onEnd`. */
  readonly onFailure: (failure: ForwardFailure) => void;
  /** The request's body is needed no longer. `unsent`: bytes of it may still be written. */
  readonly onEnd: (body: 'sent' | 'unsent') => void;
}
