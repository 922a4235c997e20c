// Checks whether the upstream's port also answers at the pod's own address, where clients can bypass the proxy.
import type { TcpNetConnectOpts } from 'node:net';
import { acceptsConnection } from './address.ts';

const EVERY_MS = 60_000;
/** A sidecar is up before its app, so the first minute is watched more closely. */
const FIRST_MS = 60_000;
const SOON_MS = 5_000;
/** An address that does not answer within this time counts as not exposed. */
const CONNECT_TIMEOUT_MS = 1000;

type Exposed = 'exposed' | 'hidden';

export class Exposure {
  readonly #address: TcpNetConnectOpts | null;
  readonly #onChange: (now: Exposed) => void;
  #timer: NodeJS.Timeout | null = null;
  exposed = false;

  /** Without an address nothing is checked. */
  constructor(address: TcpNetConnectOpts | null, onChange: (now: Exposed) => void) {
    this.#address = address;
    this.#onChange = onChange;
  }

  /** Call it at start and after each reload. */
  watch(checks: 'on' | 'off'): void {
    if ((checks === 'on') === (this.#timer !== null) || this.#address === null) return;
    if (checks === 'on') return this.#check(this.#address, Date.now() + FIRST_MS);
    this.stop();
    this.#found('hidden');
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

  #found(now: Exposed): void {
    if (this.exposed === (now === 'exposed')) return;
    this.exposed = now === 'exposed';
    this.#onChange(now);
  }
}
