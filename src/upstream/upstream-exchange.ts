// One permitted request to the upstream, and its response: waiting, connecting, sending, reading, done. Bytes are
// forwarded unchanged, with backpressure from socket to socket. Each failure ends in an answer or a cut.
// A failed connect is retried; a request that may have been processed never is (RFC 9110 9.2.2).
// The file is long because its states are read together; what has a subject of its own is elsewhere: streamed-body.ts,
// outgoing-head.ts, waiting-head.ts, socket-progress.ts.
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { isPermit, type Permit } from '../core/permit.ts';
import { declaredLength, hasBody } from '../core/request-head.ts';
import { isCoded } from '../wire/forwarded-lines.ts';
import { NO_TRAILERS } from '../wire/writer.ts';
import { type ForwardFailure, failedUpstream } from './forward-failure.ts';
import { outgoingHead } from './outgoing-head.ts';
import type { ConnectionUser, PooledConnection } from './pooled-connection.ts';
import type { ForwardOptions, Requester } from './requester.ts';
import { MAX_INTERIMS } from './response-sizes.ts';
import { SocketProgress } from './socket-progress.ts';
import { type BodyOwner, StreamedBody } from './streamed-body.ts';
import type { Upstream, UpstreamRequest } from './upstream.ts';
import { WaitingHead } from './waiting-head.ts';

/** Bytes of an answer that may still be unsent when its slot is released. */
const MAX_UNSENT = 16 * 1024;

// Methods rather than closures, so that forwarding a request costs one object.
export class UpstreamExchange implements UpstreamRequest, ConnectionUser, BodyOwner {
  place = -1;
  readonly verified: boolean;
  readonly deferred: boolean;
  readonly #permit: Permit;
  readonly #requester: Requester;
  readonly #upstream: Upstream;
  readonly #options: ForwardOptions;
  readonly startedAt = performance.now();
  connectError: Error | null = null;
  #state: 'waiting' | 'connecting' | 'sending' | 'reading' | 'done' = 'waiting';
  #connection: PooledConnection | null = null;
  #connecting: Socket | null = null;
  #acquiredAt = 0;
  /** The request's body, if it streams. */
  #body: StreamedBody | null = null;
  #sentAt = 0;
  readonly #progress = new SocketProgress(this.startedAt);
  // The response.
  #begun = false;
  /** Null unless a head waits for `atHead`. */
  #waiting: WaitingHead | null = null;
  /** When the client last fell behind with reading; null while it keeps up. */
  #pausedAt: number | null = null;

  /** The permit is the caller's proof that the rules let the request through; anything else throws. */
  constructor(permit: Permit, requester: Requester, upstream: Upstream, options: ForwardOptions) {
    if (!isPermit(permit)) throw new Error('no permit, no upstream');
    this.#permit = permit;
    this.#requester = requester;
    this.#upstream = upstream;
    this.#options = options;
    this.verified = permit.decision === 'accepted';
    this.deferred = options.deferred;
  }

