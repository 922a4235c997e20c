// Start, drain, stop (spec §8): what the probes say, and the order in which a running proxy comes to its end.
import type { Lineup } from './lineup.ts';
import { routesWithoutSecret } from './overview.ts';
import type { Ruleset } from './ruleset.ts';

/** `/-/drain` ends by itself after this long without a SIGTERM. */
const DRAIN_MS = 10 * 60 * 1000;
const UPSTREAM_PATIENCE_MS = 1000;

export interface Readiness {
  readonly ready: boolean;
  readonly causes: readonly string[];
}

export class Life {
  readonly #lineup: Lineup;
  readonly #ruleset: () => Ruleset;
  readonly #now: () => number;
  #listening = false;
  #stopping = false;
  #drainingSince: number | null = null;
  #everHadSecrets = false;

  constructor(lineup: Lineup, ruleset: () => Ruleset, now: () => number) {
    this.#lineup = lineup;
    this.#ruleset = ruleset;
    this.#now = now;
  }

  get started(): boolean {
    return this.#listening;
  }

  get draining(): boolean {
    return this.#stopping || (this.#drainingSince !== null && performance.now() - this.#drainingSince < DRAIN_MS);
  }

  listening(): void {
    this.#listening = true;
  }

  /**
   * Ready when it listens and, until it was so once, every enforcing route has a live secret: afterwards a secret that
   * runs out is a 503, a metric and an alert, but taking the pod out would take out every pod at once.
   */
  async readiness(): Promise<Readiness> {
    const missing = routesWithoutSecret(this.#ruleset(), this.#now());
    if (missing.length === 0) this.#everHadSecrets = true;
    const causes = this.#everHadSecrets ? [] : [...missing];
    if (!this.#listening) causes.push('not listening yet');
    if (this.draining) causes.push('draining');
    const { readyNeedsUpstream } = this.#ruleset().loaded.config.admin;
    if (readyNeedsUpstream && !(await this.#lineup.upstream.accepts(UPSTREAM_PATIENCE_MS))) {
      causes.push('the upstream takes no connection');
    }
    return { ready: causes.length === 0, causes };
  }

  /** Not ready from now on, every response closes its connection, and everything is still served. */
  drain(): void {
    this.#drainingSince = performance.now();
    this.#lineup.server.startClosing();
    setTimeout(() => {
      if (!this.draining) this.#lineup.server.stopClosing();
    }, DRAIN_MS + 1).unref();
    this.#lineup.log.info('draining');
  }

  /** Not ready, `delay`, stop accepting, `grace`, cut what is left. Gives how many requests were cut. */
  async stop({ delay }: { readonly delay: 'keep' | 'skip' }): Promise<number> {
    const { server, log } = this.#lineup;
    const { shutdown } = this.#ruleset().loaded.config;
    const drained = this.#drainingSince === null ? 0 : performance.now() - this.#drainingSince;
    this.#stopping = true;
    server.startClosing();
    log.info('stopping', { in_flight: server.inFlight });
    if (delay === 'keep' && drained < shutdown.delay) await sleep(shutdown.delay - drained);
    const deadline = new AbortController();
    await Promise.race([server.stopAccepting(), sleep(shutdown.grace, deadline.signal)]);
    deadline.abort();
    const cut = server.cutAll();
    if (cut > 0) log.warn('requests were cut at the end of shutdown.grace', { cut });
    return cut;
  }
}

function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
