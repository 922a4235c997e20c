// Whether the upstream accepts connections, the TLS handshake included: for readiness and the status page.
import { codeOf } from '../base/errors.ts';
import { CONNECT_TIMEOUT, connectTimeout } from './connect.ts';
import type { ConnectionPool } from './pool.ts';

/** Milliseconds between the two connects of `failure`. */
const SECOND_LOOK_MS = 250;

export class Reachability {
  readonly #pool: Pick<ConnectionPool, 'openSocket'>;
  #asking: Promise<string | null> | null = null;

  constructor(pool: Pick<ConnectionPool, 'openSocket'>) {
    this.#pool = pool;
  }

  /**
   * The system's code for why the upstream accepts no connections; null if it does. A failed connect is tried once more
   * within the `milliseconds` of both: a busy machine fails one now and then. Callers at one time share them.
   */
  failure(milliseconds: number): Promise<string | null> {
    this.#asking ??= this.#connectTwice(milliseconds).finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #connectTwice(milliseconds: number): Promise<string | null> {
    const until = performance.now() + milliseconds;
    const failure = await this.tryConnect(milliseconds);
    const left = until - performance.now() - SECOND_LOOK_MS;
    if (failure === null || left <= 0) return failure;
    await new Promise((resolve) => setTimeout(resolve, SECOND_LOOK_MS));
    return (await this.tryConnect(left)) === null ? null : failure;
  }

  /** The code of one failed connect; null if it works. */
  tryConnect(milliseconds: number): Promise<string | null> {
    return new Promise((resolve) => {
      const socket = this.#pool.openSocket((error) => {
        clearTimeout(timer);
        resolve(error === null ? null : codeOf(error) || error.name);
        socket.destroy();
      });
      const timer = setTimeout(() => socket.destroy(connectTimeout()), milliseconds);
      // Without an error where the proxy stops.
      socket.once('close', () => resolve(CONNECT_TIMEOUT));
    });
  }
}
