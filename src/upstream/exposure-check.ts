// Checks whether the upstream's port also answers at the pod's own address, where clients can bypass the proxy.
import type { TcpNetConnectOpts } from 'node:net';
import { takesConnection } from './pool.ts';

const EVERY_MS = 60_000;
/** A sidecar is up before its app, so the first minute is watched more closely. */
const FIRST_MS = 60_000;
const SOON_MS = 5_000;
/** An address that does not answer within this time is not exposed. */
const PATIENCE_MS = 1000;

export class Exposure {
  readonly #at: TcpNetConnectOpts | null;
  readonly #tell: (exposed: boolean) => void;
  #timer: NodeJS.Timeout | null = null;
  exposed = false;

  /** `tell` is called at each change. Without an address nothing is watched. */
  constructor(at: TcpNetConnectOpts | null, tell: (exposed: boolean) => void) {
    this.#at = at;
    this.#tell = tell;
  }

  /** To be called at start and after each reload. */
  watch(wanted: boolean): void {
    if (wanted === (this.#timer !== null) || this.#at === null) return;
    if (wanted) return this.#look(this.#at, Date.now() + FIRST_MS);
    this.stop();
    this.#found(false);
  }

  #look(at: TcpNetConnectOpts, soonUntil: number): void {
    void takesConnection(at, PATIENCE_MS).then((open) => {
      if (this.#timer !== null) this.#found(open);
    });
    const wait = Date.now() < soonUntil ? SOON_MS : EVERY_MS;
    this.#timer = setTimeout(() => this.#look(at, soonUntil), wait).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #found(exposed: boolean): void {
    if (exposed === this.exposed) return;
    this.exposed = exposed;
    this.#tell(exposed);
  }
}
