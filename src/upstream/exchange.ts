// One permitted request to the upstream, and its response: waiting, connecting, sending, reading, done. Bytes are
// forwarded unchanged, with backpressure from socket to socket. Each failure ends in an answer or a cut.
// A failed connect is retried; a request that may have been processed never is (RFC 9110 9.2.2).
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { declaredLength, hasBody } from '../core/head.ts';
import { isPermit, type Permit } from '../core/permit.ts';
import type { DeliveryLease } from '../core/record.ts';
import { type ByteBudget, Pace } from '../downstream/budget.ts';
import { HeldPieces } from '../downstream/buffered-body.ts';
import type { BodyReceiver, Exchange, Taken } from '../downstream/exchange.ts';
import { CHUNKED, headLines, isCoded } from '../wire/heads.ts';
import { queueKey, recentQueues } from '../wire/kernel-queues.ts';
import type { PooledConnection } from './pool.ts';
import { type ForwardFailure, failedUpstream, OVERLOADED, type Upstream, type UpstreamRequest } from './upstream.ts';

export interface ForwardOptions {
  /** The request's lines to be sent; hop-by-hop lines and framing are replaced here. */
  readonly lines: readonly string[];
  /** Milliseconds; 0 is off. */
  readonly responseTimeout: number;
  readonly idleTimeout: number;
  /** With a lease the upstream's 2xx counts even if the client leaves, so a leaving client aborts nothing. */
  readonly lease: DeliveryLease | null;
  /** Counts the pieces of a streaming body that wait for the upstream. */
  readonly budget: ByteBudget;
  /** There is no response, or it broke off. Called at most once, before `onEnd`. */
  readonly onFailure: (failure: ForwardFailure) => void;
  /** The request's body is needed no longer. `sent`: no byte of it is still to be written. */
  readonly onEnd: (sent: boolean) => void;
}

/** The maximum number of interim responses: nothing else stops an upstream that sends them forever. */
export const MAX_INTERIMS = 100;
/** Bytes per millisecond. A client that sends slower than 8 KiB/s keeps its slot only while nobody else needs it. */
const SLOW_RATE = 8;
/** Bytes. While slots are scarce, a body gets one once this much of it has arrived, or all of it. */
const ENOUGH_FOR_SLOT = 16 * 1024;
/** Bytes of an answer that may still be unsent when its slot is released. */
const MAX_UNSENT = 16 * 1024;
const NO_TRAILERS: readonly string[] = [];

// Methods rather than closures, so that forwarding a request costs one object.
export class UpstreamExchange implements UpstreamRequest, BodyReceiver {
  place = -1;
  readonly verified: boolean;
  readonly #permit: Permit;
  readonly #exchange: Exchange;
  readonly #upstream: Upstream;
  readonly #options: ForwardOptions;
  readonly startedAt = performance.now();
  connectError: Error | null = null;
  #state: 'waiting' | 'connecting' | 'sending' | 'reading' | 'done' = 'waiting';
  #connection: PooledConnection | null = null;
  #connecting: Socket | null = null;
  #grantedAt = 0;
  // The request's body, if it streams.
  readonly #streams: boolean;
  #held: HeldPieces | null = null;
  #whole = false;
  #trailers: readonly string[] = NO_TRAILERS;
  #pace: Pace | null = null;
  #lastPieceAt = this.startedAt;
  /** Takes a slot even for a small body after a while: some clients send the rest only after the answer. */
  #slotTimer: NodeJS.Timeout | undefined;
  #clientPaused = false;
  #sentAt = 0;
  // Progress: bytes that the kernel has accepted, and when bytes last moved in either direction.
  #flushed = 0;
  #movedAt = this.startedAt;
  /** What the kernel's queue showed in the last look; null before the first one. */
  #seen: number | null = null;
  // The response.
  #begun = false;
  /** When the client last fell behind with reading; null while it keeps up. */
  #pausedAt: number | null = null;

  /** The permit is the caller's proof that the rules let the request through; anything else throws. */
  constructor(permit: Permit, exchange: Exchange, upstream: Upstream, options: ForwardOptions) {
    if (!isPermit(permit)) throw new Error('no permit, no upstream');
    this.#permit = permit;
    this.#exchange = exchange;
    this.#upstream = upstream;
    this.#options = options;
    this.verified = permit.decision === 'accepted';
    this.#streams = permit.body === null && hasBody(exchange.head);
  }