  start(): void {
    const requester = this.#requester;
    const { idleTimeout } = this.#options;
    requester.onDeparture(this.#onDeparture);
    requester.limitStall(idleTimeout);
    if (this.#permit.body !== null || !hasBody(requester.head)) return this.askForSlot();
    this.#body = new StreamedBody(requester, this, { budget: this.#options.budget, idleTimeout });
    if (this.#upstream.limiter.scarce) this.#body.askWithin(this.#upstream.options.retryConnectFor / 2);
    else this.askForSlot();
  }

  // --- a slot

  acquired(): void {
    this.#acquiredAt = performance.now();
    this.#state = 'connecting';
    const traffic = this.verified ? 'verified' : 'unverified';
    const idle = this.#upstream.pool.acquire(traffic, this.#acquiredAt);
    if (idle !== null) return this.#send(idle);
    this.#connecting = this.#upstream.pool.open(traffic, (opened) => {
      this.#connecting = null;
      if (this.#state !== 'connecting') return; // the request has ended, and destroyed the socket
      if (opened instanceof Error) this.#upstream.connectFailed(this, opened);
      else this.#send(opened);
    });
  }

  stalledFor(now: number): number {
    if (this.#pausedAt !== null) return now - this.#pausedAt;
    const awaitsClient = this.#state === 'sending' && this.#body?.isSlow(now) === true;
    return awaitsClient ? now - this.#acquiredAt : 0;
  }

  evict(): void {
    // The upstream has answered, and with a lease its 2xx counts although this client is slow.
    if (this.#state === 'done' || (this.#options.lease !== null && this.#begun)) this.#requester.reply.cut();
    else this.giveUp(this.#upstream.full);
  }

  askForSlot(): void {
    this.#upstream.acquireSlot(this);
  }

  // --- the request

  #send(connection: PooledConnection): void {
    this.#state = 'sending';
    this.#connection = connection;
    connection.user = this;
    const { head } = this.#requester;
    connection.parser.requestMethod = head.method;
    this.#progress.begin(connection.socket);
    this.#requester.reply.continue();
    const { writer } = connection;
    const isChunked = this.#body !== null && declaredLength(head) === null;
    const bodyLength = this.#permit.body?.length ?? null;
    const { lines } = this.#options;
    const text = outgoingHead(head, { lines, bodyLength, connection: this.#isLast ? 'close' : 'persist' });
    writer.head(text, isChunked ? 'chunked' : 'plain');
    if (this.#body !== null) this.#body.sendOn(connection);
    else if (this.#permit.body !== null) writer.endWith(this.#permit.body, this.onSent);
    else writer.end(NO_TRAILERS, this.onSent);
  }

  /**
   * True if no request may follow on the socket. A server that leaves a body unread reads it as its next request, so an
   * unverified body could smuggle one in.
   */
  get #isLast(): boolean {
    return this.#upstream.options.keepAlive === 0 || (!this.verified && hasBody(this.#requester.head));
  }

  /**
   * True if the upstream may write a body although the response has none. Some servers do, late, and the next request
   * on the socket would get it as its answer.
   */
  #mayGetLateBody(status: number): boolean {
    return !this.verified && (this.#requester.head.method === 'HEAD' || status === 204 || status === 304);
  }

  readonly onSent = (): void => {
    if (this.#state !== 'sending') return;
    this.#state = 'reading';
    this.#sentAt = this.#progress.movedAt = performance.now();
  };

  onDrain(): void {
    this.#body?.resume();
  }

  // --- the response

  onData(bytes: Buffer): void {
    const connection = this.#connection;
    if (connection === null) return;
    this.#progress.movedAt = performance.now();
    if (this.#waiting !== null) this.#waiting.append(bytes);
    else this.#read(connection, bytes);
  }

  #read(connection: PooledConnection, bytes: Buffer): void {
    const { parser } = connection;
    let at = 0;
    while (at < bytes.length && this.#state !== 'done') {
      at = parser.read(bytes, at);
      if (!this.#begun && parser.hasHead) {
        const seen = this.#onHead(connection);
        if (seen === 'none') continue;
        if (seen !== 'begun') return this.#waitAtHead(connection, seen, bytes.subarray(at));
      }
      // A copy, since the next read overwrites the bytes.
      const piece = parser.piece === null ? null : Buffer.from(parser.piece);
      if (this.#pass(connection, piece, at === bytes.length ? 'nothing' : 'bytes') === 'over') return;
    }
    this.#flush(connection);
  }

  /** Passes on what one read gave. */
  #pass(connection: PooledConnection, piece: Buffer | null, followed: 'nothing' | 'bytes'): 'over' | 'goes on' {
    if (piece !== null && !this.#requester.reply.data(piece)) this.#pauseUpstream(connection);
    if (connection.parser.state === 'failed') this.giveUp(failedUpstream('protocol'));
    else if (connection.parser.state === 'ended') this.#complete(connection, followed);
    else return 'goes on';
    return 'over';
  }

  #flush(connection: PooledConnection): void {
    if (!this.#begun || this.#state === 'done') return;
    const { reply } = this.#requester;
    // The app has answered, so nothing is stored any more, and an endless answer would keep its slot.
    if (reply.phase === 'gone' && this.#options.lease === null) this.#abort();
    else if (!reply.flush()) this.#pauseUpstream(connection);
  }

  /** The head waits; nothing that happens to the upstream connection meanwhile counts before the decision. */
  #waitAtHead(connection: PooledConnection, decided: Promise<'passes' | 'diverted'>, rest: Buffer): void {
    const { parser, socket } = connection;
    const waiting = new WaitingHead(parser.piece, rest);
    this.#waiting = waiting;
    socket.pause();
    void decided.then((decision) => {
      this.#waiting = null;
      if (decision === 'diverted') this.#abort();
      else if (waiting.failure !== null) this.giveUp(waiting.failure);
      else this.#goOn(connection, waiting);
    });
  }

  #goOn(connection: PooledConnection, { piece, rest, ended }: WaitingHead): void {
    this.#progress.movedAt = performance.now();
    connection.socket.resume();
    this.#begin(connection);
    if (this.#pass(connection, piece, rest.length === 0 ? 'nothing' : 'bytes') === 'over') return;
    if (rest.length > 0) this.#read(connection, rest);
    else this.#flush(connection);
    if (ended) this.onEnd();
  }

  onEnd(): void {
    const connection = this.#connection;
    if (connection === null) return;
    if (this.#waiting !== null) {
      this.#waiting.ended = true;
      return;
    }
    if (this.#begun && connection.parser.finish()) this.#complete(connection, 'close');
    else this.giveUp(failedUpstream('reset'));
  }

  onClose(error: Error | null): void {
    this.#connection = null;
    this.giveUp(failedUpstream('reset', error));
  }

  /** `none`: an interim response, or a head that ends the exchange as a protocol failure. */
  #onHead(connection: PooledConnection): 'begun' | 'none' | Promise<'passes' | 'diverted'> {
    const { parser } = connection;
    const { status, reason, lines, version } = parser;
    const { reply } = this.#requester;
    if ((version !== '1.1' && version !== '1.0') || status < 100 || status > 599 || status === 101 || isCoded(parser)) {
      this.giveUp(failedUpstream('protocol'));
      return 'none';
    }
    if (status < 200) {
      if (this.#requester.interims === MAX_INTERIMS) this.giveUp(failedUpstream('protocol'));
      else {
        this.#requester.interims++;
        reply.inform(status, reason, lines);
        parser.next();
      }
      return 'none';
    }
    this.#requester.upstreamMs = this.#progress.movedAt - this.startedAt;
    this.#requester.upstreamStatus = status;
    const decided = this.#options.atHead?.(status) ?? null;
    if (decided !== null) return decided;
    this.#begin(connection);
    return 'begun';
  }

  #begin({ parser }: PooledConnection): void {
    this.#begun = true;
    this.#requester.reply.begin(parser);
  }

  #pauseUpstream({ socket }: PooledConnection): void {
    if (this.#pausedAt !== null || this.#requester.reply.phase === 'gone') return;
    this.#pausedAt = performance.now();
    socket.pause();
    this.#requester.reply.onDrain = this.#onClientReads;
  }

  readonly #onClientReads = (): void => {
    if (this.#pausedAt === null) return;
    this.#pausedAt = null;
    this.#progress.movedAt = performance.now();
    this.#connection?.socket.resume();
  };

  /** The response is complete. `followed`: by what, so far. */
  #complete(connection: PooledConnection, followed: 'nothing' | 'bytes' | 'close'): void {
    const { parser } = connection;
    const { status, trailers } = parser;
    const unread = this.#body !== null && !this.#body.whole;
    const { writer, socket } = connection;
    const sent = this.#state === 'reading' || (!unread && !writer.writing && socket.writableLength === 0);
    const ended = followed === 'nothing' && sent && !unread;
    const reusable = parser.keepAlive && ended && !this.#isLast && !this.#mayGetLateBody(status);
    if (status < 300) this.#options.lease?.delivered();
    else this.#options.lease?.failed();
    this.#finish(sent ? 'sent' : 'unsent');
    if (reusable) parser.next();
    else if (ended) this.#upstream.pool.retire(connection, parser.keepAlive && !this.#isLast ? 'proxy' : 'upstream');
    else socket.destroy();
    const { reply } = this.#requester;
    reply.end(trailers);
    if (reply.unsent <= MAX_UNSENT) return this.#upstream.release(this, reusable ? connection : null);
    // The rest of the answer fills our memory until the client reads it. The slot is kept to bound that.
    this.#pausedAt = performance.now();
    if (reusable) this.#upstream.pool.retire(connection, 'proxy');
    reply.onSent(() => this.#upstream.release(this, null));
  }

  // --- deadlines

  tick(now: number): void {
    const connection = this.#connection;
    if (connection === null || this.#waiting !== null) return;
    const { idleTimeout, responseTimeout } = this.#options;
    const { socket } = connection;
    const idle = this.#progress.idleFor(socket, now);
    let overdue = idleTimeout > 0 && idle >= idleTimeout;
    if (this.#begun) overdue &&= this.#pausedAt === null;
    else if (this.#state === 'reading') overdue = responseTimeout > 0 && now - this.#sentAt >= responseTimeout;
    else if (socket.writableLength === 0) overdue = false;
    else if (idleTimeout > 0 && idle >= idleTimeout / 2) void this.#progress.look(socket);
    if (overdue) this.giveUp(failedUpstream('timeout'));
  }

  // --- ends

  giveUp(failure: ForwardFailure): void {
    if (this.#state === 'done') return;
    if (this.#waiting !== null) {
      this.#waiting.failure ??= failure;
      return;
    }
    this.#options.onFailure(failure);
    this.#abort();
  }

  readonly #onDeparture = (): void => {
    if (this.#state === 'done') return;
    const { lease, departure } = this.#options;
    const counts = lease !== null && (this.#state === 'sending' || this.#state === 'reading');
    if ((departure === 'aborts' || this.#begun) && !counts) return this.#abort();
    this.#pausedAt = null;
    // Nothing bounds what is read while a head waits.
    if (this.#waiting === null) this.#connection?.socket.resume();
  };

  #abort(): void {
    const connection = this.#connection;
    this.#connecting?.destroy();
    this.#finish(this.#state === 'reading' ? 'sent' : 'unsent');
    this.#options.lease?.failed();
    if (connection !== null) {
      connection.user = null;
      connection.socket.destroy();
    }
    this.#upstream.release(this, null);
  }

  #finish(body: 'sent' | 'unsent'): void {
    this.#state = 'done';
    this.#connection = null;
    this.#connecting = null;
    this.#body?.stop();
    this.#requester.onDeparture(null);
    this.#requester.reply.onDrain = null;
    this.#options.onEnd(body);
  }
}
