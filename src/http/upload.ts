// A request body on its way through, unread by us: pulled by the upstream, pushed back on the client, and either whole or
// broken for both. It must never hold more than one read of the socket, nor wait for ever on a client that went silent.
import { Buffer } from 'node:buffer';
import type { Exchange } from './exchange.ts';
import { Pace } from './pace.ts';

/** Why an upload broke off; each is the client's doing. */
export type UploadFailure = 'bad_request' | 'body_timeout';

export interface UploadOptions {
  /** Milliseconds between two pieces of the body; 0 is off. */
  readonly idleTimeout: number;
  /** Called at most once; the pull under way fails too. */
  readonly onFailure: (failure: UploadFailure) => void;
}

interface Pull {
  readonly resolve: (result: IteratorResult<Buffer, undefined>) => void;
  readonly reject: (error: Error) => void;
}

/** A body of this size, or a shorter one that is whole, may take an upstream slot even when slots are scarce. */
const READY_BYTES = 16 * 1024;
const DONE = { done: true, value: undefined } as const;

/** An iterator and no stream: undici destroys a stream when a request fails, and the client's answer with it. */
export class Upload implements AsyncIterableIterator<Buffer, undefined> {
  readonly #exchange: Exchange;
  readonly #options: UploadOptions;
  readonly #startedAt = performance.now();
  readonly #pace = new Pace(this.#startedAt);
  /** Pieces of one read of the socket: a million one-byte chunks go on as a few hundred writes. */
  #pieces: Buffer[] = [];
  #held = 0;
  #listening = false;
  #whole = false;
  #over = false;
  #pull: Pull | null = null;
  #onReady: (() => void) | null = null;
  #patience: NodeJS.Timeout | undefined;
  #idle: NodeJS.Timeout | undefined;

  constructor(exchange: Exchange, options: UploadOptions) {
    this.#exchange = exchange;
    this.#options = options;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Buffer, undefined>> {
    if (this.#held > 0) return Promise.resolve({ value: this.#take() });
    if (this.#whole) return Promise.resolve(DONE);
    if (this.#over) return Promise.reject(new Error('the request body did not come whole'));
    return new Promise((resolve, reject) => {
      this.#pull = { resolve, reject };
      this.#listen();
      this.#idle?.refresh();
    });
  }

  /** The upstream takes no more of it. */
  return(): Promise<IteratorResult<Buffer, undefined>> {
    this.stop();
    return Promise.resolve(DONE);
  }

  /**
   * Reads on its own until the body is whole or holds enough to be worth a slot, but `milliseconds` at most: some clients
   * wait for the answer before they send the rest. Then it calls back, once.
   */
  whenReady(milliseconds: number, callback: () => void): void {
    this.#onReady = callback;
    this.#patience = setTimeout(this.#ready, milliseconds);
    this.#listen();
  }

  /** True while it waits for bytes of a client that sent fewer than `rate` bytes a millisecond of late. */
  waitsFor(rate: number, now: number): boolean {
    return this.#pull !== null && this.#pace.rate(now) < rate;
  }

  fail(failure: UploadFailure): void {
    if (this.#over || this.#whole) return;
    this.stop();
    this.#options.onFailure(failure);
  }

  /** Lets go of the request; its rest is for somebody else to read. */
  stop(): void {
    if (this.#over) return;
    this.#over = true;
    this.#onReady = null;
    this.#pieces = [];
    this.#held = 0;
    clearTimeout(this.#idle);
    clearTimeout(this.#patience);
    const { request } = this.#exchange;
    request.off('data', this.#onData);
    request.off('end', this.#onEnd);
    this.#pull?.reject(new Error('the request body did not come whole'));
    this.#pull = null;
  }

  #listen(): void {
    const { request } = this.#exchange;
    if (this.#listening) {
      request.resume();
      return;
    }
    this.#listening = true;
    const { idleTimeout } = this.#options;
    if (idleTimeout > 0) this.#idle = setTimeout(this.#onIdle, idleTimeout);
    request.on('data', this.#onData);
    request.on('end', this.#onEnd);
  }

  #take(): Buffer {
    const [first = Buffer.alloc(0)] = this.#pieces;
    const taken = this.#pieces.length === 1 ? first : Buffer.concat(this.#pieces, this.#held);
    this.#pieces = [];
    this.#held = 0;
    return taken;
  }

  readonly #onData = (piece: Buffer): void => {
    this.#exchange.bodyBytes += piece.length;
    this.#pace.count(piece.length, performance.now());
    this.#idle?.refresh();
    this.#pieces.push(piece);
    this.#held += piece.length;
    if (this.#pull !== null) {
      this.#pull.resolve({ value: this.#take() });
      this.#pull = null;
    } else if (this.#onReady === null || this.#held >= READY_BYTES) {
      this.#exchange.request.pause();
      this.#ready();
    }
  };

  readonly #onEnd = (): void => {
    // A parser that broke off ends the stream too: only a complete message is a body.
    if (!this.#exchange.request.complete) {
      this.fail('bad_request');
      return;
    }
    this.#whole = true;
    clearTimeout(this.#idle);
    this.#pull?.resolve(DONE);
    this.#pull = null;
    this.#ready();
  };

  readonly #ready = (): void => {
    const callback = this.#onReady;
    this.#onReady = null;
    clearTimeout(this.#patience);
    callback?.();
  };

  readonly #onIdle = (): void => {
    // Only a wait for the client is the client's fault; an upstream that takes nothing has undici's timeout.
    if (this.#pull !== null || this.#onReady !== null) this.fail('body_timeout');
    else this.#idle?.refresh();
  };
}
