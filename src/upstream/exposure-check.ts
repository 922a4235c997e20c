// Checks whether the upstream's port also answers at the pod's own address, where clients can bypass the proxy.
import type { TcpNetConnectOpts } from 'node:net';
import type { Address } from './address.ts';
import { acceptsConnection } from './connect.ts';

/** Milliseconds between two checks; in the first minute less, since a sidecar is up before its app. */
const EVERY_MS = 60_000;
const FIRST_MS = 60_000;
const SOON_MS = 5_000;
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
  #timer: NodeJS.Timeout | null = null;
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
    if (checks === 'on' && typeof address !== 'string') this.#check(address, Date.now() + FIRST_MS);
  }

  #check(address: TcpNetConnectOpts, soonUntil: number): void {
    void acceptsConnection(address, CONNECT_TIMEOUT_MS).then((open) => {
      if (this.#timer !== null) this.#found(open ? 'exposed' : 'hidden');
    });
    const wait = Date.now() < soonUntil ? SOON_MS : EVERY_MS;
    this.#timer = setTimeout(() => this.#check(address, soonUntil), wait).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #found(now: ExposureState): void {
    const before = this.state;
    this.state = now;
    if ((before === 'exposed') !== (now === 'exposed')) this.#onChange(now);
  }
}
