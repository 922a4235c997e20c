// Exposure: whether the upstream's port also answers at the pod's own address, where clients could bypass the proxy.
import type { TcpNetConnectOpts } from 'node:net';
import { type Address, acceptsConnection } from './connect.ts';

const EVERY_MS = 10_000;
/** Milliseconds. An address that does not answer within this time counts as not exposed. */
const CONNECT_TIMEOUT_MS = 1000;

/** `off`: the checks are switched off. `unknown`: not checked yet, or `$POD_IP` is not set. */
type ExposureState = 'off' | 'unknown' | 'exposed' | 'hidden';

/** The address at which clients could bypass the proxy. `hidden`: there is none. `unknown`: `$POD_IP` is not set. */
type Bypass = TcpNetConnectOpts | 'unknown' | 'hidden';

/** `podIp`: `$POD_IP`. `listenPort`: the port of the proxy. */
export function bypassAddress(podIp: string | undefined, upstream: Address, listenPort: number): Bypass {
  if (podIp === undefined || podIp === '') return 'unknown';
  // A socket file has no address, and on the port of the proxy itself only the proxy answers.
  if (!('port' in upstream) || upstream.port === listenPort) return 'hidden';
  return { host: podIp, port: upstream.port };
}

export class Exposure {
  readonly #address: Bypass;
  readonly #onChange: (now: ExposureState) => void;
  #timer: NodeJS.Timeout | undefined;
  state: ExposureState = 'off';

  /** `address`: from `bypassAddress`. `onChange`: called when the upstream becomes exposed, or stops being so. */
  constructor(address: Bypass, onChange: (now: ExposureState) => void) {
    this.#address = address;
    this.#onChange = onChange;
  }

  /** Starts or stops the checks. Called at the start, and after each reload. */
  watch(checks: 'on' | 'off'): void {
    if ((checks === 'off') === (this.state === 'off')) return;
    this.stop();
    const address = checks === 'off' ? checks : this.#address;
    if (typeof address === 'string') return this.#become(address);
    this.#become('unknown');
    const check = async () => {
      const state = (await acceptsConnection(address, CONNECT_TIMEOUT_MS)) ? 'exposed' : 'hidden';
      if (this.#timer !== undefined) this.#become(state);
    };
    this.#timer = setInterval(check, EVERY_MS).unref();
    void check();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #become(now: ExposureState): void {
    const before = this.state;
    this.state = now;
    if ((before === 'exposed') !== (now === 'exposed')) this.#onChange(now);
  }
}
