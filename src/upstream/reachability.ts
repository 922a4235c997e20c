// Whether the upstream accepts connections: for readiness and the status page, the TLS handshake included; and whether its
// port also answers at the pod's own address, where clients can bypass the proxy.
import { connect, type NetConnectOpts, type TcpNetConnectOpts } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { deadline } from '../base/deadline.ts';
import { codeOf } from '../base/errors.ts';
import { type Address, CONNECT_TIMEOUT, connectTimeout } from './connect.ts';
import type { ConnectionPool } from './connection-pool.ts';

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
   * only after a second. Both have until `milliseconds`, since a handshake with a far upstream takes several round trips.
   * Callers at one time share them.
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

/** True if a connect without TLS succeeds within `milliseconds`. */
export function acceptsConnection(to: NetConnectOpts, milliseconds: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ ...to, signal: AbortSignal.timeout(milliseconds) });
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      resolve(true);
      socket.destroy();
    });
  });
}

// --- the pod's own address

/** Milliseconds between two checks. */
const EVERY_MS = 10_000;
/** Milliseconds. An address that does not answer within this time counts as not exposed. */
const CONNECT_TIMEOUT_MS = 1000;

/** `off`: not checked, since nobody asked. `unknown`: not yet checked, or it can't be. */
type ExposureState = 'off' | 'unknown' | 'exposed' | 'hidden';

/**
 * The address at which clients could bypass the proxy. `hidden`: there is none. `podIp`: `$POD_IP`. `listenPort`: the
 * port of the proxy.
 */
export function bypassAddress(
  podIp: string | undefined,
  upstream: Address,
  listenPort: number,
): TcpNetConnectOpts | 'unknown' | 'hidden' {
  if (podIp === undefined || podIp === '') return 'unknown';
  // A socket file has no address, and on the port of the proxy itself only the proxy answers.
  if (!('port' in upstream) || upstream.port === listenPort) return 'hidden';
  return { host: podIp, port: upstream.port };
}

export class Exposure {
  readonly #address: TcpNetConnectOpts | 'unknown' | 'hidden';
  readonly #onChange: (now: ExposureState) => void;
  #timer: NodeJS.Timeout | undefined;
  state: ExposureState = 'off';

  /** `address`: as `bypassAddress` gives it. `onChange`: it is exposed now, or no more. */
  constructor(address: TcpNetConnectOpts | 'unknown' | 'hidden', onChange: (now: ExposureState) => void) {
    this.#address = address;
    this.#onChange = onChange;
  }

  /** Starts or ends the checks; called at start and after each reload. */
  watch(checks: 'on' | 'off'): void {
    if ((checks === 'off') === (this.state === 'off')) return;
    this.stop();
    const address = this.#address;
    const known = typeof address === 'string' ? address : 'unknown';
    this.#found(checks === 'off' ? 'off' : known);
    if (checks === 'off' || typeof address === 'string') return;
    const check = async () => {
      const found = (await acceptsConnection(address, CONNECT_TIMEOUT_MS)) ? 'exposed' : 'hidden';
      if (this.#timer !== undefined) this.#found(found);
    };
    this.#timer = setInterval(check, EVERY_MS).unref();
    void check();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #found(now: ExposureState): void {
    const before = this.state;
    this.state = now;
    if ((before === 'exposed') !== (now === 'exposed')) this.#onChange(now);
  }
}
