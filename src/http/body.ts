// Reads a verified request's body whole into one growing buffer, within its limits. An array of chunks would be smaller
// code and is an attack: a million one-byte chunks are 247 MB of heap that way and 6 MB this way.
import { Buffer } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { ByteBudget, UnfinishedBody } from './budget.ts';
import { SMALL_BODY } from './budget.ts';
import { free, freeOnceSent, freeSoon, isLarge, watchSends } from './freed.ts';
import { Pace } from './pace.ts';

/** Why a body did not come whole. */
export type BodyFailure = 'bad_request' | 'body_too_large' | 'body_timeout' | 'overloaded' | 'client_closed';

export type BodyResult = { readonly body: Buffer } | { readonly failure: BodyFailure };

export interface BodyOptions {
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

export class BodyReader implements UnfinishedBody {
  place = -1;
  readonly #request: IncomingMessage;
  readonly #budget: ByteBudget;
  readonly #options: BodyOptions;
  readonly #done: Done;
  #buffer: Buffer = EMPTY;
  /** False for node's own first chunk, which is not ours to free. */
  #ours = false;
  #length = 0;
  #chunks = 0;
  #ended = false;
  /** What was taken from the budget, split by the size class that it was taken for. */
  #heldSmall = 0;
  #heldLarge = 0;
  readonly #pace: Pace;

  constructor(request: IncomingMessage, budget: ByteBudget, options: BodyOptions, done: Done) {
    this.#request = request;
    this.#budget = budget;
    this.#options = options;
    this.#done = done;
    this.#pace = new Pace(options.startedAt);
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

  start(): void {
    this.#budget.enter(this);
    this.#request.on('data', this.#onData);
    this.#request.on('end', this.#onEnd);
  }

  /** Ends the reading from outside: a timeout, a broken parser, a client that left. Does nothing after the end. */
  fail(failure: BodyFailure): void {
    if (this.#ended) return;
    this.#over();
    // What still comes is for somebody else to read. After the end nothing comes, and its listeners may stay.
    this.#request.off('data', this.#onData);
    this.#request.off('end', this.#onEnd);
    this.discard();
    this.#done({ failure });
  }

  evict(): void {
    this.fail('overloaded');
  }

  expire(): void {
    this.fail('body_timeout');
  }

  /** As `release`, for a body that was given to nobody: its memory is free at once. */
  discard(): void {
    this.#giveAllBack();
    if (this.#ours) free(this.#buffer);
    this.#buffer = EMPTY;
  }

  /** Gives the body's bytes back to the budget. To be called once the upstream no longer needs it. */
  release(): void {
    this.#giveAllBack();
    if (this.#ours) freeOnceSent(this.#buffer);
    this.#buffer = EMPTY;
  }

  #giveAllBack(): void {
    this.#budget.release(this.#heldSmall, 0);
    this.#budget.release(this.#heldLarge, SMALL_BODY + 1);
    this.#heldSmall = 0;
    this.#heldLarge = 0;
  }

  recentRate(now: number): number {
    return this.#pace.rate(now);
  }

  readonly #onData = (chunk: Buffer): void => {
    const total = this.#length + chunk.length;
    const now = this.#options.now();
    this.#pace.count(chunk.length, now);
    if (total > this.#options.maxBody) this.fail('body_too_large');
    // Chunks far smaller than any network sends cost a microsecond each: nobody honest sends a body so.
    else if (++this.#chunks > 1024 + total / 16) this.fail('bad_request');
    else if (this.#append(chunk, total, now)) this.#length = total;
    else this.fail('overloaded');
  };

  readonly #onEnd = (): void => {
    if (this.#ended) return;
    // A parser that broke off also ends the stream: only a complete message is a body.
    if (!this.#request.complete) {
      this.fail('bad_request');
      return;
    }
    this.#over();
    if (this.#length < this.#buffer.length) this.#buffer = this.#buffer.subarray(0, this.#length);
    this.#done({ body: this.#buffer });
  };

  #over(): void {
    this.#ended = true;
    this.#budget.leave(this);
  }

  #append(chunk: Buffer, total: number, now: number): boolean {
    if (this.#length === 0) {
      if (!this.#take(chunk.length, chunk.length, now)) return false;
      this.#buffer = chunk; // the usual webhook is one chunk, and no byte of it is copied
      return true;
    }
    if (total > this.#buffer.length && !this.#grow(total, now)) return false;
    chunk.copy(this.#buffer, this.#length);
    freeSoon(chunk);
    return true;
  }

  #grow(total: number, now: number): boolean {
    const most = this.#options.declared ?? this.#options.maxBody;
    const capacity = Math.max(total, Math.min(most, total * 2));
    if (!this.#take(capacity, capacity, now)) return false; // old and new together, while both exist
    const next = Buffer.allocUnsafeSlow(capacity);
    if (isLarge(next)) watchSends();
    this.#buffer.copy(next, 0, 0, this.#length);
    this.#giveBack(this.held - capacity);
    if (this.#ours) free(this.#buffer);
    else freeSoon(this.#buffer);
    this.#buffer = next;
    this.#ours = true;
    return true;
  }

  #take(bytes: number, total: number, now: number): boolean {
    if (!this.#budget.take(bytes, { total, now, body: this })) return false;
    if (total > SMALL_BODY) this.#heldLarge += bytes;
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
