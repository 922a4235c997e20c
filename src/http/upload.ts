// A request body on its way through, unread by us: pulled by the upstream, pushed back on the client, and either whole or
// broken for both. It must never hold much more than one read of the socket, nor wait for ever on a client that went silent.
import type { Buffer } from 'node:buffer';
import type { Exchange } from './exchange.ts';
import { Gather } from './gather.ts';
import { Pace } from './pace.ts';
import type { Turns } from './turns.ts';

const { IncomingMessage } = process.getBuiltinModule('node:http');

/** Why an upload broke off; each is the client's doing. */
export type UploadFailure = 'bad_request' | 'body_timeout';

export interface UploadOptions {
  /** Milliseconds between two pieces of the body; 0 is off. */
  readonly idleTimeout: number;
  /** Shared by all uploads. */
  readonly turns: Turns;
  /** Called at most once; the pull under way fails too. */
  readonly onFailure: (failure: UploadFailure) => void;
}

interface Pull {
  readonly resolve: (result: IteratorResult<Buffer, undefined>) => void;
  readonly reject: (error: Error) => void;
}

/** What is held before the client is held back. A body of this size, or one that is whole, is worth a scarce upstream slot. */
const ENOUGH = 16 * 1024;
/** More pieces than this, of fewer bytes each, wait for their turn. */
const MANY = 512;
const TINY = 64;
const DONE = { done: true, value: undefined } as const;

/** An iterator and no stream: undici destroys a stream when a request fails, and the client's answer with it. */
export class Upload implements AsyncIterableIterator<Buffer, undefined> {
  readonly #exchange: Exchange;
  readonly #options: UploadOptions;
  readonly #pace = new Pace(performance.now());
  readonly #held = new Gather();
  readonly #idle: NodeJS.Timeout | undefined;
  #whole = false;
  #over = false;
  #heldBack = false;
  #pieces = 0;
  #bytes = 0;
  #turn: NodeJS.Timeout | undefined;
  #pull: Pull | null = null;
  #giving: NodeJS.Immediate | undefined;
  #onReady: (() => void) | null = null;
  #patience: NodeJS.Timeout | undefined;

  /** Listens at once: what nobody listens to, node keeps, and one-byte chunks become 13 MB of a 64 KiB buffer. */
  constructor(exchange: Exchange, options: UploadOptions) {
    this.#exchange = exchange;
    this.#options = options;
    if (options.idleTimeout > 0) this.#idle = setTimeout(this.#onIdle, options.idleTimeout);
    exchange.request._read = this.#read;
    exchange.request.on('data', this.#onData);
    exchange.request.on('end', this.#onEnd);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Buffer, undefined>> {
    if (this.#over) return Promise.reject(broken());
    if (this.#held.length > 0) {
      const value = this.#held.take();
      this.#holdBack();
      return Promise.resolve({ value });
    }
    if (this.#whole) return Promise.resolve(DONE);
    this.#idle?.refresh();
    return new Promise((resolve, reject) => {
      this.#pull = { resolve, reject };
    });
  }

  /** The upstream takes no more of it. */
  return(): Promise<IteratorResult<Buffer, undefined>> {
    this.stop();
    return Promise.resolve(DONE);
  }

  /**
   * Calls back, once, when the body is whole or worth a slot, but after `milliseconds` at the latest: some clients wait for
   * the answer before they send the rest.
   */
  whenReady(milliseconds: number, callback: () => void): void {
    this.#onReady = callback;
    this.#patience = setTimeout(this.#ready, milliseconds);
    this.#idle?.refresh();
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
    this.#held.clear();
    clearTimeout(this.#turn);
    this.#turn = undefined;
    this.#holdBack();
    clearTimeout(this.#idle);
    clearTimeout(this.#patience);
    clearImmediate(this.#giving);
    const { request } = this.#exchange;
    request.off('data', this.#onData);
    request.off('end', this.#onEnd);
    this.#pull?.reject(broken());
    this.#pull = null;
  }

  readonly #onData = (piece: Buffer): void => {
    this.#exchange.bodyBytes += piece.length;
    this.#pace.count(piece.length, performance.now());
    this.#idle?.refresh();
    this.#held.add(piece);
    this.#bytes += piece.length;
    if (++this.#pieces > MANY) this.#throttle();
    if (this.#held.length >= ENOUGH) {
      this.#give();
      this.#holdBack();
      this.#ready();
    } else if (this.#pull !== null) {
      // Not at once: a million one-byte chunks would be as many writes, 7 s of them. Now they are a few hundred.
      this.#giving ??= setImmediate(this.#give);
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
    this.#holdBack();
    this.#give();
    this.#pull?.resolve(DONE);
    this.#pull = null;
    this.#ready();
  };

  /** Answers the pull under way, if there is one. */
  readonly #give = (): void => {
    clearImmediate(this.#giving);
    this.#giving = undefined;
    if (this.#pull === null || this.#held.length === 0) return;
    this.#pull.resolve({ value: this.#held.take() });
    this.#pull = null;
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

  #throttle(): void {
    if (this.#bytes < this.#pieces * TINY) {
      this.#turn ??= setTimeout(this.#onTurn, this.#options.turns.take(performance.now()));
      this.#holdBack();
      return;
    }
    this.#pieces = 0;
    this.#bytes = 0;
  }

  readonly #onTurn = (): void => {
    this.#turn = undefined;
    this.#pieces = 0;
    this.#bytes = 0;
    this.#holdBack();
  };

  /** The socket and not the request: node would go on reading, and keep what it reads piece by piece. */
  #holdBack(): void {
    const hold = !this.#whole && (this.#turn !== undefined || this.#held.length >= ENOUGH);
    if (this.#heldBack === hold) return;
    this.#heldBack = hold;
    const { request, connection } = this.#exchange;
    if (hold) connection.socket.pause();
    else IncomingMessage.prototype._read.call(request, 0);
  }

  /** In the place of node's own, which undoes the pause with each piece that it hands over. */
  readonly #read = (size: number): void => {
    if (!this.#heldBack) IncomingMessage.prototype._read.call(this.#exchange.request, size);
  };
}

function broken(): Error {
  return new Error('the request body did not come whole');
}
