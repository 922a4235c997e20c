// When a failed connect is tried again: for which errors, and what tells that the upstream is back. limiter.ts says for
// how long.
import { codeOf } from '../base/errors.ts';
import { failedUpstream, NO_SLOT } from './forward-failure.ts';
import type { UpstreamLimiter } from './limiter.ts';
import type { UpstreamRequest } from './upstream.ts';

/** Milliseconds between two probes of an upstream that accepts no connections. */
const PROBE_EVERY_MS = 100;

/** False for TLS errors, such as an untrusted certificate: a retry would not help. */
function isWorthRetrying(error: Error): boolean {
  return !/^(?:ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO|ERR_INVALID)/.test(codeOf(error));
}

interface Parts {
  readonly limiter: UpstreamLimiter;
  /** One probe: true if the upstream accepts a connection. */
  readonly accepts: () => Promise<boolean>;
}

/** While the upstream accepts no connections, requests wait, and one probe serves them all. */
export class ConnectRetry {
  readonly #parts: Parts;
  /** Of the last failed connect: why the upstream is down. */
  #lastError: Error | null = null;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Lets the request wait again: no byte was sent, so a retry is safe for every method. One probe serves all. */
  failed(request: UpstreamRequest, error: Error): void {
    // Nobody waits for a deferred one, and its failure says nothing to those for which somebody does.
    if (request.deferred || !isWorthRetrying(error)) return request.giveUp(failedUpstream('connect', error));
    const { limiter } = this.#parts;
    request.connectError = this.#lastError = error;
    if (!limiter.down) this.#probeSoon();
    limiter.down = true;
    limiter.release(request);
    this.wait(request);
  }

  /** Lets the request wait for a slot. */
  wait(request: UpstreamRequest): void {
    const { limiter } = this.#parts;
    const waits = limiter.wait(request, () => {
      // While it is down, only some requests connect themselves: the others tell what these found.
      const error = request.connectError ?? (limiter.down ? this.#lastError : null);
      request.giveUp(error === null ? NO_SLOT : failedUpstream('connect', error));
    });
    if (!waits) request.giveUp(NO_SLOT);
  }

  #probeSoon(): void {
    const { limiter, accepts } = this.#parts;
    setTimeout(async () => {
      // If no request waits, the next one finds out by itself.
      const up = limiter.waiting === 0 || (await accepts());
      if (!up) return this.#probeSoon();
      limiter.setUp();
    }, PROBE_EVERY_MS);
  }
}
