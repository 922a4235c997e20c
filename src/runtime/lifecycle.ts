// From the start to the end: the first look at the upstream, drains, and the order of shutdown.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LiveRuleset } from './live-ruleset.ts';
import { PROBE_TIMEOUT_MS } from './readiness.ts';

/** A drain by `/-/drain` ends after this long without a SIGTERM. */
const DRAIN_MINUTES = 10;

export class Lifecycle {
  readonly #live: Pick<LiveRuleset, 'ruleset' | 'services'>;
  #stopping = false;
  /** Milliseconds on the monotonic clock; null unless `drain` was called. */
  #drainingSince: number | null = null;
  #drainEnd: NodeJS.Timeout | undefined;

  constructor(live: Pick<LiveRuleset, 'ruleset' | 'services'>) {
    this.#live = live;
  }

  /** Connects to the upstream, once more after a second, and logs it if both fail: a wrong address shows at once. */
  async checkUpstream(): Promise<void> {
    const { upstream, log } = this.#live.services;
    if ((await upstream.reachability.tryConnect(PROBE_TIMEOUT_MS)) === null) return;
    await new Promise((resolve) => setTimeout(resolve, 1000).unref());
    const failure = await upstream.reachability.tryConnect(PROBE_TIMEOUT_MS);
    if (this.#stopping || failure === null) return;
    log.warn('the upstream accepts no connections', { upstream: upstream.options.url, upstream_error: failure });
  }

  /** Drains: not ready, and every response closes its connection, but requests are still served. */
  drain(): void {
    if (this.#stopping) return;
    const { ruleset, services } = this.#live;
    this.#drainingSince ??= performance.now();
    clearTimeout(this.#drainEnd);
    this.#drainEnd = setTimeout(() => {
      this.#drainingSince = null;
      services.listener.stopDraining();
      services.log.warn(`the drain has ended: no SIGTERM came within ${DRAIN_MINUTES} minutes`);
    }, DRAIN_MINUTES * 60_000).unref();
    services.listener.startDraining(ruleset.loaded.config.shutdown.delay);
    services.log.info('draining');
  }

  /** Stops: not ready, `delay`, stop accepting, `grace`, an error for the rest. Returns how many requests were cut. */
  async stop({ delay }: { readonly delay: 'keep' | 'skip' }): Promise<number> {
    const { listener, upstream, log, deliveries, redelivery, pipeline } = this.#live.services;
    const { shutdown } = this.#live.ruleset.loaded.config;
    const wait = delay === 'keep' ? shutdown.delay : 0;
    const drained = this.#drainingSince === null ? 0 : performance.now() - this.#drainingSince;
    this.#stopping = true;
    clearTimeout(this.#drainEnd);
    listener.startDraining(wait);
    log.info('stopping', { in_flight: listener.inFlight });
    if (wait > drained) await new Promise((resolve) => setTimeout(resolve, wait - drained));
    redelivery.current?.stopSending();
    // A delivery whose client has departed may still be in flight: the upstream's 2xx still counts.
    const idle = listener
      .stopAccepting()
      .then(() => Promise.all([deliveries()?.settled(), redelivery.current?.settled(), pipeline.settled()]));
    await Promise.race([idle, new Promise((resolve) => setTimeout(resolve, shutdown.grace).unref())]);
    const cut = listener.inFlight;
    upstream.close();
    pipeline.endWaits();
    await pipeline.settled(); // what could not end is stored, which takes a second at most
    await listener.refuseRest();
    listener.cutAll();
    await nextTurn(); // in which they are recorded
    if (cut > 0) log.warn('requests were cut at the end of shutdown.grace', { cut });
    return cut;
  }
}
