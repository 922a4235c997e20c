// One permitted request to the upstream, and its response: waiting, connecting, sending, reading, done, with its methods
// in this order. `send` tells its caller how far it has come; an answer after which the delivery may be stored waits at
// its head until the caller relays or drops it. Bytes are forwarded unchanged, with backpressure from socket to socket.
// A connect may be retried (upstream.ts), but no request that may have been processed (RFC 9110 9.2.2).
import { Buffer } from 'node:buffer';
import { ignore } from '../base/errors.ts';
import type { Memory } from '../bodies/buffered-body.ts';
import { endClaim, mayBeTakenLater } from '../core/fate-by-status.ts';
import { isPermit, type Permit } from '../core/permit.ts';
import { LOOP } from '../core/request-diagnosis.ts';
import { declaredLength, hasBody } from '../core/request-head.ts';
import { outgoingHead } from '../core/sent-head.ts';
import { NO_TRAILERS, type WrittenListener } from '../wire/writer.ts';
import { AnswerAtHead, type Followed, kindOfHead, mayBringLateBytes } from './answer-head.ts';
import {
  type End,
  type ForwardFailure,
  type ForwardOptions,
  failedUpstream,
  type Reached,
  type Requester,
} from './contract.ts';
import { StreamedBody } from './streamed-body.ts';
import type { Upstream } from './upstream.ts';
import type { ConnectionUser, Traffic, UpstreamConnection } from './upstream-connection.ts';
import { openTunnel, takeOver, tunnelLibrary } from './websocket-tunnel.ts';

/** Bytes of an answer that may still be unsent to the client when its slot is released. */
const MAX_UNSENT = 16 * 1024;
/** Milliseconds, from its head on, for an answer that nobody reads: an app that never ends it would keep the slot. */
const MAX_UNREAD_MS = 30_000;

// Methods rather than closures, and no promise: while a request waits, it keeps one object and its options alive.
export class UpstreamExchange implements ConnectionUser, WrittenListener {
  place = -1;
  /** `resent`: a stored delivery. It waits for a slot behind all others. */
  readonly kind: 'verified' | 'unverified' | 'resent';
  readonly patience: number;
  readonly #permit: Permit;
  readonly #requester: Requester;
  readonly #upstream: Upstream;
  readonly #options: ForwardOptions;
  readonly startedAt = performance.now();
  #state: 'waiting' | 'connecting' | 'sending' | 'reading' | 'done' = 'waiting';
  #connection: UpstreamConnection | null = null;
  #acquiredAt = 0;
  #body: StreamedBody | null = null;
  #sentAt = 0;
  #answerBegun = false;
  #atHead: AnswerAtHead | null = null;
  /** Called while the answer waits at its head, or at the end. In between `relay` or `drop` replaces it. */
  #onReached: (reached: Reached) => void = ignore;
  /** When the client last fell behind with reading; null while it keeps up. */
  #pausedAt: number | null = null;

  /** The permit is the caller's proof that the rules let the request through; anything else throws. */
  constructor(permit: Permit, requester: Requester, upstream: Upstream, options: ForwardOptions) {
    if (!isPermit(permit)) throw new Error('no permit, no upstream');
    this.#permit = permit;
    this.#requester = requester;
    this.#upstream = upstream;
    this.#options = options;
    const ofVerified = requester.from === 'client' ? 'verified' : 'resent';
    this.kind = permit.secret === null ? 'unverified' : ofVerified;
    this.patience = options.patience;
  }

