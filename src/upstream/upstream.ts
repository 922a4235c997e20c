// The upstream as a whole: its slots, its sockets, and what happens while it accepts no connections. Requests then wait,
// for as long as each of them says, and one probe serves them all.
import { codeOf } from '../base/errors.ts';
import { ConnectionPool, type UpstreamOptions } from './connection-pool.ts';
import { UpstreamLimiter, type Waiter } from './limiter.ts';
import { acceptsConnection, Reachability } from './reachability.ts';
import { type ForwardFailure, failedUpstream, NO_SLOT, STOPPED } from './requester.ts';
import type { UpstreamConnection } from './upstream-connection.ts';

/** A request that wants a slot and a socket. */
export interface UpstreamRequest extends Waiter {
  giveUp(failure: ForwardFailure): void;
}

/** Milliseconds between two probes of an upstream that accepts no connections. */
const PROBE_EVERY_MS = 100;

/** False for TLS errors, such as an untrusted certificate: a retry would not help. */
function isWorthRetrying(error: Error): boolean {
  return !/^(?:ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO|ERR_INVALID)/.test(codeOf(error));
}

export class Upstream {
  readonly options: UpstreamOptions;
  readonly limiter: UpstreamLimiter;
  readonly pool: ConnectionPool;
  readonly reachability: Reachability;
  /** Of the last failed connect: why the upstream is down. */
  #lastError: Error | null = null;
  #closed = false;
  #released: (readonly [Waiter, UpstreamConnection])[] = [];

  constructor(options: UpstreamOptions & { readonly queue: number }) {
    this.options = options;
    const { connections: slots, queue } = options;
    this.limiter = new UpstreamLimiter({ slots, queue });
    this.pool = new ConnectionPool(options);
    this.reachability = new Reachability(this.pool);
  }

  /**
   * Releases the slot of a request that has ended and, if it can be reused, its connection. The next request gets the
   * connection in a later turn of the event loop, so unexpected bytes after the response are noticed first.
   */
  release(waiter: Waiter, connection: UpstreamConnection | null): void {
    if (connection === null) return this.limiter.release(waiter);
    connection.user = null;
    if (this.#released.length === 0) setImmediate(this.#releaseNow);
    this.#released.push([waiter, connection]);
  }

  /** Acquires a slot at once, or waits for one until the request's patience is over. */
  acquireSlot(request: UpstreamRequest): void {
    if (this.#closed) request.giveUp(STOPPED);
    else if (this.limiter.tryAcquire(request)) request.acquired();
    else this.#wait(request);
  }

  /** Why a request has to give up its slot. */
  get full(): ForwardFailure {
    return this.#closed ? STOPPED : NO_SLOT;
  }

  /** Lets the request wait again if that may help: no byte was sent, so a retry is safe for every method. */
  connectFailed(request: UpstreamRequest, error: Error): void {
    // Nobody waits for a deferred one, and its failure says nothing to those for which somebody does.
    if (request.deferred || !isWorthRetrying(error)) return request.giveUp(failedUpstream('connect', error));
    this.#lastError = error;
    if (!this.limiter.down) this.#probeSoon();
    this.limiter.down = true;
    this.limiter.release(request);
    this.#wait(request);
  }

  /** Ends every request, now and from now on, and every socket. */
  close(): void {
    this.#closed = true;
    this.limiter.evictAll();
    this.pool.destroy();
  }

  /** While it is down, only some requests connect themselves: the others tell what these found. */
  #wait(request: UpstreamRequest): void {
    const expired = () => request.giveUp(this.limiter.down ? failedUpstream('connect', this.#lastError) : NO_SLOT);
    if (!this.limiter.wait(request, expired)) request.giveUp(NO_SLOT);
  }

  #probeSoon(): void {
    setTimeout(async () => {
      // If no request waits, the next one finds out by itself.
      const up =
        this.limiter.waiting === 0 || (await acceptsConnection(this.pool.address, this.options.connectTimeout));
      if (up) this.limiter.setUp();
      else this.#probeSoon();
    }, PROBE_EVERY_MS);
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
