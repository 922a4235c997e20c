// A request's body that goes to the upstream as it comes: unverified, in order, with backpressure on both sides, and
// never buffered whole. Verified bodies never stream.
import { Buffer } from 'node:buffer';
import { JoinedBytes, NO_BYTES } from '../base/bytes.ts';
import { BodyRate, type ByteBudget, SLOT_RATE, type UnfinishedBody } from '../bodies/budget.ts';
import type { BodyPart, BodyReceiver, Memory } from '../bodies/buffered-body.ts';
import { OVERLOAD_HINTS } from '../core/hint.ts';
import { NO_TRAILERS } from '../wire/writer.ts';
import { type ForwardOptions, type FromClient, overloaded } from './contract.ts';
import type { UpstreamConnection } from './upstream-connection.ts';
import type { UpstreamExchange } from './upstream-exchange.ts';

export type BodyExchange = Pick<UpstreamExchange, 'startedAt' | 'giveUp' | 'written' | 'askForSlot'>;

/** Bytes. While slots are scarce, a request asks for one only once this much of its body has arrived, or all of it. */
const ENOUGH_FOR_SLOT = 16 * 1024;

export class StreamedBody implements BodyReceiver {
  readonly #requester: FromClient;
  readonly #exchange: BodyExchange;
  /** The longest time that may pass between two pieces, in milliseconds; 0 is off. */
  readonly #idleTimeout: number;
  readonly #buffered: WaitingBytes;
  readonly #rate: BodyRate;
  /** True once the last piece has come. */
  whole = false;
  #trailers: readonly string[] = NO_TRAILERS;
  #lastPieceAt: number;
  #paused = false;
  /** Asks for a slot after a while, however little has come: some clients send the rest only after the answer. */
  #slotTimer: NodeJS.Timeout | undefined;
  /** Null until the request has a slot and a connection, and after its end. */
  #connection: UpstreamConnection | null = null;

  constructor(requester: FromClient, exchange: BodyExchange, { budget, idleTimeout }: ForwardOptions) {
    this.#requester = requester;
    this.#exchange = exchange;
    this.#idleTimeout = idleTimeout;
    this.#buffered = new WaitingBytes(budget, () => exchange.giveUp(overloaded('bytes')));
    this.#rate = new BodyRate(exchange.startedAt);
    this.#lastPieceAt = exchange.startedAt;
    requester.receiver = this;
  }

  /** Used while slots are scarce: asks for one once all or enough of the body has come, or after `milliseconds`. */
  askWithin(milliseconds: number): void {
    this.#requester.reply.continue();
    this.#slotTimer = setTimeout(() => this.#ask(), milliseconds);
  }

  /** Sends the bytes that have come, behind the head that the caller has written, and later ones as they come. */
  sendOn(connection: UpstreamConnection): void {
    this.#connection = connection;
    this.#lastPieceAt = performance.now();
    connection.writer.data(this.#buffered.drain());
    if (this.whole) return connection.writer.end(this.#trailers, this.#exchange);
    connection.writer.flush();
    connection.socket.on('drain', () => this.#resume()); // no other request follows on the socket
    this.#resume();
  }

  /** Lets the client send again, once the upstream has caught up. */
  #resume(): void {
    if (!this.#paused || this.#connection?.socket.writableNeedDrain === true) return;
    this.#paused = false;
    this.#lastPieceAt = performance.now();
    this.#requester.clientConnection.stream.resume();
  }

  /** True if the request's slot is kept waiting by a client that sends too slowly. */
  isSlow(now: number): boolean {
    return !this.whole && !this.#paused && this.#rate.rate(now) < SLOT_RATE;
  }

  /** Called when the request has ended: the rest of the body is dropped. */
  stop(): void {
    clearTimeout(this.#slotTimer);
    this.#slotTimer = undefined;
    this.#connection = null;
    this.#buffered.drain();
    if (this.#requester.receiver === this) this.#requester.receiver = null;
    this.#resume();
  }

  // --- for the client's connection, from which the body comes

  get deadline(): number {
    const awaitsClient = this.#idleTimeout > 0 && !this.#paused && !this.whole;
    return awaitsClient ? this.#lastPieceAt + this.#idleTimeout : Number.POSITIVE_INFINITY;
  }

  rate(now: number): number {
    return this.#paused ? Number.POSITIVE_INFINITY : this.#rate.rate(now);
  }

  receive({ piece, state, trailers }: BodyPart): Memory {
    this.whole = state === 'ended';
    this.#trailers = trailers;
    const connection = this.#connection; // if null, and this piece leads to a connection, `sendOn` sends all bytes
    if (piece !== null) this.#add(piece);
    if (this.whole && connection !== null) connection.writer.end(trailers, this.#exchange);
    else if (this.whole && this.#slotTimer !== undefined) this.#ask();
    else connection?.writer.flush();
    if (connection?.socket.writableNeedDrain) this.#pause();
    return 'free';
  }

  fail(reason: 'bad_request' | 'body_timeout'): void {
    this.#exchange.giveUp({ side: 'client', reason, hint: reason === 'body_timeout' ? OVERLOAD_HINTS.paused : null });
  }

  #ask(): void {
    clearTimeout(this.#slotTimer);
    this.#slotTimer = undefined;
    this.#exchange.askForSlot();
  }

  #add(piece: Buffer): void {
    this.#lastPieceAt = performance.now();
    this.#rate.count(piece.length, this.#lastPieceAt);
    // A copy, since a slice would keep the whole read in memory: six times as many bytes if each chunk has one.
    if (this.#connection !== null) this.#connection.writer.data(Buffer.from(piece));
    else this.#buffered.add(piece);
    if (this.#buffered.buffered < ENOUGH_FOR_SLOT) return;
    this.#pause();
    if (this.#slotTimer !== undefined) this.#ask();
  }

  #pause(): void {
    if (this.whole || this.#paused) return;
    this.#paused = true;
    this.#requester.clientConnection.stream.pause();
  }
}

/** A copy of the bytes that wait for the upstream: a slice would keep the whole read in memory. */
class WaitingBytes implements UnfinishedBody {
  place = -1;
  buffered = 0;
  readonly #budget: ByteBudget;
  readonly #onEvicted: () => void;
  #joined: JoinedBytes | null = null;

  constructor(budget: ByteBudget, onEvicted: () => void) {
    this.#budget = budget;
    this.#onEvicted = onEvicted;
    budget.unfinished.add(this);
  }

  /** Always 0, so that these bytes are evicted before any other body: they wait for the upstream, not the client. */
  rate(): number {
    return 0;
  }

  fail(): void {
    this.drain();
    this.#onEvicted();
  }

  add(piece: Buffer): void {
    if (!this.#budget.reserve(piece.length, this)) return this.fail();
    this.#joined ??= new JoinedBytes(0);
    this.#joined.add(piece);
    for (const bytes of [this.buffered, piece.length]) this.#budget.release(bytes); // both are one buffer now
    this.buffered = this.#joined.length;
    this.#budget.count(this.buffered);
  }

  /** Returns all bytes and releases their memory from the budget. */
  drain(): Buffer {
    const bytes = this.#joined?.bytes ?? NO_BYTES;
    this.#budget.unfinished.delete(this);
    this.#budget.release(this.buffered);
    this.#joined = null;
    this.buffered = 0;
    return bytes;
  }
}
