// One client connection from accept to close, as a state machine: one request at a time, one deadline, one orderly end.
//
//   silent (-> tls -> silent) -> head -> request (-> rest) -> idle -> head ...   any state -> closing -> closed
//                                              `-> tunnel -> closed
//
// The next head is read only once the kernel has the whole previous answer, so a pipelining client costs the memory of
// one request and of what following-bytes.ts keeps.
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { free } from '../base/bytes.ts';
import { ignore } from '../base/errors.ts';
import type { BodyReceiver, Memory } from '../bodies/buffered-body.ts';
import { BROKEN_OFF, type Hint, preambleHint } from '../core/hint.ts';
import type { Reason } from '../core/reasons.ts';
import { Head } from '../core/request-head.ts';
import { MessageParser } from '../wire/parser.ts';
import { AnswerProgress, connectionKey } from '../wire/socket-progress.ts';
import { MessageWriter } from '../wire/writer.ts';
import { networkOf } from './client-address.ts';
import { Exchange } from './client-exchange.ts';
import { FollowingBytes } from './following-bytes.ts';
import type { Listener } from './listener.ts';
import { RequestCopy } from './request-copies.ts';

/** `rest`: the kernel has the answer, but a short remainder of the request's body is still to come. */
export type State = 'silent' | 'tls' | 'head' | 'request' | 'rest' | 'idle' | 'tunnel' | 'closing' | 'closed';

/** Bytes. A refused body of which at most this much remains is read and dropped; a longer one ends the connection. */
const DROPPED_BODY = 64 * 1024;
/** Milliseconds in which the rest of a refused body must come. */
const REST_MS = 2000;
/** Limits on what a client sends after the last answer: bytes, milliseconds in all, milliseconds of silence. */
const DROPPED_BYTES = 32 * 1024 * 1024;
const DROPPING_MS = 2000;
export const SILENCE_MS = 1000;

type ListenerPart = Pick<
  Listener,
  'limits' | 'handler' | 'budget' | 'copies' | 'closesAll' | 'cutting' | 'onClosing' | 'onClosed'
>;

export class Connection {
  place = -1;
  /** Written by the reply alone, or a tunnel; paused and resumed by receivers of bodies, FollowingBytes and `close`. */
  stream: Socket;
  writer: MessageWriter;
  encrypted = false;
  readonly address: string;
  /** The network that counts as one client when connections must make room. */
  readonly network: string;
  /** Identifies the connection by its two ends. */
  readonly key: string;
  state: State = 'silent';
  /** Milliseconds on the monotonic clock, as are `since` (when the current state began) and `deadline`. */
  readonly openedAt = performance.now();
  since = this.openedAt;
  deadline: number;
  /** The request in progress. Written only here. */
  exchange: Exchange | null = null;
  readonly progress = new AnswerProgress(this);
  /** True until the first request begins. */
  isNewcomer = true;
  readonly #listener: ListenerPart;
  /** The socket beneath TLS, or `stream` itself. */
  readonly #socket: Socket;
  #parser: MessageParser | null = null;
  readonly #following: FollowingBytes;
  #dropped = 0;
  /** A copy of the request in progress, as it came; null if none is made. */
  #copy: RequestCopy | null = null;

