// Whether the proxy has started and is ready: the answers of its probes.
import type { StatusSnapshot } from '../admin/status-snapshot.ts';
import { isListed } from '../core/keyring.ts';
import type { Route } from '../core/routes.ts';
import type { LiveRuleset } from './live-ruleset.ts';
import { type Ruleset, routesWithoutSecret } from './ruleset.ts';

/** The longest wait of a probe for the upstream, in milliseconds: a kubelet gives a probe a second. */
export const PROBE_TIMEOUT_MS = 900;

export class Readiness {
  readonly #live: Pick<LiveRuleset, 'ruleset' | 'services'>;
  /** True once the proxy listens. */
  started = false;
  #wasReady = false;

  constructor(live: Pick<LiveRuleset, 'ruleset' | 'services'>) {
    this.#live = live;
  }

  /**
   * Ready when it listens and every enforcing route has a live secret. Once it was ready, an expired secret no longer
   * counts here: it means 503, a metric and an alert, whereas not being ready would take out every pod at once.
   */
  async check(): Promise<Pick<StatusSnapshot, 'ready' | 'causes'>> {
    const { ruleset, services } = this.#live;
    const { config } = ruleset.loaded;
    const now = Date.now();
    const without = this.#wasReady ? [] : routesWithoutSecret(config, ruleset.policy, now);
    const causes = without.map((route) => `${route.path}: no live secret${whyNone(ruleset, route, now)}`);
    if (!this.started) causes.push('not listening yet');
    if (services.listener.draining) causes.push('draining');
    const failure = config.admin.readyNeedsUpstream
      ? await services.upstream.reachability.failure(PROBE_TIMEOUT_MS)
      : null;
    if (failure !== null) causes.push(`the upstream accepts no connections (${failure})`);
    if (causes.length === 0) this.#wasReady = true;
    return { ready: causes.length === 0, causes };
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
