// Request bodies in memory. The byte budget counts exactly the bytes that they hold.
import { Buffer } from 'node:buffer';
import { free, NO_BYTES } from '../base/bytes.ts';
import type { Reason } from '../core/reasons.ts';
import type { MessageParser } from '../wire/parser.ts';
import { BodyRate, type ByteBudget, SMALL_BODY, type UnfinishedBody } from './budget.ts';

/** The reason why a body did not arrive whole, or was not accepted. */
export type BodyFailure = Extract<
  Reason,
  'bad_request' | 'body_too_large' | 'body_timeout' | 'overloaded' | 'client_closed'
>;

/**
 * Whether something still uses bytes that were passed to it. Else the caller frees their memory at once: garbage collection
 * would come too late, and the bodies of 200 refused clients would exceed the container's memory.
 */
export type Memory = 'free' | 'in use';

/** The part of a body that one read brought, and the trailers so far. State `ended`: the body is complete. */
export type BodyPart = Pick<MessageParser, 'piece' | 'pieces' | 'state' | 'trailers'>;

export interface BodyReceiver {
  /** Milliseconds on the monotonic clock; once it has passed, `fail('body_timeout')` is called. */
  readonly deadline: number;
  /** Bytes per millisecond over the last second or so; Infinity while the client is paused, or at the body's end. */
  rate(now: number): number;
  receive(part: BodyPart): Memory;
  /** Called if the body will never be complete: at most once, and not after the body's end. */
  fail(failure: 'bad_request' | 'body_timeout'): void;
}

export type BodyEnd = { readonly body: Buffer } | { readonly failure: BodyFailure };

interface BufferedBodyOptions {
  /** Called exactly once. */
  readonly done: (end: BodyEnd) => void;
  readonly budget: ByteBudget;
  /** Bytes. */
  readonly maxBody: number;
  /** The declared length in bytes; null for chunked. */
  readonly declared: number | null;
  /** Milliseconds on the monotonic clock, both. */
  readonly startedAt: number;
  readonly deadline: number;
}

/** Chunks that a body may have beyond one per 16 bytes: some encoders send one per word; each costs a microsecond. */
const MAX_TINY_CHUNKS = 8 * 1024;
/** Bytes of a read, such as the head, that may stay in memory with the body: to copy the body would cost more. */
const MAX_EXTRA = 4 * 1024;

/** A body to verify, read whole into one growing buffer: a million one-byte chunks would take 247 MB of heap, not 6 MB. */
export class BufferedBody implements BodyReceiver, UnfinishedBody {
  place = -1;
  readonly deadline: number;
  received = 0;
  /** Bytes that the body has reserved from the budget: its own buffer, or the whole read of which it is a view. */
  buffered = 0;
  readonly #budget: ByteBudget;
  /** Null once the body has ended: its request may wait for long, and must not keep this alive. */
  #options: BufferedBodyOptions | null;
  /** Null until a part has come that is not the whole body. */
  #bodyRate: BodyRate | null = null;
  #buffer: Buffer = NO_BYTES;
  /** True if `#buffer` is our own allocation; a view into a read of the connection is left to the garbage collector. */
  #ours = false;

  constructor(options: BufferedBodyOptions) {
    this.deadline = options.deadline;
    this.#budget = options.budget;
    this.#options = options;
    options.budget.unfinished.add(this);
  }

  rate(now: number): number {
    return this.#options === null ? Number.POSITIVE_INFINITY : (this.#bodyRate?.rate(now) ?? 0);
  }

  receive({ piece, pieces, state }: BodyPart): Memory {
    const options = this.#options;
    if (options === null || (piece !== null && !this.#accepts(options, piece, pieces))) return 'free';
    // A typical webhook arrives in the same read as its head; none of its bytes are copied.
    const isAlone = piece !== null && state === 'ended' && this.received === 0;
    if (isAlone && piece.buffer.byteLength - piece.length <= MAX_EXTRA) {
      if (!this.#reserve(piece.buffer.byteLength)) return 'free';
      this.#buffer = piece;
      this.received = piece.length;
      this.#finish(options);
      return 'in use';
    }
    if (piece !== null && !this.#append(options, piece)) return 'free';
    if (state === 'ended') this.#finish(options);
    return 'free';
  }

  fail(failure: BodyFailure): void {
    const options = this.#options;
    if (options === null) return;
    this.#end();
    this.discard();
    options.done({ failure });
  }

  clientDeparted(): void {
    this.fail('client_closed');
  }

  /** Frees the memory once nobody needs the body. A second call does nothing. */
  discard(): void {
    if (this.#ours) free(this.#buffer);
    this.forget();
  }

  /** Like `discard`, but leaves the memory to the garbage collector: a socket may still be writing from it. */
  forget(): void {
    this.#budget.release(this.buffered);
    this.buffered = 0;
    this.#buffer = NO_BYTES;
  }

  #accepts({ maxBody }: BufferedBodyOptions, piece: Buffer, pieces: number): boolean {
    const total = this.received + piece.length;
    if (total > maxBody) this.fail('body_too_large');
    else if (pieces > MAX_TINY_CHUNKS + total / 16) this.fail('bad_request');
    return this.#options !== null;
  }

  #append(options: BufferedBodyOptions, piece: Buffer): boolean {
    const total = this.received + piece.length;
    this.#bodyRate ??= new BodyRate(options.startedAt);
    this.#bodyRate.count(piece.length, performance.now());
    if (total > this.#buffer.length && !this.#grow(options, total)) return false;
    piece.copy(this.#buffer, this.received);
    this.received = total;
    return true;
  }

  #grow(options: BufferedBodyOptions, total: number): boolean {
    const { budget } = options;
    const before = this.buffered;
    const capacity = this.#capacityFor(options, total);
    // Both buffers count while both exist. What does not fit even without other bodies must end none of them.
    if (before + capacity > budget.most) this.fail('overloaded');
    if (this.#options === null || !this.#reserve(capacity)) return false;
    const next = Buffer.allocUnsafeSlow(capacity);
    this.#buffer.copy(next, 0, 0, this.received);
    budget.release(before);
    if (this.#ours) free(this.#buffer);
    this.#buffer = next;
    this.#ours = true;
    return true;
  }

  #capacityFor({ declared, maxBody, budget }: BufferedBodyOptions, total: number): number {
    const { used, limit, most } = budget;
    const twice = 2 * total;
    // The last growth is the one after which another would find no room beside the buffer that it replaces. So what is
    // declared fits up to `most`; without a length half of that does, and no client gets more for what it has sent.
    if (declared === null) return Math.max(total, Math.min(maxBody, 2 * twice > most ? most - this.buffered : twice));
    // Each growth costs a copy, and new memory a page fault per 4 KiB, so the declared length is reserved at once,
    // but not for a client that has sent little, nor if less than half of the budget would stay free.
    const atOnce = total > SMALL_BODY && used + declared <= limit / 2;
    return atOnce || twice + declared > most ? declared : Math.min(declared, twice);
  }

  /** Returns false if the budget has no room; the body has then failed. */
  #reserve(bytes: number): boolean {
    if (this.#budget.reserve(bytes, this)) this.buffered = bytes;
    else this.fail('overloaded');
    return this.#options !== null;
  }

  #finish({ done }: BufferedBodyOptions): void {
    this.#end();
    done({ body: this.received < this.#buffer.length ? this.#buffer.subarray(0, this.received) : this.#buffer });
  }

  #end(): void {
    this.#options = null;
    this.#budget.unfinished.delete(this);
  }
}
