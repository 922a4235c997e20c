// One permitted request to the upstream, and its response: waiting, connecting, sending, reading, done. Bytes are
// forwarded unchanged, with backpressure from socket to socket. Each failure ends in an answer or a cut.
// A failed connect is retried; a request that may have been processed never is (RFC 9110 9.2.2).
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { isPermit, type Permit } from '../core/permit.ts';
import { declaredLength, hasBody } from '../core/request-head.ts';
import { isCoded } from '../wire/head-text.ts';
import { NO_TRAILERS } from '../wire/writer.ts';
import { type ForwardFailure, failedUpstream } from './forward-failure.ts';
import { outgoingHead } from './outgoing-head.ts';
import type { ConnectionUser, PooledConnection } from './pooled-connection.ts';
import type { ForwardOptions, Requester } from './requester.ts';
import { MAX_INTERIMS } from './response-limits.ts';
import { SocketProgress } from './socket-progress.ts';
import { type BodyOwner, StreamedBody } from './streamed-body.ts';
import type { Upstream, UpstreamRequest } from './upstream.ts';

/** Bytes of an answer that may still be unsent when its slot is released. */
const MAX_UNSENT = 16 * 1024;

// Methods rather than closures, so that forwarding a request costs one object.
export class UpstreamExchange implements UpstreamRequest, ConnectionUser, BodyOwner {
  /** Its index in the indexed set that it is in. */
  place = -1;
  readonly verified: boolean;
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
    const idle = this.#upstream.pool.acquire(traffic);
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
    const { parser } = connection;
    this.#progress.movedAt = performance.now();
    let at = 0;
    while (at < bytes.length && this.#state !== 'done') {
      at = parser.read(bytes, at);
      if (!this.#begun && parser.hasHead && !this.#onHead(connection)) continue;
      // A copy, since the next read overwrites the bytes.
      if (parser.piece !== null && !this.#requester.reply.data(Buffer.from(parser.piece)))
        this.#pauseUpstream(connection);
      if (parser.state === 'failed') return this.giveUp(failedUpstream('protocol'));
      if (parser.state === 'ended') return this.#complete(connection, at === bytes.length ? 'nothing' : 'bytes');
    }
    if (this.#begun && this.#state !== 'done' && !this.#requester.reply.flush()) this.#pauseUpstream(connection);
  }

  onEnd(): void {
    const connection = this.#connection;
    if (connection === null) return;
    if (this.#begun && connection.parser.finish()) this.#complete(connection, 'close');
    else this.giveUp(failedUpstream('reset'));
  }

  onClose(error: Error | null): void {
    this.#connection = null;
    this.giveUp(failedUpstream('reset', error));
  }

  /** False for an interim response, and for a head that ends the exchange as a protocol failure. */
  #onHead({ parser }: PooledConnection): boolean {
    const { status, reason, lines, version } = parser;
    const { reply } = this.#requester;
    if ((version !== '1.1' && version !== '1.0') || status < 100 || status > 599 || status === 101 || isCoded(parser)) {
      this.giveUp(failedUpstream('protocol'));
      return false;
    }
    if (status < 200) {
      if (this.#requester.interims === MAX_INTERIMS) this.giveUp(failedUpstream('protocol'));
      else {
        this.#requester.interims++;
        reply.inform(status, reason, lines);
        parser.next();
      }
      return false;
    }
    this.#begun = true;
    this.#requester.upstreamMs = performance.now() - this.startedAt;
    this.#requester.upstreamStatus = status;
    reply.begin(parser);
    return true;
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
    if (connection === null) return;
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
    this.#options.onFailure(failure);
    this.#abort();
  }

  readonly #onDeparture = (): void => {
    if (this.#state === 'done') return;
    const goesOn = this.#options.lease !== null && (this.#state === 'sending' || this.#state === 'reading');
    if (!goesOn) return this.#abort();
    this.#pausedAt = null;
    this.#connection?.socket.resume();
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
