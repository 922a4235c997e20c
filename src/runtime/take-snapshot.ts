// The snapshot behind the status page and /api/status, taken from the parts of a running proxy.
import type { Probed, RouteStatus, SecretStatus, StatusSnapshot } from '../admin/status-snapshot.ts';
import { DOCS, VERSION } from '../base/version.ts';
import type { Config } from '../config/config.ts';
import type { Policy } from '../core/policy.ts';
import type { Route } from '../core/routes.ts';
import { stateOf } from '../core/secret-validity.ts';
import type { Deliveries } from '../once/deliveries.ts';
import type { SecretMaterial } from '../secrets/sources.ts';
import { deferredStatus, SignedWith } from './deferred-status.ts';
import type { LiveRuleset } from './live-ruleset.ts';
import { PROBE_TIMEOUT_MS, type Readiness } from './readiness.ts';
import { routesOf } from './ruleset.ts';
import { certificatesOf } from './tls-files.ts';

export async function probe(live: LiveRuleset, readiness: Readiness): Promise<Probed> {
  const [{ ready, causes }, error] = await Promise.all([
    readiness.check(),
    live.services.upstream.reachability.failure(PROBE_TIMEOUT_MS),
  ]);
  return { ready, causes, error };
}

/** `startedAt` is epoch milliseconds, as is `at` below. */
export function takeSnapshot(startedAt: number, live: LiveRuleset, probed: Probed): StatusSnapshot {
  const { listener, upstream, exposure, metrics, output, deliveries, redelivery } = live.services;
  const { ready, causes, error } = probed;
  const { draining } = listener;
  const { loaded, policy, materials } = live.ruleset;
  const { recent, refusals, undelivered } = live.services.recent.view();
  const at = Date.now();
  const signed = new SignedWith(redelivery.current);
  return {
    version: VERSION,
    nodeVersion: process.version,
    startedAt,
    now: at,
    ready,
    causes,
    draining,
    listen: { host: loaded.config.listen.host, port: listener.port, tls: loaded.config.listen.tls !== null },
    upstream: {
      ...{ url: upstream.options.url, reachable: error === null, error },
      ...{ exposed: exposure.state === 'exposed', exposure: exposure.state },
    },
    routes: routesOf(loaded.config).map((route) => ({
      ...routeStatus(route, policy, at),
      traffic: live.services.recent.traffic.of(route.path),
    })),
    secrets: materials.map((material) => ({
      ...secretStatus(material, at, metrics.lastMatch(material.id)),
      deferred: signed.of(material.key),
    })),
    config: {
      file: loaded.file,
      sha256: loaded.sha256,
      warnings: configWarnings(live),
      awaitingRestart: live.awaitingRestart,
    },
    connections: { open: listener.connections, limit: loaded.config.limits.connections },
    certificates: certificatesOf(loaded.config, live.ruleset),
    log: { dropped: output.dropped, lastDropped: output.lastDropped },
    lastReload: live.lastReload,
    once: onceStatus(deliveries(), loaded.config.once),
    deferred: deferredStatus(redelivery.current, loaded.config),
    recent,
    refusals,
    undelivered,
    docs: DOCS,
  };
}

function configWarnings({ ruleset: { loaded, warnings }, awaitingRestart }: LiveRuleset): readonly string[] {
  const waiting = awaitingRestart.join(', ');
  const restart = waiting === '' ? [] : [`changed, but takes effect only after a restart: ${waiting}`];
  return [...loaded.warnings.map(({ message }) => message), ...warnings, ...restart];
}

function routeStatus(route: Route, { keyring }: Policy, at: number): Omit<RouteStatus, 'traffic'> {
  const { path, action, mode, reportUntil, methods, query, once, redeliver } = route;
  const verifies = action === 'verify';
  const secretIds = verifies ? keyring.listed(route.secrets).map(({ id }) => id) : [];
  const liveSecrets = verifies ? keyring.live(route.secrets, at).length : 0;
  const maxBody = verifies ? route.maxBody : null;
  return { path, action, mode, reportUntil, methods, secretIds, liveSecrets, maxBody, query, once, redeliver };
}

/** `lastMatch` is epoch seconds. */
function secretStatus(material: SecretMaterial, at: number, lastMatch: number): Omit<SecretStatus, 'deferred'> {
  const { id, source, key, warnings, notBefore, notAfter, adoptedAt: changedAt } = material;
  const state = key === null ? 'unusable' : stateOf(material, at);
  const problem = material.problem ?? (warnings.join('; ') || null);
  return { id, source, state, problem, notBefore, notAfter, lastMatch, changedAt };
}

/** The state of `once`; null if no route has it. A store's URL may hold a user, so only its host is shown. */
function onceStatus(deliveries: Deliveries | null, { store, onStoreFailure }: Config['once']): StatusSnapshot['once'] {
  if (deliveries === null) return null;
  const host = store === 'memory' ? store : new URL(store).host;
  return { store: host, entries: deliveries.entries(), trouble: deliveries.failure, onStoreFailure };
}
