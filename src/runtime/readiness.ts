// Whether the proxy is ready, and why not; and the first look at the upstream.
import { setTimeout as sleep } from 'node:timers/promises';
import { isListed } from '../core/keyring.ts';
import type { Route } from '../core/routes.ts';
import type { Probed } from '../facts.ts';
import type { LiveRuleset } from './reload.ts';
import { type Ruleset, routesWithoutSecret } from './ruleset.ts';

/** The longest wait of a probe for the upstream, in milliseconds: a kubelet gives a probe a second. */
const PROBE_TIMEOUT_MS = 900;

export class Readiness {
  readonly #live: Pick<LiveRuleset, 'ruleset' | 'services'>;
  /** True once the proxy listens. */
  started = false;
  #wasReady = false;
  /** Why the upstream accepted no connection when it was last asked, as the system's code; null if it did. */
  #error: string | null = null;

  constructor(live: Pick<LiveRuleset, 'ruleset' | 'services'>) {
    this.#live = live;
  }

  /** Connects to the upstream; if that fails, again after a second. Logs if both fail: a wrong address then shows. */
  async checkUpstream(): Promise<void> {
    const { upstream, listener, log } = this.#live.services;
    if ((await upstream.tryConnect(PROBE_TIMEOUT_MS)) === null) return;
    await sleep(1000, undefined, { ref: false });
    const failure = await upstream.tryConnect(PROBE_TIMEOUT_MS);
    if (listener.draining || failure === null) return;
    log.warn('the upstream accepts no connections', { upstream: upstream.options.url, upstream_error: failure });
  }

  /**
   * Ready if the proxy listens, does not drain, and every enforcing route has a live secret. Once ready, it stays so if
   * a secret expires: that means 503, a metric and an alert, whereas unreadiness would take out every pod at once.
   * `asks`: whether to ask the upstream even if its answer does not count (`admin.readyNeedsUpstream`).
   */
  async now(asks: 'if it counts' | 'always' = 'if it counts'): Promise<Probed> {
    const { services } = this.#live;
    if (this.#counts || asks === 'always') this.#error = await services.upstream.connectFailure(PROBE_TIMEOUT_MS);
    const probed = this.unprobed();
    if (probed.ready) this.#wasReady = true;
    return probed;
  }

  get #counts(): boolean {
    return this.#live.ruleset.loaded.config.admin.readyNeedsUpstream;
  }

  /** The readiness without asking the upstream: its last answer counts, which proxy.ts renews each 15 s unless the app answers. */
  unprobed() {
    const { ruleset, services } = this.#live;
    const now = Date.now();
    const without = this.#wasReady ? [] : routesWithoutSecret(ruleset.policy, now);
    const causes = without.map((route) => `${route.path}: no live secret${whyNone(ruleset, route, now)}`);
    if (!this.started) causes.push('not listening yet');
    if (services.listener.draining) causes.push('draining');
    if (this.#counts && this.#error !== null) causes.push(`the upstream accepts no connections (${this.#error})`);
    return { ready: causes.length === 0, causes, error: this.#error };
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