  /** Sends the request; `onReached` (pipeline.ts, for a stored one sending.ts) is called once it waits at its head, or is over. */
  send(onReached: (reached: Reached) => void): void {
    this.#onReached = onReached;
    const requester = this.#requester;
    requester.onDeparture(this);
    if (requester.from === 'client' && this.#permit.body === null && hasBody(requester.head))
      this.#body = new StreamedBody(requester, this, this.#options);
    if (this.#body !== null && this.#upstream.limiter.scarce) this.#body.askWithin(this.patience / 2);
    else this.askForSlot();
  }

  askForSlot(): void {
    this.#upstream.acquireSlot(this);
  }

  acquired(): void {
    this.#acquiredAt = performance.now();
    this.#state = 'connecting';
    const traffic = this.kind === 'unverified' ? 'unverified' : 'verified';
    if (!this.#upstream.pool.mayHaveClosed(traffic, this.#acquiredAt)) return this.#connect(traffic);
    this.#connectLater(traffic);
  }

  /** The first immediate ends this turn of the event loop, so the second runs after every socket has been read. */
  #connectLater(traffic: Traffic): void {
    setImmediate(() => setImmediate(() => this.#connect(traffic)));
  }

  #connect(traffic: Traffic): void {
    if (this.#state !== 'connecting') return; // the request has ended meanwhile
    const { pool } = this.#upstream;
    const { tunnel } = this.#permit;
    const idle = tunnel ? null : pool.acquire(traffic, this.#acquiredAt);
    this.#connection = idle ?? pool.open(traffic, tunnel ? 'tunnel' : 'requests');
    this.#connection.user = this;
    if (idle !== null) this.onOpen(idle);
  }

  /** Milliseconds for which it has kept its slot only because its client makes no progress; 0 if that is not so. */
  stalledFor(now: number): number {
    if (this.#pausedAt !== null) return now - this.#pausedAt;
    const awaitsClient = this.#state === 'sending' && this.#body?.isSlow(now) === true;
    return awaitsClient ? now - this.#acquiredAt : 0;
  }

  // --- the request

  onOpen(connection: UpstreamConnection): void {
    this.#state = 'sending';
    const { head } = this.#requester;
    connection.parser.requestMethod = head.method;
    connection.progress.begin(performance.now());
    this.#requester.reply.continue();
    const { writer } = connection;
    const isChunked = this.#body !== null && declaredLength(head) === null;
    const bodyLength = this.#permit.body?.length ?? null;
    const { lines } = this.#options;
    const persistence = this.#isLast ? 'close' : 'persist';
    const text = outgoingHead(head, { lines, bodyLength, connection: this.#permit.tunnel ? 'upgrade' : persistence });
    writer.head(text, isChunked ? 'chunked' : 'plain');
    if (this.#body !== null) this.#body.sendOn(connection);
    else if (this.#permit.body !== null) writer.endWith(this.#permit.body, this);
    else writer.end(NO_TRAILERS, this);
  }

  /** True if no request may follow on the socket. */
  get #isLast(): boolean {
    // A server that answers without reading a body would read that as its next request: one could be smuggled in.
    return this.#upstream.options.keepAlive === 0 || (this.kind === 'unverified' && hasBody(this.#requester.head));
  }

  /** Called once the kernel has the whole request, or the socket is closed. */
  written(): void {
    if (this.#state !== 'sending' || this.#connection === null) return;
    this.#state = 'reading';
    this.#sentAt = this.#connection.progress.movedAt = performance.now();
  }

  // --- the response

  onData(bytes: Buffer, connection: UpstreamConnection): void {
    const { parser, progress } = connection;
    progress.movedAt = performance.now();
    let at = 0;
    while (at < bytes.length && this.#state !== 'done') {
      at = parser.read(bytes, at);
      const next = this.#onHead(connection);
      if (next === 'end') return;
      if (next === 'tunnel') return void this.#becomeTunnel(connection, bytes.subarray(at));
      if (next === 'another head') continue;
      // A copy, since the next read overwrites the bytes.
      if (parser.piece !== null) (this.#atHead ?? this.#requester.reply).data(Buffer.from(parser.piece));
      if (parser.state === 'failed') return this.giveUp(failedUpstream('protocol'));
      if (parser.state === 'ended') return this.#complete(connection, at === bytes.length ? 'nothing' : 'bytes');
    }
    this.#flush(connection);
  }

  /** Returns what comes next. `more`: of the head or the body. `end`: nothing, as the head broke the protocol. */
  #onHead(connection: UpstreamConnection): 'more' | 'another head' | 'tunnel' | 'end' {
    const { parser } = connection;
    if (this.#answerBegun || this.#atHead !== null || !parser.hasHead) return 'more';
    const { status, reason, lines } = parser;
    const requester = this.#requester;
    const kind = kindOfHead(parser, requester.interims, this.#permit.tunnel ? this.#options.lines : null);
    if (kind === 'invalid') {
      this.giveUp(failedUpstream('protocol'));
      return 'end';
    }
    if (kind === 'interim') {
      requester.interims++;
      requester.reply.inform(status, reason, lines);
      parser.next();
      return 'another head';
    }
    requester.upstreamMs = connection.progress.movedAt - this.startedAt;
    requester.upstreamStatus = status;
    if (connection.leadsBack) requester.upstreamError = LOOP;
    if (kind === 'tunnel') return 'tunnel';
    if (this.#options.deferrable && mayBeTakenLater(status)) {
      // Nothing more is read until the caller relays or drops it, since nothing would bound what is buffered.
      connection.socket.pause();
      this.#atHead = new AnswerAtHead(connection);
      this.#onReached({ at: 'head', answer: this });
    } else if (parser.state !== 'failed') this.#begin(connection);
    return 'more';
  }

  #begin({ parser }: UpstreamConnection): void {
    this.#answerBegun = true;
    // Bytes after a WebSocket handshake may be meant for the tunnel, so none may be read as a request.
    this.#requester.reply.begin(parser, this.#permit.tunnel ? 'close' : 'persist');
  }

  /** Gives the connection to a tunnel. Tunnels may be silent for days, so they have their own limit, and no slot. */
  async #becomeTunnel(connection: UpstreamConnection, early: Buffer): Promise<void> {
    connection.socket.pause();
    this.#pausedAt = null; // the client may read on, but nothing resumes the socket before the tunnel
    const library = await tunnelLibrary();
    if (this.#state === 'done') return;
    if (library === null) return this.giveUp(failedUpstream('reset'));
    const client = this.#requester.from === 'client' ? takeOver(this.#requester) : null;
    if (client === null) return this.giveUp({ side: 'client', reason: 'bad_request' });
    this.#state = 'done';
    this.#connection = null;
    this.#upstream.release(this, null);
    this.#upstream.pool.detach(connection);
    const { idleTimeout } = this.#options;
    const onEnd = () => this.#onReached({ at: 'end', failure: null, memory: 'free' });
    connection.user = openTunnel(this.#requester, connection, { library, client, early, idleTimeout, onEnd });
  }

  #complete(connection: UpstreamConnection, followed: Followed): void {
    if (this.#atHead !== null) return this.#atHead.end(followed);
    const { parser, socket } = connection;
    const { status, trailers } = parser;
    const memory = this.#bodyMemory;
    const next = this.#next(connection, followed);
    endClaim(this.#options.claim, status);
    this.#finish();
    if (next === 'reuse') parser.next();
    else if (next === 'destroy') socket.destroy();
    else this.#upstream.pool.retire(connection, next === 'close' ? 'proxy' : 'upstream');
    const reusable = next === 'reuse' ? connection : null;
    const { reply } = this.#requester;
    reply.end(trailers);
    if (reply.unsent > MAX_UNSENT) this.#releaseOnceRead(reusable);
    else this.#upstream.release(this, reusable);
    this.#onReached({ at: 'end', failure: null, memory });
  }

  /** The next use of the socket of a complete response. `retire`: the upstream closes it; `close`: we do. */
  #next({ parser, socket }: UpstreamConnection, followed: Followed): 'reuse' | 'retire' | 'close' | 'destroy' {
    if (followed !== 'nothing') return 'destroy'; // bytes that no request asked for, or the upstream's end
    const isSent = this.#state === 'reading' || (socket.writableLength === 0 && this.#body?.whole !== false);
    if (!isSent) return 'destroy'; // the app would read the rest as the next request
    if (this.#isLast || !parser.keepAlive) return 'retire';
    if (this.#permit.tunnel) return 'close';
    const { method } = this.#requester.head;
    return this.kind === 'unverified' && mayBringLateBytes(method, parser.status) ? 'close' : 'reuse';
  }

  /** Keeps the slot while the rest of the answer takes our memory until the client reads it: that bounds the memory. */
  #releaseOnceRead(reusable: UpstreamConnection | null): void {
    this.#pausedAt = performance.now();
    if (reusable !== null) this.#upstream.pool.retire(reusable, 'proxy');
    this.#requester.reply.onSent(() => this.#upstream.release(this, null));
  }

  #flush(connection: UpstreamConnection): void {
    if (this.#state === 'done' || this.#atHead !== null) return;
    const { reply } = this.#requester;
    // The app has answered, so nothing will be stored; going on to read an endless answer would keep the slot.
    if (this.#answerBegun && reply.phase === 'gone' && this.#options.claim === null) return this.#abort();
    // Interim responses must be forwarded (RFC 9110 15.2). So nothing more is read until the kernel has taken those
    // of this read: a hundred heads for each client that reads nothing would exceed the container's memory.
    const takesAll = this.#answerBegun ? reply.flush() : reply.unsent === 0;
    if (!takesAll) this.#pauseUpstream(connection);
  }

  #pauseUpstream({ socket }: UpstreamConnection): void {
    if (this.#pausedAt !== null || this.#requester.reply.phase === 'gone') return;
    this.#pausedAt = performance.now();
    socket.pause();
    this.#requester.reply.onSent(() => this.#resumeUpstream());
  }

  #resumeUpstream(): void {
    if (this.#pausedAt === null || this.#state === 'done') return;
    const now = performance.now();
    this.#sentAt += now - this.#pausedAt; // the pause does not count against the upstream
    this.#pausedAt = null;
    if (this.#connection === null) return;
    this.#connection.progress.movedAt = now;
    if (this.#atHead === null) this.#connection.socket.resume();
  }

  // --- an answer that waits at its head

  relay(): Promise<End> {
    const { promise, resolve } = Promise.withResolvers<End>();
    this.#onReached = (reached) => reached.at === 'end' && resolve(reached);
    if (this.#atHead !== null) this.#relay(this.#atHead);
    return promise;
  }

  #relay({ connection, pieces, ended }: AnswerAtHead): void {
    this.#atHead = null;
    if (ended !== null && typeof ended !== 'string') return this.giveUp(ended);
    this.#begin(connection);
    for (const piece of pieces) this.#requester.reply.data(piece);
    connection.progress.movedAt = performance.now();
    connection.socket.resume();
    if (ended !== null) this.#complete(connection, this.#connection === null ? 'close' : ended);
    else this.#flush(connection);
  }

  drop(): End {
    const end: End = { at: 'end', failure: null, memory: this.#bodyMemory };
    this.#atHead = null;
    this.#onReached = ignore;
    this.#abort();
    return end;
  }

  tick(now: number): void {
    const connection = this.#connection;
    // While the upstream is paused, only the client's deadline applies.
    if (connection === null || this.#atHead !== null || this.#pausedAt !== null) return;
    const { reply, from, upstreamMs } = this.#requester;
    const isUnread = this.#answerBegun && (reply.phase === 'gone' || from === 'store');
    if (isUnread && now - this.startedAt - upstreamMs >= MAX_UNREAD_MS) {
      endClaim(this.#options.claim, this.#requester.upstreamStatus); // as if the answer were complete
      return this.#abort();
    }
    const { idleTimeout, responseTimeout } = this.#options;
    const { progress, socket } = connection;
    let overdue: boolean;
    if (this.#answerBegun) overdue = idleTimeout > 0 && progress.idleFor(socket, now) >= idleTimeout;
    else if (this.#state === 'reading') overdue = responseTimeout > 0 && now - this.#sentAt >= responseTimeout;
    else overdue = idleTimeout > 0 && progress.takesNothing(socket, idleTimeout, now);
    if (overdue) this.giveUp(failedUpstream('timeout'));
  }

  // --- ends

  onEnd(): void {
    const connection = this.#connection;
    if (connection === null || this.#state === 'connecting') return; // TLS failed; onClose follows
    if ((this.#answerBegun || this.#atHead !== null) && connection.parser.finish()) this.#complete(connection, 'close');
    else this.giveUp(failedUpstream('reset'));
  }

  onClose(error: Error | null): void {
    this.#connection = null;
    if (this.#state !== 'connecting') return this.giveUp(failedUpstream('reset', error));
    this.#state = 'waiting';
    this.#upstream.connectFailed(this, error);
  }

  /** Ends the request and releases its slot: another one needs the slot, or the request's patience is over. */
  evict(): void {
    // If the response is complete, or its end still decides about the claim, only the slow client is cut off.
    if (this.#state === 'done' || (this.#options.claim !== null && this.#answerBegun)) this.#requester.reply.cut();
    else this.giveUp(this.#upstream.whyEvicted);
  }

  giveUp(failure: ForwardFailure): void {
    if (this.#state === 'done') return;
    if (this.#atHead !== null) return this.#atHead.end(failure);
    if (failure.side === 'upstream') {
      this.#requester.upstreamFailure = failure.cause;
      this.#requester.upstreamError = failure.code;
    }
    this.#abort(failure);
  }

  clientDeparted(): void {
    if (this.#state === 'done') return;
    const { claim, deferrable } = this.#options;
    if ((!deferrable || this.#answerBegun) && claim === null) return this.#abort();
    this.#resumeUpstream();
  }

  #abort(failure: ForwardFailure | null = null): void {
    const connection = this.#connection;
    const memory = this.#bodyMemory;
    this.#finish();
    this.#options.claim?.failed();
    if (connection !== null) {
      connection.user = null;
      connection.socket.destroy();
    }
    this.#upstream.release(this, null);
    this.#onReached({ at: 'end', failure, memory });
  }

  get #bodyMemory(): Memory {
    return this.#state === 'sending' ? 'in use' : 'free';
  }

  #finish(): void {
    this.#state = 'done';
    this.#connection = null;
    this.#body?.stop();
    this.#requester.onDeparture(null);
  }
}
