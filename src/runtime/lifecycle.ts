// The life of the proxy: the first look at the upstream, readiness, draining, and the order of shutdown.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { END_MS } from '../base/blocked-threads.ts';
import { isListed } from '../core/keyring.ts';
import type { Route } from '../core/routes.ts';
import type { Probed } from '../facts.ts';
import type { LiveRuleset } from './reload.ts';
import { type Ruleset, routesWithoutSecret } from './ruleset.ts';

/** The longest wait of a probe for the upstream, in milliseconds: a kubelet gives a probe a second. */
const PROBE_TIMEOUT_MS = 900;
/** Milliseconds for which the last answer of the upstream is believed. */
const UPSTREAM_VALID_MS = 60_000;
/** A drain by `/-/drain` ends after this long without a SIGTERM. */
const DRAIN_MINUTES = 10;

/** Waits, without keeping the process alive. */
const sleep = (milliseconds: number) => new Promise<void>((resolve) => void setTimeout(resolve, milliseconds).unref());

export class Lifecycle {
  readonly #live: Pick<LiveRuleset, 'ruleset' | 'services'>;
  /** True once the proxy listens. */
  started = false;
  #wasReady = false;
  /** The last answer of the upstream, and when it was asked. */
  #upstream: { readonly error: string | null; readonly at: number } = { error: null, at: 0 };
  #stopping = false;
  /** When the drain began, in milliseconds of the monotonic clock; null unless a drain by `drain` is under way. */
  #drainingSince: number | null = null;
  #drainEnd: NodeJS.Timeout | undefined;

  constructor(live: Pick<LiveRuleset, 'ruleset' | 'services'>) {
    this.#live = live;
  }

  /** Connects to the upstream; if that fails, again after a second. Logs if both fail: a wrong address then shows. */
  async checkUpstream(): Promise<void> {
    const { upstream, log } = this.#live.services;
    if ((await upstream.tryConnect(PROBE_TIMEOUT_MS)) === null) return;
    await sleep(1000);
    const failure = await upstream.tryConnect(PROBE_TIMEOUT_MS);
    if (this.#stopping || failure === null) return;
    log.warn('the upstream accepts no connections', { upstream: upstream.options.url, upstream_error: failure });
  }

  /**
   * Ready if the proxy listens, does not drain, and every enforcing route has a live secret. Once ready, it stays so if
   * a secret expires: that means 503, a metric and an alert, whereas unreadiness would take out every pod at once.
   * `asks`: whether to ask the upstream even if its answer does not count (`admin.readyNeedsUpstream`).
   */
  async readiness(asks: 'if it counts' | 'always' = 'if it counts'): Promise<Probed> {
    const { ruleset, services } = this.#live;
    const { causes } = this.unprobed();
    const counts = ruleset.loaded.config.admin.readyNeedsUpstream;
    const error = counts || asks === 'always' ? await services.upstream.failure(PROBE_TIMEOUT_MS) : null;
    if (counts || asks === 'always') this.#upstream = { error, at: performance.now() };
    if (counts && error !== null) causes.push(`the upstream accepts no connections (${error})`);
    if (causes.length === 0) this.#wasReady = true;
    return { ready: causes.length === 0, causes, error };
  }

  /** The readiness without asking the upstream: its last answer counts for a minute. */
  unprobed(): Probed & { causes: string[] } {
    const { ruleset, services } = this.#live;
    const now = Date.now();
    const without = this.#wasReady ? [] : routesWithoutSecret(ruleset.loaded.config, ruleset.policy, now);
    const causes = without.map((route) => `${route.path}: no live secret${whyNone(ruleset, route, now)}`);
    if (!this.started) causes.push('not listening yet');
    if (services.listener.draining) causes.push('draining');
    const { error, at } = this.#upstream;
    return { ready: causes.length === 0, causes, error: performance.now() - at < UPSTREAM_VALID_MS ? error : null };
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
    const { listener, upstream, log, claims, redelivery, pipeline } = this.#live.services;
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
      .then(() => Promise.all([claims()?.settled(), redelivery.settled(), pipeline.settled()]));
    await Promise.race([idle, sleep(shutdown.grace)]);
    const cut = listener.inFlight;
    upstream.close();
    pipeline.endWaits();
    const answered = pipeline.settled().then(() => listener.refuseRest()); // unfinished deliveries are stored first
    await Promise.race([answered, late]);
    listener.cutAll();
    await nextTurn(); // lets the cut requests be recorded
    if (cut > 0) log.warn('requests were cut at the end of shutdown.grace', { cut });
    return { cut, late, until };
  }
}

function whyNone({ materials, policy }: Ruleset, route: Route, at: number): string {
  const broken = materials.filter(
    ({ kind, id, key }) => key === null && (kind !== 'secret' || isListed(id, route.secrets)),
  );
  const outside = policy.keyring.whyNoneLive(route.secrets, at);
  const causes = [...broken.map(({ id, problem }) => `${id}: ${problem}`), ...(outside === null ? [] : [outside])];
  if (causes.length > 0) return ` (${causes.join('; ')})`;
  return materials.length === 0 ? ' (none is configured)' : '';
}
