// Start, drain, stop: the answers of the probes, and the order of shutdown.
import { isListed } from '../core/keyring.ts';
import type { Route } from '../core/routes.ts';
import { type Ruleset, routesWithoutSecret } from './ruleset.ts';
import type { Services } from './services.ts';

/** `/-/drain` ends after this long without a SIGTERM. */
const DRAIN_MS = 10 * 60 * 1000;
/** The longest wait for a connection to the upstream. */
export const UPSTREAM_PATIENCE_MS = 1000;

type Parts = {
  readonly server: Pick<Services['server'], 'inFlight' | 'startDraining' | 'stopDraining' | 'stopAccepting' | 'cutAll'>;
  readonly upstream: Pick<Services['upstream'], 'accepts'>;
  readonly deliveries: () => { settled(): Promise<void> } | null;
  readonly log: Pick<Services['log'], 'info' | 'warn'>;
};

export class Lifecycle {
  readonly #parts: Parts;
  readonly #ruleset: () => Ruleset;
  #listening = false;
  #stopping = false;
  #wasReady = false;
  /** Milliseconds on the monotonic clock; null unless it drains. */
  #drainingSince: number | null = null;
  #drainEnd: NodeJS.Timeout | undefined;

  constructor(parts: Parts, ruleset: () => Ruleset) {
    this.#parts = parts;
    this.#ruleset = ruleset;
  }

  get started(): boolean {
    return this.#listening;
  }

  get draining(): boolean {
    return this.#stopping || this.#drainingSince !== null;
  }

  listening(): void {
    this.#listening = true;
  }

  /**
   * Ready when it listens and every enforcing route has a live secret. Once ready, an expired secret no longer matters
   * here: it means 503, a metric and an alert, whereas not being ready would take out every pod at once.
   */
  async readiness(): Promise<{ readonly ready: boolean; readonly causes: readonly string[] }> {
    const ruleset = this.#ruleset();
    const { config } = ruleset.loaded;
    const now = Date.now();
    const without = this.#wasReady ? [] : routesWithoutSecret(config, ruleset.policy, now);
    const causes = without.map((route) => `${route.path}: no live secret${whyNone(ruleset, route, now)}`);
    if (!this.#listening) causes.push('not listening yet');
    if (this.draining) causes.push('draining');
    if (config.admin.readyNeedsUpstream && !(await this.#parts.upstream.accepts(UPSTREAM_PATIENCE_MS))) {
      causes.push('the upstream accepts no connections');
    }
    if (causes.length === 0) this.#wasReady = true;
    return { ready: causes.length === 0, causes };
  }

  /** From now on the proxy is not ready and every response closes its connection, but requests are still served. */
  drain(): void {
    if (this.#stopping) return;
    this.#drainingSince ??= performance.now();
    clearTimeout(this.#drainEnd);
    this.#drainEnd = setTimeout(() => this.#endDrain(), DRAIN_MS).unref();
    this.#parts.server.startDraining(this.#ruleset().loaded.config.shutdown.delay);
    this.#parts.log.info('draining');
  }

  #endDrain(): void {
    this.#drainingSince = null;
    this.#parts.server.stopDraining();
    this.#parts.log.warn('the drain has ended: no SIGTERM came within 10 minutes');
  }

  /** Not ready, `delay`, stop accepting, `grace`, cut what is left. Gives how many requests were cut. */
  async stop({ delay }: { readonly delay: 'keep' | 'skip' }): Promise<number> {
    const { server, log, deliveries } = this.#parts;
    const { shutdown } = this.#ruleset().loaded.config;
    const wait = delay === 'keep' ? shutdown.delay : 0;
    const drained = this.#drainingSince === null ? 0 : performance.now() - this.#drainingSince;
    this.#stopping = true;
    clearTimeout(this.#drainEnd);
    server.startDraining(wait);
    log.info('stopping', { in_flight: server.inFlight });
    if (wait > drained) await new Promise((resolve) => setTimeout(resolve, wait - drained));
    // A delivery whose client has left may still be in flight: the upstream's 2xx still counts.
    const idle = server.stopAccepting().then(() => deliveries()?.settled());
    const deadline = Promise.withResolvers<void>();
    const timer = setTimeout(deadline.resolve, shutdown.grace);
    await Promise.race([idle, deadline.promise]);
    clearTimeout(timer);
    const cut = server.cutAll();
    if (cut > 0) log.warn('requests were cut at the end of shutdown.grace', { cut });
    return cut;
  }
}

function whyNone({ materials, policy }: Ruleset, route: Route, at: number): string {
  const broken = materials.filter(
    ({ id, key, problem }) => key === null && problem !== null && (id.includes(' ') || isListed(id, route.secrets)),
  );
  const outside = policy.keyring.whyNoneLive(route.secrets, at);
  const causes = [...broken.map(({ id, problem }) => `${id}: ${problem}`), ...(outside === null ? [] : [outside])];
  if (causes.length > 0) return ` (${causes.join('; ')})`;
  return materials.length === 0 ? ' (none is configured)' : '';
}
