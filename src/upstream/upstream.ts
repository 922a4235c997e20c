// The upstream as a whole: its slots, its sockets, and whether it accepts connections.
import { codeOf } from '../base/errors.ts';
import type { BodyFailure } from '../bodies/receiver.ts';
import type { UpstreamFailure } from '../core/record.ts';
import type { TlsContents } from '../wire/tls-contents.ts';
import { acceptsConnection } from './address.ts';
import { UpstreamLimiter, type Waiter } from './limiter.ts';
import { CONNECT_TIMEOUT, ConnectionPool, connectTimeout } from './pool.ts';
import type { PooledConnection } from './pooled-connection.ts';

/** Why a request was not forwarded, or its response is not whole. */
export type ForwardFailure =
  | { readonly side: 'client'; readonly reason: BodyFailure }
  | {
      readonly side: 'upstream';
      readonly cause: UpstreamFailure;
      readonly answer: 'bad_gateway' | 'gateway_timeout';
      /** The system's code, such as `ECONNREFUSED`. */
      readonly code: string | null;
    };

export function failedUpstream(cause: UpstreamFailure, error: Error | null = null): ForwardFailure {
  const code = codeOf(error);
  const tooSlow = cause === 'timeout' || (cause === 'connect' && code === CONNECT_TIMEOUT);
  return { side: 'upstream', cause, answer: tooSlow ? 'gateway_timeout' : 'bad_gateway', code: code || null };
}

/** A request that wants a slot and a socket. */
export interface UpstreamRequest extends Waiter {
  /** Milliseconds on the monotonic clock. */
  readonly startedAt: number;
  /** The error of its last connect; null if none has failed. */
  connectError: Error | null;
  giveUp(failure: ForwardFailure): void;
}

export const OVERLOADED: ForwardFailure = { side: 'client', reason: 'overloaded' };

/** False for TLS errors, such as an untrusted certificate: a retry would not help. */
function isWorthRetrying(error: Error): boolean {
  return !/^(?:ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO|ERR_INVALID)/.test(codeOf(error));
}

/** Where and how to connect. Times in milliseconds. */
export interface UpstreamOptions {
  /** `http://…`, `https://…` or `unix:///path`. */
  readonly url: string;
  readonly connections: number;
  readonly queue: number;
  readonly connectTimeout: number;
  readonly retryConnectFor: number;
  readonly keepAlive: number;
  readonly tls: TlsContents | null;
}

/** Milliseconds between two probes of an upstream that accepts no connections. */
const PROBE_EVERY_MS = 100;
/** Milliseconds between the two connects of `connectFailure`. */
const SECOND_LOOK_MS = 250;

/** The upstream that all requests share. While it accepts no connections, they wait, and one probe serves them all. */
export class Upstream {
  readonly options: UpstreamOptions;
  readonly limiter: UpstreamLimiter;
  readonly pool: ConnectionPool;
  #closed = false;
  /** Of the last failed connect: why the upstream is down. */
  #lastError: Error | null = null;
  #asking: Promise<string | null> | null = null;
  #released: (readonly [Waiter, PooledConnection])[] = [];

  constructor(options: UpstreamOptions) {
    this.options = options;
    this.limiter = new UpstreamLimiter({ slots: options.connections, queue: options.queue });
    this.pool = new ConnectionPool(options);
  }

  /**
   * Releases the slot of a request that has ended and, if it can be reused, its connection. The next request gets the
   * connection in a later turn of the event loop, so unexpected bytes after the response are noticed first.
   */
  release(waiter: Waiter, connection: PooledConnection | null): void {
    if (connection === null) return this.limiter.release(waiter);
    connection.user = null;
    if (this.#released.length === 0) setImmediate(this.#releaseNow);
    this.#released.push([waiter, connection]);
  }

  /** Acquires a slot at once, or waits for one until `retryConnectFor` is over. */
  acquireSlot(request: UpstreamRequest): void {
    if (this.#closed) request.giveUp(OVERLOADED);
    else if (this.limiter.tryAcquire(request)) request.acquired();
    else this.#wait(request);
  }

  /** Lets the request wait again: no byte was sent, so a retry is safe for every method. One probe serves all. */
  connectFailed(request: UpstreamRequest, error: Error): void {
    if (!isWorthRetrying(error)) return request.giveUp(failedUpstream('connect', error));
    request.connectError = this.#lastError = error;
    if (!this.limiter.down) this.#probeSoon();
    this.limiter.down = true;
    this.limiter.release(request);
    this.#wait(request);
  }

  accepts(milliseconds: number): Promise<boolean> {
    return acceptsConnection(this.pool.address, milliseconds);
  }

  /**
   * The system's code for why it accepts no connections, the TLS handshake included; null if it does. Two connects in a
   * row must fail, each within `milliseconds`: a busy machine fails one now and then. Callers at one time share them.
   */
  connectFailure(milliseconds: number): Promise<string | null> {
    this.#asking ??= this.#connectTwice(milliseconds).finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #connectTwice(milliseconds: number): Promise<string | null> {
    if ((await this.tryConnect(milliseconds)) === null) return null;
    await new Promise((resolve) => setTimeout(resolve, SECOND_LOOK_MS));
    return this.tryConnect(milliseconds);
  }

  /** The code of one failed connect; null if it works. */
  tryConnect(milliseconds: number): Promise<string | null> {
    return new Promise((resolve) => {
      const socket = this.pool.openSocket((error) => {
        clearTimeout(timer);
        resolve(error === null ? null : codeOf(error) || error.name);
        socket.destroy();
      });
      const timer = setTimeout(() => socket.destroy(connectTimeout()), milliseconds);
      // Without an error where the proxy stops.
      socket.once('close', () => resolve(CONNECT_TIMEOUT));
    });
  }

  /** Ends every request, now and from now on, and every socket. */
  close(): void {
    this.#closed = true;
    this.limiter.evictAll();
    this.pool.destroy();
  }

  #wait(request: UpstreamRequest): void {
    const remaining = request.startedAt + this.options.retryConnectFor - performance.now();
    const waits = this.limiter.wait(request, Math.max(remaining, 0), () => {
      // While it is down, only some requests connect themselves: the others tell what these found.
      const error = request.connectError ?? (this.limiter.down ? this.#lastError : null);
      request.giveUp(error === null ? OVERLOADED : failedUpstream('connect', error));
    });
    if (!waits) request.giveUp(OVERLOADED);
  }

  readonly #releaseNow = (): void => {
    const released = this.#released;
    this.#released = [];
    for (const [waiter, connection] of released) {
      if (!connection.socket.destroyed) this.pool.release(connection);
      this.limiter.release(waiter);
    }
  };

  #probeSoon(): void {
    setTimeout(async () => {
      // If no request waits, the next one finds out by itself.
      const up = this.limiter.waiting === 0 || (await this.accepts(this.options.connectTimeout));
      if (!up) return this.#probeSoon();
      this.limiter.setUp();
    }, PROBE_EVERY_MS);
  }
}
