// The upstream as a whole: its slots, its sockets, and what happens while it accepts no connections.
import type { TlsContents } from '../wire/tls-contents.ts';
import { acceptsConnection } from './connect.ts';
import { ConnectRetry } from './connect-retry.ts';
import { type ForwardFailure, NO_SLOT, STOPPED } from './forward-failure.ts';
import { UpstreamLimiter, type Waiter } from './limiter.ts';
import { ConnectionPool } from './pool.ts';
import type { PooledConnection } from './pooled-connection.ts';
import { Reachability } from './reachability.ts';

/** A request that wants a slot and a socket. */
export interface UpstreamRequest extends Waiter {
  /** The error of its last connect; null if none has failed. */
  connectError: Error | null;
  giveUp(failure: ForwardFailure): void;
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

export class Upstream {
  readonly options: UpstreamOptions;
  readonly limiter: UpstreamLimiter;
  readonly pool: ConnectionPool;
  readonly reachability: Reachability;
  readonly #retry: ConnectRetry;
  #closed = false;
  #released: (readonly [Waiter, PooledConnection])[] = [];

  constructor(options: UpstreamOptions) {
    this.options = options;
    const { connections: slots, queue, retryConnectFor: patience, connectTimeout } = options;
    this.limiter = new UpstreamLimiter({ slots, queue, patience });
    this.pool = new ConnectionPool(options);
    this.reachability = new Reachability(this.pool);
    const { limiter, pool } = this;
    const accepts = () => acceptsConnection(pool.address, connectTimeout);
    this.#retry = new ConnectRetry({ limiter, accepts });
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
    if (this.#closed) request.giveUp(STOPPED);
    else if (this.limiter.tryAcquire(request)) request.acquired();
    else this.#retry.wait(request);
  }

  /** Why a request has to give up its slot. */
  get full(): ForwardFailure {
    return this.#closed ? STOPPED : NO_SLOT;
  }

  /** Lets the request wait again if that may help. */
  connectFailed(request: UpstreamRequest, error: Error): void {
    this.#retry.failed(request, error);
  }

  /** Ends every request, now and from now on, and every socket. */
  close(): void {
    this.#closed = true;
    this.limiter.evictAll();
    this.pool.destroy();
  }

  readonly #releaseNow = (): void => {
    const released = this.#released;
    this.#released = [];
    const now = performance.now();
    for (const [waiter, connection] of released) {
      if (!connection.socket.destroyed) this.pool.release(connection, now);
      this.limiter.release(waiter);
    }
  };
}
