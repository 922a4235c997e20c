// Draining, and the order of shutdown.
import { END_MS } from '../base/blocked-threads.ts';
import type { LiveRuleset } from './reload.ts';

/** A drain by `/-/drain` ends after this long without a SIGTERM. */
const DRAIN_MINUTES = 10;

/** Waits, without keeping the process alive. */
const sleep = (milliseconds: number) => new Promise<void>((resolve) => void setTimeout(resolve, milliseconds).unref());

export class Shutdown {
  readonly #live: Pick<LiveRuleset, 'ruleset' | 'services'>;
  #stopping = false;
  /** When the drain began, in milliseconds of the monotonic clock; null unless a drain by `drain` is under way. */
  #drainingSince: number | null = null;
  #drainEnd: NodeJS.Timeout | undefined;

  constructor(live: Pick<LiveRuleset, 'ruleset' | 'services'>) {
    this.#live = live;
  }

  /** Begins a drain: the proxy is not ready and every response closes its connection, but requests are still served. */
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

  /**
   * Stops in this order: not ready, wait for `delay`, accept no more, wait for `grace`, answer the rest with an error.
   * Returns how many requests were cut, and when nothing may wait any longer: `late` resolves then, `until` says when.
   */
  async stop({ delay }: { readonly delay: 'keep' | 'skip' }) {
    const { listener, upstream, log, once, redelivery, pipeline } = this.#live.services;
    const { shutdown } = this.#live.ruleset.loaded.config;
    const wait = delay === 'keep' ? shutdown.delay : 0;
    const drained = this.#drainingSince === null ? 0 : performance.now() - this.#drainingSince;
    this.#stopping = true;
    clearTimeout(this.#drainEnd);
    listener.startDraining(wait);
    log.info('stopping', { in_flight: listener.inFlight });
    if (wait > drained) await sleep(wait - drained);
    const closeMs = shutdown.grace + END_MS.close;
    const until = performance.now() + closeMs;
    const late = sleep(closeMs);
    redelivery.stopSending();
    // A delivery whose client has departed may still be in flight: the upstream's 2xx still counts.
    const idle = listener
      .stopAccepting()
      .then(() => Promise.all([once()?.claims.settled(), redelivery.settled(), pipeline.settled()]));
    await Promise.race([idle, sleep(shutdown.grace)]);
    const cut = listener.inFlight;
    listener.cutting = true;
    upstream.close();
    pipeline.endWaits();
    const answered = pipeline.settled().then(() => listener.refuseRest()); // unfinished deliveries are stored first
    await Promise.race([answered, late]);
    await listener.cutAll();
    if (cut > 0) log.warn('requests were cut at the end of shutdown.grace', { cut });
    return { cut, late, until };
  }
}