  constructor(socket: Socket, listener: ListenerPart) {
    this.stream = this.#socket = socket;
    this.writer = new MessageWriter(socket);
    this.#listener = listener;
    this.#following = new FollowingBytes(this, listener);
    this.address = (socket.remoteAddress ?? '').replace(/^::ffff:/, ''); // how a dual-stack socket names IPv4
    this.network = networkOf(this.address);
    this.key = connectionKey(socket);
    this.deadline = this.openedAt + listener.limits.headersTimeout;
    socket.on('error', ignore); // 'close' follows
    socket.once('close', this.#onClose);
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
      this.writer = new MessageWriter(stream);
      this.encrypted = true;
      stream.on('error', ignore);
      stream.once('close', this.#onClose);
      this.#enter('silent', this.#listener.limits.headersTimeout);
    }
    stream.on('data', this.#onData);
    stream.on('end', this.#onEnd);
  }

  // --- bytes

  readonly #onData = (bytes: Buffer): void => {
    this.#readKept();
    let memory: Memory = 'free';
    if (this.state === 'closing') this.#drop(bytes.length);
    else if (this.#parser?.state === 'ended') this.#following.keep(bytes);
    else memory = this.#read(bytes);
    if (memory === 'free') free(bytes);
  };

  /** Parses the kept bytes, which come first, as the next request: `#next` gives that a turn of its own. */
  readonly #readKept = (): void => {
    if (this.state !== 'head' || this.#following.state === 'none') return;
    const kept = this.#following.drain();
    this.#beginCopy();
    if (kept === 'dropped') this.close();
    else if (this.#read(kept) === 'free') free(kept);
  };

  #read(bytes: Buffer): Memory {
    this.#parser ??= new MessageParser('request', this.#listener.limits.maxHeader);
    const parser = this.#parser;
    let memory: Memory = 'free';
    let at = 0;
    while (at < bytes.length && (parser.state === 'head' || parser.state === 'body')) {
      at = this.#parse(parser, bytes, at);
      // Checked before the request is answered: the answer must say `close` if too many bytes follow.
      if (bytes.length - at > parser.remaining) this.#following.foresee(bytes.length - at - parser.remaining);
      if (!this.#beginOnceWhole(parser, bytes)) continue;
      // `onRequest` may have set a receiver: it gets chunks that came with the head; a body with a length, next round.
      if (this.#giveBody(parser) === 'in use') memory = 'in use';
      // The kernel has the answer already, and now the rest of the body has come, or broken off.
      if (this.state === 'rest' && this.#parser?.state === 'ended') this.#next();
      else if (this.state === 'rest' && this.#parser?.state === 'failed') this.close();
      if (this.state === 'closing' || this.state === 'closed') return memory;
    }
    if (at < bytes.length && parser.state === 'ended') this.#following.keep(bytes.subarray(at));
    return memory;
  }

  /** Has the parser read from `at` on; while requests are captured, copies what it takes. */
  #parse(parser: MessageParser, bytes: Buffer, at: number): number {
    if (this.state === 'silent' || this.state === 'idle') {
      this.#enter('head', this.#listener.limits.headersTimeout);
      this.#beginCopy();
    }
    // Nothing is copied of a body that comes after its answer has begun.
    const isCopied = this.state === 'head' || this.exchange?.reply.phase === 'waiting';
    if (this.#copy === null || !isCopied) return parser.read(bytes, at);
    const raw = Buffer.from(bytes.subarray(at)); // the parser removes chunk framing in place
    const end = parser.read(bytes, at);
    this.#copy.add(parser.state === 'failed' ? raw : raw.subarray(0, end - at));
    return end;
  }

  #beginCopy(): void {
    const { copies } = this.#listener;
    this.#copy = copies && new RequestCopy(copies);
  }

  /** Begins the request once its head is whole. True if it may get its body. `bytes`: the last read. */
  #beginOnceWhole(parser: MessageParser, bytes: Buffer): boolean {
    if (this.state !== 'head') return true;
    if (parser.hasHead) {
      const exchange = this.#begin(new Head(parser, parser.lines), parser.lines);
      this.#listener.handler.onRequest(exchange);
    } else if (parser.failure !== null) {
      const hint = this.isNewcomer ? preambleHint(bytes) : null;
      this.#refuseHead(parser.failure === 'too_large' ? 'header_too_large' : 'bad_request', hint);
    }
    return parser.hasHead;
  }

  #begin(head: Head, lines: readonly string[]): Exchange {
    this.#enter('request', Number.POSITIVE_INFINITY);
    const exchange = new Exchange(head, lines, this);
    this.exchange = exchange;
    exchange.copy = this.#copy;
    this.isNewcomer = false;
    this.progress.begin(this.since);
    return exchange;
  }

  /** Passes the receiver the part of the body that was in the last read. */
  #giveBody(parser: MessageParser): Memory {
    const { exchange } = this;
    if (exchange === null || exchange.receiver === null) return 'free';
    const { receiver } = exchange;
    exchange.bodyBytes += parser.piece?.length ?? 0;
    const memory = receiver.receive(parser);
    if (parser.state === 'failed') receiver.fail('bad_request');
    return memory;
  }

  #drop(bytes: number): void {
    this.#dropped += bytes;
    this.deadline = Math.min(this.since + DROPPING_MS, performance.now() + SILENCE_MS);
    if (this.#dropped > DROPPED_BYTES) this.destroy();
  }

  /** Refuses bytes that never became a request: they are answered, and counted as a request. */
  #refuseHead(reason: Reason, hint: Hint | null = null): void {
    const exchange = this.#begin(this.#parser?.isHeadRequest ? HEAD_ALONE : NO_HEAD, []);
    this.#following.drop();
    exchange.hint = hint;
    exchange.refuse(reason);
  }

  // --- for the exchange, its reply and the receiver of the body

  /** True if the connection must end with this answer. The connection's age is taken at the request's head. */
  mustClose(): boolean {
    const { closesAll, limits } = this.#listener;
    return this.#isLast || closesAll || this.since - this.openedAt >= limits.connectionAge;
  }

  /** True if no request can follow on the connection. */
  get #isLast(): boolean {
    return this.#parser?.keepAlive !== true || this.#following.state === 'dropped' || this.stream.readableEnded;
  }

  /** How much of the request's body has not come. `short`: the rest is read and dropped, so the connection may stay. */
  remainingBody(): 'nothing' | 'short' | 'long' {
    const parser = this.#parser;
    if (parser === null || parser.state === 'ended') return 'nothing';
    return parser.state === 'body' && parser.remaining <= DROPPED_BODY ? 'short' : 'long';
  }

  /** Called once the kernel has the whole answer, or the connection is gone. `close`: the client was told `close`. */
  replied(said: 'close' | 'persist'): void {
    if (this.state !== 'request') return;
    const now = performance.now();
    this.#endExchange('answered', now);
    // `mustClose()` is not asked: a client that was not told `close` may have sent its next request, even in a drain.
    if (said === 'close' || this.#isLast || this.#parser?.state === 'failed') this.close();
    else if (this.#parser?.state === 'ended') this.#next(now);
    else this.#enter('rest', REST_MS, now);
  }

  get mayHaveAnswer(): boolean {
    return this.state === 'rest' || this.exchange?.reply.allowsNext === true;
  }

  /** Hands the stream to a tunnel. Returns the bytes that came after its request, unless some were dropped. */
  handOver(): Buffer | 'dropped' {
    const early = this.#following.drain();
    if (early === 'dropped') return early;
    this.exchange?.reply.becomeTunnel();
    this.#enter('tunnel', Number.POSITIVE_INFINITY);
    this.stream.off('data', this.#onData);
    this.stream.off('end', this.#onEnd);
    return early;
  }

  // --- for the listener

  /** Enforces the deadlines of the connection, of the body, and of an answer that the client does not read. */
  tick(now: number): void {
    if (now >= this.deadline) return this.#expire();
    if (this.state !== 'request' || this.exchange === null) return;
    const { stallTimeout } = this.exchange;
    const receiver = this.awaiting;
    if (receiver !== null && now >= receiver.deadline) receiver.fail('body_timeout');
    else if (stallTimeout > 0 && this.progress.unreadFor(now) >= stallTimeout) this.destroy();
  }

  /** The receiver of a body that is not complete yet; else null. */
  get awaiting(): BodyReceiver | null {
    return this.#parser?.state === 'body' ? (this.exchange?.receiver ?? null) : null;
  }

  /** Ends in order: sends the rest, half-closes, drops what still comes up to a limit, destroys (RFC 9112 9.6). */
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

  /** Ends the connection at once, by a reset if an unread answer would otherwise stay in the kernel for minutes. */
  destroy(): void {
    const { mayBeUnread, inKernel } = this.progress;
    if (mayBeUnread && (inKernel > 0 || this.stream.writableLength > 0)) this.reset();
    else this.stream.destroy();
  }

  /**
   * Ends the connection with a reset, so that the kernel drops what it holds. While a half-close is under way, libuv
   * refuses to reset (libuv/libuv#2425), and the socket would never close, so it is destroyed instead.
   */
  reset(): void {
    const { writableEnded, writableFinished } = this.stream;
    if (writableEnded && !writableFinished) this.stream.destroy();
    else this.#socket.resetAndDestroy();
  }

  /** Refuses a head or a body that is not complete yet. */
  refuseRest(hint: Hint): void {
    if (this.state === 'head') return this.#refuseHead('header_timeout', hint);
    if (this.awaiting === null || this.exchange === null) return;
    this.exchange.hint = hint;
    this.awaiting.fail('body_timeout');
  }

  // --- states

  #enter(state: State, milliseconds: number, now = performance.now()): void {
    this.state = state;
    this.since = now;
    this.deadline = now + milliseconds;
  }

  #expire(): void {
    if (this.state === 'head') this.#refuseHead('header_timeout');
    else if (this.state === 'idle' || this.state === 'rest') this.close();
    else if (this.state === 'request') {
      // FollowingBytes set the deadline: the client sends but reads nothing. We drop its bytes; this answer is last.
      this.deadline = Number.POSITIVE_INFINITY;
      this.#following.drop();
    } else if (this.state === 'closing' && this.progress.mayBeUnread)
      this.deadline = performance.now() + SILENCE_MS; // unread-answers.ts finds out whether the client still reads
    else this.destroy();
  }

  /** Goes on to the next request, or closes if some of its bytes were dropped. The parser is reset only here. */
  #next(now = performance.now()): void {
    if (this.#following.state === 'dropped') return this.close();
    this.#parser?.next();
    if (this.#following.state === 'none') return this.#enter('idle', this.#listener.limits.keepAlive, now);
    this.#enter('head', this.#listener.limits.headersTimeout, now);
    // The next request gets its own turn of the event loop: a pipelining client must not keep the others waiting.
    setImmediate(this.#readKept);
  }

  // --- ends

  #endExchange(how: 'answered' | 'departed', now = performance.now()): void {
    const { exchange } = this;
    if (exchange === null) return;
    if (how === 'departed') exchange.clientDeparted(this.#listener.cutting ? 'stop' : 'client');
    this.exchange = null;
    exchange.durationMs = now - exchange.startedAt;
    this.#listener.handler.onRequestEnd(exchange);
    this.#copy?.release();
    this.#copy = null;
  }

  readonly #onEnd = (): void => {
    this.#readKept();
    if (this.state === 'request' && this.exchange !== null) this.#onEndWithinRequest(this.exchange);
    else if (this.state === 'head') this.#refuseHead('bad_request', BROKEN_OFF);
    else this.close();
  };

  /** A client that half-closes before its answer counts as departed; but if it cut its body short, it gets a 400. */
  #onEndWithinRequest(exchange: Exchange): void {
    const { reply, receiver } = exchange;
    if (reply.phase === 'ended') return;
    if (receiver !== null && this.#parser?.state !== 'ended') {
      exchange.hint = BROKEN_OFF;
      return receiver.fail('bad_request'); // which is answered, or cuts an answer that has begun
    }
    this.#endExchange('departed');
    if (this.state !== 'request') return;
    // Earlier answers may lie unread in the kernel; no one will read them now.
    if (this.progress.mayBeUnread) this.reset();
    else this.destroy();
  }

  readonly #onClose = (): void => {
    // A head that has begun counts as a request, even if it was never completed.
    if (this.state === 'head') this.#begin(NO_HEAD, []);
    this.#endExchange('departed');
    this.state = 'closed';
    this.#following.drop();
    this.#parser?.free();
    this.#parser = null;
    this.#listener.onClosed(this);
  };
}

const NO_HEAD = new Head({ method: '', target: '', version: '1.1' }, []);
/** The head of a request of which only the method is known. */
const HEAD_ALONE = new Head({ method: 'HEAD', target: '', version: '1.1' }, []);