  start(): void {
    const { connection, reply } = this.#exchange;
    this.#exchange.onLeft(this.#onClientLeft);
    connection.stallTimeout = this.#options.idleTimeout;
    if (!this.#streams) return this.#takeSlot();
    this.#pace = new Pace(this.startedAt);
    this.#held = new HeldPieces(this.#options.budget, () => this.evict());
    this.#exchange.receiver = this;
    if (!this.#upstream.limiter.scarce) return this.#takeSlot();
    // While slots are scarce, a body must be whole, or well on its way, before it gets one.
    reply.continue();
    this.#slotTimer = setTimeout(() => this.#takeSlot(), this.#upstream.options.retryConnectFor / 2);
  }

  // --- a slot

  granted(): void {
    this.#grantedAt = performance.now();
    this.#state = 'connecting';
    const traffic = this.verified ? 'verified' : 'unverified';
    const idle = this.#upstream.pool.take(traffic);
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
    const awaitsClient = this.#state === 'sending' && this.#streams && !this.#whole && !this.#clientPaused;
    return awaitsClient && (this.#pace?.rate(now) ?? 0) < SLOW_RATE ? now - this.#grantedAt : 0;
  }

  evict(): void {
    // The upstream has answered, and with a lease its 2xx counts although this client is slow.
    if (this.#state === 'done' || (this.#options.lease !== null && this.#begun)) this.#exchange.reply.cut();
    else this.giveUp(OVERLOADED);
  }

  #takeSlot(): void {
    clearTimeout(this.#slotTimer);
    this.#slotTimer = undefined;
    this.#upstream.takeSlot(this);
  }

  // --- the request

  #send(connection: PooledConnection): void {
    this.#state = 'sending';
    this.#connection = connection;
    connection.user = this;
    connection.parser.requestMethod = this.#exchange.head.method;
    this.#movedAt = this.#lastPieceAt = performance.now();
    this.#flushed = connection.socket.bytesWritten;
    this.#exchange.reply.continue();
    const { writer } = connection;
    writer.head(this.#headText(), this.#streams && declaredLength(this.#exchange.head) === null ? 'chunked' : 'plain');
    if (this.#permit.body !== null) return writer.endWith(this.#permit.body, this.#onSent);
    for (const piece of this.#held?.take() ?? []) writer.data(piece);
    if (!this.#streams || this.#whole) return writer.end(this.#trailers, this.#onSent);
    writer.flush();
    this.resumeClient();
  }

  #headText(): string {
    const { head } = this.#exchange;
    const { body } = this.#permit;
    const declared = declaredLength(head);
    const framed = head.contentLengths > 0 || head.transferEncodings > 0;
    let framing: string | null = null;
    if (body !== null && framed) framing = `Content-Length: ${body.length}`;
    else if (framed) framing = declared === null ? CHUNKED : `Content-Length: ${declared}`;
    const { lines } = this.#options;
    const te = head.version === '1.1' && head.asksForTrailers ? 'trailers' : null;
    let connection = this.#isLast ? 'Connection: close\r\n' : '';
    if (te !== null) connection = this.#isLast ? 'Connection: TE, close\r\n' : 'Connection: TE\r\n';
    return `${head.method} ${head.target} HTTP/1.1\r\n${headLines(lines, framing, te)}${connection}\r\n`;
  }

  /**
   * True if no request may follow on the socket. A server that leaves a body unread reads it as its next request, so an
   * unverified body could smuggle one in.
   */
  get #isLast(): boolean {
    return this.#upstream.options.keepAlive === 0 || (!this.verified && hasBody(this.#exchange.head));
  }

  /**
   * True if the upstream may write a body although the response has none. Some servers do, late, and the next request
   * on the socket would get it as its answer.
   */
  #mayGetLateBody(status: number): boolean {
    return !this.verified && (this.#exchange.head.method === 'HEAD' || status === 204 || status === 304);
  }

  readonly #onSent = (): void => {
    if (this.#state !== 'sending') return;
    this.#state = 'reading';
    this.#sentAt = this.#movedAt = performance.now();
  };

  // --- a body that streams

  get deadline(): number {
    const { idleTimeout } = this.#options;
    const awaitsClient = idleTimeout > 0 && !this.#clientPaused && !this.#whole;
    return awaitsClient ? this.#lastPieceAt + idleTimeout : Number.POSITIVE_INFINITY;
  }

  rate(now: number): number {
    return this.#clientPaused || this.#pace === null ? Number.POSITIVE_INFINITY : this.#pace.rate(now);
  }

  piece(piece: Buffer): Taken {
    this.#add(piece);
    this.#connection?.writer.flush();
    if (this.#connection?.socket.writableNeedDrain) this.#pauseClient();
    return 'copied';
  }

  end(last: Buffer | null, trailers: readonly string[]): Taken {
    this.#whole = true;
    this.#trailers = trailers;
    const connection = this.#connection;
    if (last !== null) this.#add(last);
    if (connection !== null) connection.writer.end(trailers, this.#onSent);
    else if (this.#slotTimer !== undefined) this.#takeSlot();
    return 'copied';
  }

  fail(reason: 'bad_request' | 'body_timeout'): void {
    this.giveUp({ side: 'client', reason });
  }

  #add(piece: Buffer): void {
    this.#exchange.bodyBytes += piece.length;
    this.#lastPieceAt = performance.now();
    this.#pace?.count(piece.length, this.#lastPieceAt);
    // A copy, since a slice would keep its whole read alive: six times its bytes where chunks have one byte.
    if (this.#connection !== null) this.#connection.writer.data(Buffer.from(piece));
    else if (this.#held?.add(piece) === false) this.giveUp(OVERLOADED);
    else if (this.#held !== null && this.#held.held >= ENOUGH_FOR_SLOT) {
      this.#pauseClient();
      if (this.#slotTimer !== undefined) this.#takeSlot();
    }
  }

  #pauseClient(): void {
    if (this.#whole || this.#clientPaused) return;
    this.#clientPaused = true;
    this.#exchange.connection.stream.pause();
  }

  resumeClient(): void {
    if (!this.#clientPaused || this.#connection?.socket.writableNeedDrain === true) return;
    this.#clientPaused = false;
    this.#lastPieceAt = performance.now();
    this.#exchange.connection.stream.resume();
  }

  // --- the response

  onData(bytes: Buffer): void {
    const connection = this.#connection;
    if (connection === null) return;
    const { parser } = connection;
    this.#movedAt = performance.now();
    let at = 0;
    while (at < bytes.length && this.#state !== 'done') {
      at = parser.read(bytes, at);
      if (!this.#begun && parser.hasHead && !this.#onHead(connection)) continue;
      // A copy, since the next read overwrites the bytes.
      if (parser.piece !== null && !this.#exchange.reply.data(Buffer.from(parser.piece)))
        this.#pauseUpstream(connection);
      if (parser.state === 'failed') return this.giveUp(failedUpstream('protocol'));
      if (parser.state === 'ended') return this.#complete(connection, at === bytes.length);
    }
    if (this.#begun && this.#state !== 'done' && !this.#exchange.reply.flush()) this.#pauseUpstream(connection);
  }

  onEnd(): void {
    const connection = this.#connection;
    if (connection === null) return;
    if (this.#begun && connection.parser.finish()) this.#complete(connection, false);
    else this.giveUp(failedUpstream('reset'));
  }

  onClose(error: Error | null): void {
    this.#connection = null;
    this.giveUp(failedUpstream('reset', error));
  }

  /** False for an interim response, and for a head that ends the exchange as a protocol failure. */
  #onHead({ parser }: PooledConnection): boolean {
    const { status, reason, lines, version } = parser;
    const { reply } = this.#exchange;
    if ((version !== '1.1' && version !== '1.0') || status < 100 || status > 599 || status === 101 || isCoded(parser)) {
      this.giveUp(failedUpstream('protocol'));
      return false;
    }
    if (status < 200) {
      if (this.#exchange.interims === MAX_INTERIMS) this.giveUp(failedUpstream('protocol'));
      else {
        this.#exchange.interims++;
        reply.inform(status, reason, lines);
        parser.next();
      }
      return false;
    }
    this.#begun = true;
    this.#exchange.upstreamMs = performance.now() - this.startedAt;
    this.#exchange.upstreamStatus = status;
    reply.begin(parser);
    return true;
  }

  #pauseUpstream({ socket }: PooledConnection): void {
    if (this.#pausedAt !== null || this.#exchange.reply.phase === 'gone') return;
    this.#pausedAt = performance.now();
    socket.pause();
    this.#exchange.reply.onDrain = this.#onClientReads;
  }

  readonly #onClientReads = (): void => {
    if (this.#pausedAt === null) return;
    this.#pausedAt = null;
    this.#movedAt = performance.now();
    this.#connection?.socket.resume();
  };

  /** The response is complete. `clean`: no byte followed it. */
  #complete(connection: PooledConnection, clean: boolean): void {
    const { parser } = connection;
    const { status, trailers } = parser;
    const unread = this.#streams && !this.#whole;
    const { writer, socket } = connection;
    const sent = this.#state === 'reading' || (!unread && !writer.writing && socket.writableLength === 0);
    const ended = clean && sent && !unread;
    const reusable = parser.keepAlive && ended && !this.#isLast && !this.#mayGetLateBody(status);
    if (status < 300) this.#options.lease?.delivered();
    else this.#options.lease?.failed();
    this.#finish(sent);
    if (reusable) parser.next();
    else if (ended) this.#upstream.pool.retire(connection, parser.keepAlive && !this.#isLast ? 'proxy' : 'upstream');
    else socket.destroy();
    const { reply, connection: client } = this.#exchange;
    reply.end(trailers);
    if (client.stream.writableLength <= MAX_UNSENT) return this.#upstream.release(this, reusable ? connection : null);
    // The rest of the answer fills our memory until the client reads it. The slot stays taken to bound that.
    this.#pausedAt = performance.now();
    if (reusable) this.#upstream.pool.retire(connection, 'proxy');
    reply.onSent(() => this.#upstream.release(this, null));
  }

  // --- deadlines

  tick(now: number): void {
    const connection = this.#connection;
    if (connection === null) return;
    const { idleTimeout, responseTimeout } = this.#options;
    const { bytesWritten, writableLength } = connection.socket;
    const flushed = bytesWritten - writableLength;
    if (flushed !== this.#flushed) {
      this.#flushed = flushed;
      this.#movedAt = now;
    }
    const idle = now - this.#movedAt;
    let overdue = idleTimeout > 0 && idle >= idleTimeout;
    if (this.#begun) overdue &&= this.#pausedAt === null;
    else if (this.#state === 'reading') overdue = responseTimeout > 0 && now - this.#sentAt >= responseTimeout;
    else if (writableLength === 0) overdue = false;
    else if (idleTimeout > 0 && idle >= idleTimeout / 2) void this.#look(connection);
    if (overdue) this.giveUp(failedUpstream('timeout'));
  }

  /**
   * Looks whether the kernel moves bytes of which node does not tell yet: it wakes a writer once a third of its buffer,
   * up to 4 MiB, is free. Without this a slow and steady upstream would be cut.
   */
  async #look({ socket }: PooledConnection): Promise<void> {
    const queued = (await recentQueues()).get(queueKey(socket)) ?? 0;
    const seen = this.#flushed - queued;
    if (this.#seen !== null && this.#seen !== seen) this.#movedAt = performance.now();
    this.#seen = seen;
  }

  // --- ends

  giveUp(failure: ForwardFailure): void {
    if (this.#state === 'done') return;
    this.#options.onFailure(failure);
    this.#abort();
  }

  readonly #onClientLeft = (): void => {
    if (this.#state === 'done') return;
    const goesOn = this.#options.lease !== null && (this.#state === 'sending' || this.#state === 'reading');
    if (!goesOn) return this.#abort();
    this.#pausedAt = null;
    this.#connection?.socket.resume();
  };

  #abort(): void {
    const connection = this.#connection;
    this.#connecting?.destroy();
    this.#finish(this.#state === 'reading');
    this.#options.lease?.failed();
    if (connection !== null) {
      connection.user = null;
      connection.socket.destroy();
    }
    this.#upstream.release(this, null);
  }

  #finish(sent: boolean): void {
    this.#state = 'done';
    clearTimeout(this.#slotTimer);
    this.#slotTimer = undefined;
    this.#connection = null;
    this.#connecting = null;
    this.#held?.take();
    this.#held = null;
    this.#exchange.onLeft(null);
    this.#exchange.reply.onDrain = null;
    if (this.#exchange.receiver === this) this.#exchange.receiver = null;
    this.resumeClient();
    this.#options.onEnd(sent);
  }
}
