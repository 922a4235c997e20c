// Request bodies in memory. The byte budget counts exactly the bytes that they hold.
import { Buffer } from 'node:buffer';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { free } from '../wire/sockets.ts';
import { type ByteBudget, Pace, SMALL_BODY, type UnfinishedBody } from './budget.ts';
import type { BodyFailure, BodyReceiver, Exchange, Taken } from './exchange.ts';

export type BodyResult = { readonly body: Buffer } | { readonly failure: BodyFailure };

export interface BufferedBodyOptions {
  readonly budget: ByteBudget;
  /** Bytes. */
  readonly maxBody: number;
  /** The declared length in bytes; null for chunked. */
  readonly declared: number | null;
  /** Milliseconds on the monotonic clock, both. */
  readonly startedAt: number;
  readonly deadline: number;
}

/**
 * The queue of large bodies: each is verified in its own turn of the event loop. Node accepts one connection per turn,
 * so with the HMACs of 200 bodies of 1 MiB in one turn a newcomer waited 6 s.
 */
let lastTurn: Promise<void> = Promise.resolve();

/**
 * Reads the body of an exchange and calls `done` at its end. A large body first waits for its own turn, since its HMAC
 * takes long; it is dropped if the client leaves meanwhile.
 */
export function readWhole(
  exchange: Exchange,
  options: BufferedBodyOptions,
  done: (result: BodyResult) => void,
): BufferedBody {
  const body = new BufferedBody(options, (result) => {
    exchange.onLeft(null);
    exchange.receiver = null;
    exchange.bodyBytes = body.received;
    if ('failure' in result || body.received <= SMALL_BODY) return done(result);
    lastTurn = lastTurn.then(nextTurn).then(() => {
      if (exchange.left) body.discard();
      else done(result);
    });
  });
  exchange.receiver = body;
  exchange.onLeft(() => body.fail('client_closed'));
  exchange.reply.continue();
  return body;
}

const EMPTY = Buffer.alloc(0);
/** Bytes besides its own that a body may keep alive, such as its head: a copy would cost more. */
const MAX_EXTRA = 4 * 1024;
/** The most chunks of a body, besides one per 16 bytes: some encoders send one for each word. */
const MAX_TINY_CHUNKS = 8 * 1024;
/** Bytes. Memory of a smaller buffer is left to the garbage collector. */
const WORTH_FREEING = 16 * 1024;

/**
 * A body to verify, read whole into one growing buffer. An array of chunks would be open to attack: a million one-byte
 * chunks would take 247 MB of heap instead of 6 MB.
 */
export class BufferedBody implements BodyReceiver, UnfinishedBody {
  place = -1;
  readonly deadline: number;
  /** Bytes of the body so far. */
  received = 0;
  /** Bytes of memory that the body holds, or keeps alive by a view. */
  held = 0;
  readonly #options: BufferedBodyOptions;
  readonly #done: (result: BodyResult) => void;
  readonly #pace: Pace;
  #buffer: Buffer = EMPTY;
  /** False for a view into a read of the connection: the garbage collector frees it. */
  #ours = false;
  #ended = false;

  /** `done` is called exactly once. */
  constructor(options: BufferedBodyOptions, done: (result: BodyResult) => void) {
    this.deadline = options.deadline;
    this.#options = options;
    this.#done = done;
    this.#pace = new Pace(options.startedAt);
    options.budget.unfinished.add(this);
  }

  rate(now: number): number {
    return this.#pace.rate(now);
  }

