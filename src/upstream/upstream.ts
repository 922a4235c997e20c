// The upstream as a whole: its slots, its sockets, and what happens while it accepts no connections. Requests then
// wait, each for as long as its patience lasts, and one series of connects serves them all.
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '../base/errors.ts';
import { acceptsConnection, type CertificateDates, CONNECT_TIMEOUT, isWorthRetrying } from './connect.ts';
import { ConnectionPool, type UpstreamOptions } from './connection-pool.ts';
import { type ForwardFailure, failedUpstream, overloaded } from './contract.ts';
import { type SlotUser, UpstreamLimiter } from './limiter.ts';
import type { UpstreamConnection } from './upstream-connection.ts';

/** Milliseconds between two tries to connect to an upstream that accepts no connections. */
const TRY_EVERY_MS = 100;

/** Milliseconds from the first connect of `failure` until the second begins, if the first has not succeeded. */
const SECOND_CONNECT_MS = 250;

export class Upstream {
  readonly options: UpstreamOptions;
  readonly limiter: UpstreamLimiter;
  readonly pool: ConnectionPool;
  /** The error of the last failed connect, which says why the upstream is down. */
  #lastError: Error | null = null;
  /** The dates of the upstream's certificate where they are why it accepts no connections; else null. */
  certificate: CertificateDates | null = null;
  #closed = false;
  #probing: Promise<string | null> | null = null;
  #released: (readonly [SlotUser, UpstreamConnection])[] = [];

  constructor(options: UpstreamOptions & { readonly queue: number }) {
    this.options = options;
    const { connections: slots, queue } = options;
    this.limiter = new UpstreamLimiter({ slots, queue });
    this.pool = new ConnectionPool(options);
  }

  /** Acquires a slot at once, or waits for one until the request's patience is over. */
  acquireSlot(request: SlotUser): void {
    if (this.#closed) request.giveUp(overloaded('stopped'));
    else if (this.limiter.tryAcquire(request)) request.acquired();
    else if (!this.limiter.wait(request)) request.giveUp(overloaded('slots'));
  }

  /** Queues the request again if that may help: no byte was sent, so a retry is safe for every method. */
  connectFailed(request: SlotUser, error: Error | null): void {
    // No client waits for a resent one, and its failure does not make the upstream count as down for others.
    if (request.kind === 'resent' || !isWorthRetrying(error)) return request.giveUp(failedUpstream('connect', error));
    this.#lastError = error;
    if (!this.limiter.down) this.#trySoon();
    this.limiter.down = true;
    this.limiter.release(request);
    if (!this.limiter.wait(request)) request.giveUp(overloaded('slots'));
  }

  /** Why a request must give up its slot, or its wait for one: the last connect's error if the upstream is down. */
  get whyEvicted(): ForwardFailure {
    return this.limiter.down ? failedUpstream('connect', this.#lastError) : overloaded('slots');
  }

  #trySoon(): void {
    setTimeout(async () => {
      // If no client waits, no try is needed: the next request finds out by itself.
      const up =
        this.limiter.clientsWaiting === 0 || (await acceptsConnection(this.pool.address, this.options.connectTimeout));
      if (up) this.limiter.resume();
      else this.#trySoon();
    }, TRY_EVERY_MS);
  }

  /**
   * Releases the slot of a request that has ended and, if it can be reused, its connection. The next request gets the
   * connection in a later turn of the event loop, so unexpected bytes after the response are noticed first.
   */
  release(request: SlotUser, connection: UpstreamConnection | null): void {
    if (connection === null) return this.limiter.release(request);
    connection.user = null;
    if (this.#released.length === 0) setImmediate(this.#releaseNow);
    this.#released.push([request, connection]);
  }

  readonly #releaseNow = (): void => {
    const released = this.#released;
    this.#released = [];
    const now = performance.now();
    for (const [request, connection] of released) {
      if (!connection.socket.destroyed) this.pool.release(connection, now);
      this.limiter.release(request);
    }
  };

  /**
   * The system's code for why the upstream accepts no connections (TLS handshake included); null if it accepts them. If
   * a connect has failed or has no answer by SECOND_CONNECT_MS, a second one begins: on a busy machine one fails now and
   * then, and a lost SYN is sent again only after a second. Both have until `milliseconds`, since a handshake with a
   * far upstream takes several round trips. Concurrent callers share the two connects.
   */
  connectFailure(milliseconds: number): Promise<string | null> {
    this.#probing ??= this.#connectTwice(milliseconds)
      .then(async (code) => {
        const hasWrongDates = code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID';
        this.certificate = hasWrongDates ? await this.pool.wrongDates(milliseconds) : null;
        return code;
      })
      .finally(() => {
        this.#probing = null;
      });
    return this.#probing;
  }

  async #connectTwice(milliseconds: number): Promise<string | null> {
    const first = this.tryConnect(milliseconds);
    const pause = sleep(SECOND_CONNECT_MS, 'no answer yet');
    if ((await Promise.race([first, pause])) === null) return null;
    await pause;
    const second = this.tryConnect(milliseconds - SECOND_CONNECT_MS);
    const ifItWorks = (code: string | null) => (code === null ? null : Promise.reject());
    return Promise.any([first.then(ifItWorks), second.then(ifItWorks)]).catch(() => first);
  }

  /** Connects once. Returns the error's code; null if the connect succeeds. */
  tryConnect(milliseconds: number): Promise<string | null> {
    return new Promise((resolve) => {
      const done = (error: Error | null) => {
        resolve(error === null ? null : codeOf(error) || error.name);
        socket.destroy();
      };
      const socket = this.pool.openSocket(done, Math.min(milliseconds, this.options.connectTimeout));
      // When the proxy stops, the socket closes without an error.
      socket.once('close', () => resolve(CONNECT_TIMEOUT));
    });
  }

  /** Ends every request, now and from now on, and every socket. */
  close(): void {
    this.#closed = true;
    for (const request of this.limiter.all) request.giveUp(overloaded('stopped'));
    this.pool.destroy();
  }
}
