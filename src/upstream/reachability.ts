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
   * The system's code for why the upstream accepts no connections; null if it does. Two connects in a row must fail, each
   * within `milliseconds`: a busy machine fails one now and then. Callers at one time share them.
   */
  failure(milliseconds: number): Promise<string | null> {
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