  piece(piece: Buffer, pieces: number): Taken {
    if (this.#accepts(piece, pieces)) this.#append(piece);
    return 'copied';
  }

  end(last: Buffer | null, _trailers: readonly string[], pieces: number): Taken {
    if (this.#ended) return 'copied';
    if (last === null) return this.#finish('copied');
    if (!this.#accepts(last, pieces)) return 'copied';
    // A typical webhook arrives in the same read as its head; none of its bytes are copied.
    if (this.received === 0 && last.buffer.byteLength - last.length <= MAX_EXTRA) {
      if (!this.#take(last.buffer.byteLength)) return 'copied';
      this.#buffer = last;
      this.received = last.length;
      return this.#finish('kept');
    }
    return this.#append(last) ? this.#finish('copied') : 'copied';
  }

  fail(failure: BodyFailure): void {
    if (this.#ended) return;
    this.#leave();
    this.discard();
    this.#done({ failure });
  }

  /** Frees the memory once nobody needs the body. A second call does nothing. */
  discard(): void {
    if (this.#ours) free(this.#buffer, WORTH_FREEING);
    this.forget();
  }

  /** As `discard`, but leaves the memory alone: a socket may still be writing from it. */
  forget(): void {
    this.#options.budget.release(this.held);
    this.held = 0;
    this.#buffer = EMPTY;
  }

  #accepts(piece: Buffer, pieces: number): boolean {
    if (this.#ended) return false;
    const total = this.received + piece.length;
    this.#pace.count(piece.length, performance.now());
    if (total > this.#options.maxBody) this.fail('body_too_large');
    // Each chunk costs a microsecond.
    else if (pieces > MAX_TINY_CHUNKS + total / 16) this.fail('bad_request');
    return !this.#ended;
  }

  #append(piece: Buffer): boolean {
    const total = this.received + piece.length;
    if (total > this.#buffer.length && !this.#grow(total)) return false;
    piece.copy(this.#buffer, this.received);
    this.received = total;
    return true;
  }

  #grow(total: number): boolean {
    const most = this.#options.declared ?? this.#options.maxBody;
    const capacity = Math.max(total, Math.min(most, total * 2));
    const before = this.held;
    if (!this.#take(capacity)) return false; // both buffers count while both exist
    const next = Buffer.allocUnsafeSlow(capacity);
    this.#buffer.copy(next, 0, 0, this.received);
    this.#options.budget.release(before);
    if (this.#ours) free(this.#buffer, WORTH_FREEING);
    this.#buffer = next;
    this.#ours = true;
    return true;
  }

  /** False: the budget has no room, and the body has failed. */
  #take(bytes: number): boolean {
    if (this.#options.budget.take(bytes, this)) this.held = bytes;
    else this.fail('overloaded');
    return !this.#ended;
  }

  #finish(taken: Taken): Taken {
    this.#leave();
    this.#done({ body: this.received < this.#buffer.length ? this.#buffer.subarray(0, this.received) : this.#buffer });
    return taken;
  }

  #leave(): void {
    this.#ended = true;
    this.#options.budget.unfinished.delete(this);
  }
}

/** Pieces of a streaming body that wait for the upstream, as copies: a slice would keep its whole read alive. */
export class HeldPieces implements UnfinishedBody {
  place = -1;
  held = 0;
  readonly #budget: ByteBudget;
  readonly #onEvicted: () => void;
  #pieces: Buffer[] = [];

  constructor(budget: ByteBudget, onEvicted: () => void) {
    this.#budget = budget;
    this.#onEvicted = onEvicted;
    budget.unfinished.add(this);
  }

  /** Always 0, so that it is evicted before any other body: it waits for the upstream, not for the client. */
  rate(): number {
    return 0;
  }

  fail(): void {
    this.take();
    this.#onEvicted();
  }

  /** False: the budget has no room for the piece. */
  add(piece: Buffer): boolean {
    if (!this.#budget.take(piece.length, this)) return false;
    const copy = Buffer.allocUnsafeSlow(piece.length);
    piece.copy(copy);
    this.#pieces.push(copy);
    this.held += piece.length;
    return true;
  }

  /** Returns all pieces in order and releases their memory from the budget. */
  take(): Buffer[] {
    const pieces = this.#pieces;
    this.#budget.unfinished.delete(this);
    for (const { length } of pieces) this.#budget.release(length);
    this.#pieces = [];
    this.held = 0;
    return pieces;
  }
}
