// Reads a verified request's body whole into one growing buffer, within its limits. An array of chunks would be smaller code
// and is an attack: a million one-byte chunks are 247 MB of heap that way and 6 MB this way. What the budget counts and what
// the process holds are the same bytes.
import { Buffer } from 'node:buffer';
import { free } from '../wire/sockets.ts';
import type { BodyFailure, BodyReceiver, Taken } from './body.ts';
import type { ByteBudget, UnfinishedBody } from './budget.ts';
import { SMALL_BODY } from './budget.ts';
import { Pace } from './pace.ts';

export type BodyResult = { readonly body: Buffer } | { readonly failure: BodyFailure };

export interface BufferedBodyOptions {
  /** Bytes. */
  readonly maxBody: number;
  /** The declared length in bytes; null for chunked. */
  readonly declared: number | null;
  /** Milliseconds on the same clock as `now`, both. */
  readonly startedAt: number;
  readonly deadline: number;
  readonly now: () => number;
}

/** What `done` is told; called exactly once, maybe at once. */
type Done = (result: BodyResult) => void;

const EMPTY = Buffer.alloc(0);
/** Bytes that a body may keep alive beside its own, such as its head's: a copy costs more than these. */
const BESIDE = 4 * 1024;
/** Bytes. Memory of a smaller buffer is left to the garbage collector. */
const WORTH_FREEING = 16 * 1024;

export class BufferedBody implements BodyReceiver, UnfinishedBody {
  place = -1;
  readonly #budget: ByteBudget;
  readonly #options: BufferedBodyOptions;
  readonly #done: Done;
  #buffer: Buffer = EMPTY;
  /** False for a view into the read that brought it: that memory is not ours to free. */
  #ours = false;
  #length = 0;
  #ended = false;
  /** Bytes taken from the budget, split by the size class that they were taken for. */
  #heldSmall = 0;
  #heldLarge = 0;
  readonly #pace: Pace;

  constructor(budget: ByteBudget, options: BufferedBodyOptions, done: Done) {
    this.#budget = budget;
    this.#options = options;
    this.#done = done;
    this.#pace = new Pace(options.startedAt);
    budget.enter(this);
  }

  /** Bytes of the body that have come. */
  get received(): number {
    return this.#length;
  }

  get held(): number {
    return this.#heldSmall + this.#heldLarge;
  }

  get deadline(): number {
    return this.#options.deadline;
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
    if (last !== null) {
      if (!this.#accepts(last, pieces)) return 'copied';
      // The usual webhook is whole in the read that brought its head, and no byte of it is copied.
      if (this.#length === 0 && last.buffer.byteLength - last.length <= BESIDE) return this.#keep(last);
      if (!this.#append(last)) return 'copied';
    }
    this.#finish();
    return 'copied';
  }

  fail(failure: BodyFailure): void {
    if (this.#ended) return;
    this.#over();
    this.discard();
    this.#done({ failure });
  }

  evict(): void {
    this.fail('overloaded');
  }

  /** Gives the bytes back. To be called once nobody needs the body any more; does nothing the second time. */
  discard(): void {
    if (this.#ours) free(this.#buffer, WORTH_FREEING);
    this.forget();
  }

  /** As `discard`, where a socket may still be writing the bytes: to free them now would send what comes to lie there. */
  forget(): void {
    this.#giveBack(this.held);
    this.#buffer = EMPTY;
  }

  #accepts(piece: Buffer, pieces: number): boolean {
    if (this.#ended) return false;
    const total = this.#length + piece.length;
    this.#pace.count(piece.length, this.#options.now());
    if (total > this.#options.maxBody) this.fail('body_too_large');
    // Chunks far smaller than any network sends cost a microsecond each: nobody honest sends a body so.
    else if (pieces > 1024 + total / 16) this.fail('bad_request');
    return !this.#ended;
  }

  #keep(whole: Buffer): Taken {
    if (!this.#take(whole.buffer.byteLength)) {
      this.fail('overloaded');
      return 'copied';
    }
    this.#buffer = whole;
    this.#length = whole.length;
    this.#finish();
    return 'kept';
  }

  #append(piece: Buffer): boolean {
    const total = this.#length + piece.length;
    if (total > this.#buffer.length && !this.#grow(total)) {
      this.fail('overloaded');
      return false;
    }
    piece.copy(this.#buffer, this.#length);
    this.#length = total;
    return true;
  }

  #grow(total: number): boolean {
    const most = this.#options.declared ?? this.#options.maxBody;
    const capacity = Math.max(total, Math.min(most, total * 2));
    if (!this.#take(capacity)) return false; // old and new together, while both exist
    const next = Buffer.allocUnsafeSlow(capacity);
    this.#buffer.copy(next, 0, 0, this.#length);
    this.#giveBack(this.held - capacity);
    if (this.#ours) free(this.#buffer, WORTH_FREEING);
    this.#buffer = next;
    this.#ours = true;
    return true;
  }

  #finish(): void {
    this.#over();
    this.#done({ body: this.#length < this.#buffer.length ? this.#buffer.subarray(0, this.#length) : this.#buffer });
  }

  #over(): void {
    this.#ended = true;
    this.#budget.leave(this);
  }

  /** `bytes`: of a buffer of this size. */
  #take(bytes: number): boolean {
    if (!this.#budget.take(bytes, { total: bytes, now: this.#options.now(), body: this })) return false;
    if (bytes > SMALL_BODY) this.#heldLarge += bytes;
    else this.#heldSmall += bytes;
    return true;
  }

  /** The old buffer's share: it was taken first, so small before large. */
  #giveBack(bytes: number): void {
    const small = Math.min(bytes, this.#heldSmall);
    const large = bytes - small;
    this.#budget.release(small, 0);
    this.#budget.release(large, SMALL_BODY + 1);
    this.#heldSmall -= small;
    this.#heldLarge -= large;
  }
}
