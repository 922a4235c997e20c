// One client connection from accept to close, as a state machine: one request at a time, one deadline, one orderly end.
//
//   silent -> tls -> head -> request (-> rest) -> idle -> head ...   any state -> closing -> closed
//                                     `-> tunnel -> closed
//
// The next head waits until the kernel has the answer to the last one, so a pipelining client costs the memory of one
// request and `maxHeader` bytes. The file is long because the states and the bytes that move them are read together;
// what has a subject of its own is elsewhere: following-bytes.ts, answer-progress.ts.

import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { free } from '../base/bytes.ts';
import { ignore } from '../base/errors.ts';
import { ROOM_RATE } from '../bodies/rate.ts';
import type { BodyReceiver, Owner } from '../bodies/receiver.ts';
import type { Reason } from '../core/decision.ts';
import { declaredLength, Head } from '../core/request-head.ts';
import { queueKey } from '../wire/kernel-queues.ts';
import { MessageParser } from '../wire/parser.ts';
import { AnswerProgress } from './answer-progress.ts';
import { connectedAddress, networkOf } from './client-address.ts';
import { Exchange } from './client-exchange.ts';
import { DROPPED_BODY, DROPPED_BYTES, DROPPING_MS, REST_MS, SILENCE_MS } from './drop-limits.ts';
import { FollowingBytes } from './following-bytes.ts';
import type { Listener } from './listener.ts';
import { RANKS } from './make-room.ts';
import { STALL_MS, UNREAD_MS } from './unread-answers.ts';

/** `rest`: the kernel has the answer, while a short rest of the request's body is still to come. */
export type State = 'silent' | 'tls' | 'head' | 'request' | 'rest' | 'idle' | 'tunnel' | 'closing' | 'closed';

export interface Handler {
  /** A request's head is complete. Its body goes to the receiver that this call sets, or is dropped. */
  onRequest(exchange: Exchange): void;
  /** A request has ended, in whatever way. Requests are recorded only here. */
  onEnd(exchange: Exchange): void;
}

export class Connection {
  /** Its index in the indexed set that it is in. */
  place = -1;
  /** Only the reply writes to it, except in a tunnel. The receiver of a body may pause and resume it. */
  stream: Socket;
  encrypted = false;
  readonly address: string;
  #key: string | null = null;
  state: State = 'silent';
  /** Milliseconds on the monotonic clock, as are `since` and `deadline`. */
  readonly openedAt = performance.now();
  since = this.openedAt;
  deadline: number;
  /** Milliseconds that the client may leave the answer unread; 0 is off. Set for each request. */
  stallTimeout = STALL_MS;
  /** The request in progress. Written only here. */
  exchange: Exchange | null = null;
  readonly progress = new AnswerProgress(this);
  /** When its last request began, and how long after the one before; NaN without them. */
  requestedAt = Number.NaN;
  interval = Number.NaN;
  readonly #listener: Listener;
  /** The socket beneath TLS, or `stream` itself. */
  readonly #socket: Socket;
  #parser: MessageParser | null = null;
  readonly #following = new FollowingBytes();
  /** Set while kept bytes wait to be read as the next request. */
  #turn: NodeJS.Immediate | null = null;
  #dropped = 0;

