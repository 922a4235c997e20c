// Whether the upstream accepts connections, the TLS handshake included: for readiness and the status page.
import { setTimeout as sleep } from 'node:timers/promises';
import { deadline } from '../base/deadline.ts';
import { codeOf } from '../base/errors.ts';
import { CONNECT_TIMEOUT, connectTimeout } from './connect.ts';
import type { ConnectionPool } from './pool.ts';

/** Milliseconds from one connect of `failure` to the next. */
const SECOND_LOOK_MS = 250;

export class Reachability {
  readonly #pool: Pick<ConnectionPool, 'openSocket'>;
  #asking: Promise<string | null> | null = null;

  constructor(pool: Pick<ConnectionPool, 'openSocket'>) {
    this.#pool = pool;
  }

  /**
   * The system's code for why the upstream accepts no connections; null if it does. A connect that has failed, or has no
   * answer yet, gets a second one beside it: a busy machine fails one now and then, and a SYN that is lost is sent again
   * only after a second. `milliseconds` are for both. Callers at one time share them.
   */
  failure(milliseconds: number): Promise<string | null> {
    this.#asking ??= this.#connectTwice(milliseconds).finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #connectTwice(milliseconds: number): Promise<string | null> {
    const first = this.tryConnect(milliseconds);
    const works = new Promise<true>((resolve) => {
      void first.then((failure) => failure === null && resolve(true));
    });
    if (await Promise.race([works, sleep(SECOND_LOOK_MS, false)])) return null;
    const second = this.tryConnect(milliseconds - SECOND_LOOK_MS);
    const working = [first, second].map(async (failure) => ((await failure) === null ? null : Promise.reject()));
    return Promise.any(working).catch(() => first);
  }

  /** The code of one failed connect; null if it works. */
  tryConnect(milliseconds: number): Promise<string | null> {
    return new Promise((resolve) => {
      const socket = this.#pool.openSocket((error) => {
        cancel();
        resolve(error === null ? null : codeOf(error) || error.name);
        socket.destroy();
      });
      const cancel = deadline(milliseconds, () => socket.destroy(connectTimeout()));
      // Without an error where the proxy stops.
      socket.once('close', () => resolve(CONNECT_TIMEOUT));
    });
  }
}