  constructor(socket: Socket, listener: Listener) {
    this.stream = this.#socket = socket;
    this.#listener = listener;
    this.address = connectedAddress(socket);
    this.deadline = this.openedAt + listener.limits.headersTimeout;
    socket.on('error', ignore); // 'close' follows
    socket.once('close', this.#onClose);
  }

  /** The ports and the client's address, which name it among all connections. Asked for first while it is open. */
  get key(): string {
    this.#key ??= queueKey(this.#socket);
    return this.#key;
  }

  /** The network that counts as one client where many connections make room. */
  get network(): string {
    return networkOf(this.address);
  }

  get hadRequest(): boolean {
    return !Number.isNaN(this.requestedAt);
  }

  /** Called when the TLS handshake begins. */
  beginTls(): void {
    this.#enter('tls', this.#listener.limits.headersTimeout);
  }

  /** Starts HTTP on `stream`. */
  open(stream: Socket): void {
    if (stream !== this.stream) {
      this.stream.off('close', this.#onClose);
      this.stream = stream;
      this.encrypted = true;
      stream.on('error', ignore);
      stream.once('close', this.#onClose);
      this.#enter('silent', this.#listener.limits.headersTimeout);
    }
    stream.on('data', this.#onData);
    stream.on('end', this.#onEnd);
    stream.on('drain', this.#onDrain);
  }

  // --- for the exchange, its reply and the receiver of the body

  /** True if the answer must say `close`, whatever else it says. The connection's age counts as the request began. */
  mustClose(): boolean {
    const { closesAll, limits } = this.#listener;
    return this.#isLast || closesAll || this.since - this.openedAt >= limits.connectionAge;
  }

  /** True if no request can follow on the connection. */
  get #isLast(): boolean {
    return this.#parser?.keepAlive !== true || this.#following.state === 'dropped' || this.stream.readableEnded;
  }

  /** How much of the request's body is missing. `short`: the rest is read and dropped, so the connection may stay. */
  unread(): 'nothing' | 'short' | 'long' {
    const parser = this.#parser;
    if (parser === null || parser.state === 'ended') return 'nothing';
    const declared = this.exchange === null ? null : declaredLength(this.exchange.head);
    return parser.state === 'body' && declared !== null && declared <= DROPPED_BODY ? 'short' : 'long';
  }

  /** The kernel has the whole answer, or the connection is gone. `close`: no request follows. */
  replied(said: 'close' | 'persist'): void {
    if (this.state !== 'request') return;
    if (this.progress.maySwell) this.#listener.unread.add(this);
    const now = performance.now();
    this.#endExchange('answered', now);
    // A client that was not told `close` may send at once, also in a drain.
    if (said === 'close' || this.#isLast || this.#parser?.state === 'failed') this.close();
    else if (this.#parser?.state === 'ended') this.#next(now);
    else this.#enter('rest', REST_MS, now);
  }

  /** True if too many bytes followed the current request, so that some were dropped. */
  get hasDroppedBytes(): boolean {
    return this.#following.state === 'dropped';
  }

  /** Hands the stream to a tunnel. Returns the bytes that came after its request. */
  handOver(): Buffer {
    const early = this.#following.drain();
    if (early === 'dropped') throw new Error('a tunnel must not lack its first bytes');
    this.#enter('tunnel', Number.POSITIVE_INFINITY);
    this.stream.off('data', this.#onData);
    this.stream.off('end', this.#onEnd);
    this.stream.off('drain', this.#onDrain);
    return early;
  }

  // --- for the listener

  /** Enforces the deadlines of the connection, of the body, and of an answer that the client does not read. */
  tick(now: number): void {
    if (now >= this.deadline) return this.#expire();
    if (this.state !== 'request') return;
    if (this.progress.maySwell) this.#listener.unread.add(this);
    const receiver = this.#awaiting;
    if (receiver !== null && now >= receiver.deadline) receiver.fail('body_timeout');
    else if (this.stallTimeout > 0 && this.progress.unreadFor(now) >= this.stallTimeout) this.destroy();
  }

  /** The connection with the lowest rank makes room for a newcomer. Null: a tunnel, or a request that makes progress. */
  rank(now: number): number | null {
    if (this.state === 'tunnel' || this.state === 'closed') return null;
    if (this.state !== 'request') return RANKS[this.state];
    if (this.progress.unreadFor(now) >= UNREAD_MS) return RANKS.unread;
    const receiver = this.#awaiting;
    return receiver !== null && receiver.rate(now) < ROOM_RATE ? RANKS.slow : null;
  }

  /** The orderly end: send the last bytes, half-close, drop what still comes up to a limit, destroy (RFC 9112 9.6). */
  close(): void {
    if (this.state === 'closing' || this.state === 'closed') return;
    const unsecured = this.state === 'tls';
    this.#enter('closing', SILENCE_MS);
    this.#following.drop();
    if (unsecured) return this.destroy();
    this.#listener.onClosing(this);
    if (this.stream.isPaused()) this.stream.resume();
    this.stream.end();
  }

  /** Ends the connection at once. An answer that lies unread must not stay in the kernel for minutes. */
  destroy(): void {
    if (this.#listener.unread.isUnread(this)) this.reset();
    else this.stream.destroy();
  }

  /**
   * Ends the connection with a reset: the kernel drops what it holds. While a half-close is still under way libuv
   * refuses that, and the socket would never close.
   */
  reset(): void {
    const { writableEnded, writableFinished } = this.stream;
    if (writableEnded && !writableFinished) this.stream.destroy();
    else this.#socket.resetAndDestroy();
  }

  /** Leaves to the kernel what it still holds: the process ends. */
  leave(): void {
    this.stream.destroy();
  }

  /** Refuses a head or a body that is still to come: the client was too slow. */
  refuseRest(): void {
    if (this.state === 'head') this.#refuseHead('header_timeout');
    else this.#awaiting?.fail('body_timeout');
  }

  // --- states

  #enter(state: State, milliseconds: number, now = performance.now()): void {
    this.state = state;
    this.since = now;
    this.deadline = now + milliseconds;
  }

  #expire(): void {
    if (this.state === 'head') this.#refuseHead('header_timeout');
    else if (this.state === 'idle') this.#closeIdle();
    else if (this.state === 'rest') this.close();
    else if (this.state === 'closing' && this.progress.maySwell && this.#listener.unread.mustStay(this))
      this.deadline = performance.now() + SILENCE_MS; // the client still reads, or does not: only the kernel knows
    else this.destroy();
  }

  /** Ends it unless its next request has arrived: what the kernel has is read first. */
  #closeIdle(): void {
    const { since } = this;
    setImmediate(() => {
      if (this.state === 'idle' && this.since === since) this.close();
    });
  }

  /** Begins the next request, if the byte behind the last one is still there. Only here does the parser go on. */
  #next(now = performance.now()): void {
    this.stallTimeout = STALL_MS;
    if (this.#following.state === 'dropped') return this.close();
    this.#parser?.next();
    if (this.#following.state === 'none') return this.#enter('idle', this.#listener.limits.keepAlive, now);
    this.#enter('head', this.#listener.limits.headersTimeout, now);
    // The next request gets its own turn of the event loop: a pipelining client must not keep the others waiting.
    this.#turn = setImmediate(this.#readKept);
  }

  readonly #readKept = (): void => {
    if (this.#turn === null || this.state !== 'head') return;
    this.#turn = null;
    const kept = this.#following.drain();
    if (kept === 'dropped') this.close();
    else this.#read(kept);
  };

  // --- bytes

  readonly #onData = (bytes: Buffer): void => {
    if (this.state === 'silent' || this.state === 'idle') this.#enter('head', this.#listener.limits.headersTimeout);
    this.#readKept();
    let owner: Owner = 'caller';
    if (this.state === 'closing') this.#drop(bytes.length);
    else if (this.#parser?.state === 'ended') this.#following.keep(bytes, this.#listener.limits.maxHeader);
    else owner = this.#read(bytes);
    if (owner === 'caller') free(bytes);
  };

  #drop(bytes: number): void {
    this.#dropped += bytes;
    this.deadline = Math.min(this.since + DROPPING_MS, performance.now() + SILENCE_MS);
    if (this.#dropped > DROPPED_BYTES) this.destroy();
  }

  #read(bytes: Buffer): Owner {
    this.#parser ??= new MessageParser('request', { head: this.#listener.limits.maxHeader });
    const parser = this.#parser;
    const { maxHeader, headersTimeout } = this.#listener.limits;
    let owner: Owner = 'caller';
    let at = 0;
    while (at < bytes.length && (parser.state === 'head' || parser.state === 'body')) {
      if (this.state === 'idle') this.#enter('head', headersTimeout);
      at = parser.read(bytes, at);
      // What follows is checked before the request is answered: the answer must say `close` if too many bytes follow.
      // Behind the rest of a body whose answer is out already, the next request is read at once.
      if (this.state !== 'rest' && bytes.length - at - parser.remaining > maxHeader) this.#following.drop();
      if (!this.#hasBegun(parser)) continue;
      if (this.#giveBody(parser) === 'receiver') owner = 'receiver';
      if (this.state === 'rest' && parser.state !== 'body') this.#endRest(parser);
      if (this.state !== 'request' && this.state !== 'rest' && this.state !== 'idle') return owner;
    }
    if (at < bytes.length && parser.state === 'ended') this.#following.keep(bytes.subarray(at), maxHeader);
    return owner;
  }

  /** The rest of a body whose answer is out has come, or can't be read. */
  #endRest({ state }: MessageParser): void {
    if (state === 'ended') this.#next();
    else this.close();
  }

  /** Begins the request once its head is whole; false while it is not. */
  #hasBegun(parser: MessageParser): boolean {
    if (this.state !== 'head') return true;
    if (parser.hasHead) this.#listener.handler.onRequest(this.#begin(new Head(parser, parser.lines), parser.lines));
    else if (parser.state === 'failed')
      this.#refuseHead(parser.failure === 'too_large' ? 'header_too_large' : 'bad_request');
    return parser.hasHead;
  }

  #begin(head: Head, lines: readonly string[]): Exchange {
    this.#enter('request', Number.POSITIVE_INFINITY);
    const exchange = new Exchange(head, lines, this);
    this.exchange = exchange;
    this.interval = this.since - this.requestedAt;
    this.requestedAt = this.since;
    this.progress.begin(this.since);
    return exchange;
  }

  /** Passes on the part of the body that was in the last read. */
  #giveBody(parser: MessageParser): Owner {
    const receiver = this.exchange?.receiver ?? null;
    if (receiver === null) return 'caller';
    const { piece, state, pieces } = parser;
    if (state === 'ended') return receiver.end(piece, parser.trailers, pieces);
    const owner = piece === null ? 'caller' : receiver.piece(piece, pieces);
    if (state === 'failed') receiver.fail('bad_request');
    return owner;
  }

  /** Bytes that never became a request are still answered, and counted as a request. */
  #refuseHead(reason: Reason): void {
    const exchange = this.#begin(NO_HEAD, []);
    this.#following.drop();
    exchange.refuse(reason);
  }

  // --- ends

  #endExchange(how: 'answered' | 'departed', now = performance.now()): void {
    const { exchange } = this;
    if (exchange === null) return;
    if (how === 'departed') exchange.clientDeparted();
    this.exchange = null;
    this.progress.end(exchange.reply.bytes);
    exchange.durationMs = now - exchange.startedAt;
    this.#listener.handler.onEnd(exchange);
  }

  readonly #onEnd = (): void => {
    this.#readKept();
    if (this.state === 'request' && this.exchange !== null) this.#onEndWithinRequest(this.exchange);
    else if (this.state === 'head' && this.#parser?.state !== 'ended') this.#refuseHead('bad_request');
    else this.close();
  };

  /** A client that half-closes before its answer counts as gone. If its request was refused, it may still read that. */
  #onEndWithinRequest({ reply, receiver }: Exchange): void {
    if (reply.phase === 'ended') return;
    if (receiver !== null && this.#parser?.state !== 'ended') receiver.fail('bad_request');
    else this.#endExchange('departed');
    if (this.exchange?.reply.phase !== 'ended' && this.state === 'request') this.destroy();
  }

  readonly #onClose = (): void => {
    // A head that has begun is a request, and is counted.
    if (this.state === 'head') this.#begin(NO_HEAD, []);
    this.#endExchange('departed');
    this.state = 'closed';
    this.#parser?.free();
    this.#parser = null;
    this.#listener.onClosed(this);
  };

  readonly #onDrain = (): void => this.exchange?.reply.onDrain?.();

  /** The receiver of a body that is still to come. */
  get #awaiting(): BodyReceiver | null {
    return this.#parser?.state === 'body' ? (this.exchange?.receiver ?? null) : null;
  }
}

const NO_HEAD = new Head({ method: '', target: '', version: '1.1' }, []);
