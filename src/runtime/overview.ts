// What the running policy looks like from outside: the series that metrics keep, the status page's tables, readiness.

import type { OnceStatus, RouteStatus, SecretStatus } from '../admin/status.ts';
import type { Config } from '../config/config.ts';
import { isListed, stateOf } from '../core/policy.ts';
import { type Route, reports } from '../core/routes.ts';
import type { CertificatePlan, SeriesPlan } from '../metrics/metrics.ts';
import type { Deliveries } from '../once/deliveries.ts';
import type { SecretMaterial } from '../secrets/material.ts';
import { readCertificate } from '../secrets/pem.ts';
import type { TlsContents } from '../wire/sockets.ts';
import { routesOf } from './policy.ts';
import type { Ruleset } from './ruleset.ts';

/** The ids of usable secrets that the route may use. */
function idsOf(ruleset: Ruleset, route: Route): readonly string[] {
  if (route.action !== 'verify') return [];
  return ruleset.policy.keyring.listed(route.secrets).map((secret) => secret.id);
}

/** Null where no route has `once`. `store` is `memory` or a URL, of which people see no more than the host. */
export function onceStatus(
  deliveries: Deliveries | null,
  { store, onStoreFailure }: Config['once'],
): OnceStatus | null {
  if (deliveries === null) return null;
  const { entries, trouble } = deliveries;
  return { store: store === 'memory' ? store : `${new URL(store).host}`, entries, trouble, onStoreFailure };
}

export function seriesPlan({ loaded, materials, listenTls, upstreamTls }: Ruleset): SeriesPlan {
  return {
    routes: routesOf(loaded.config),
    secrets: named(materials),
    certificates: [...certificateOf('listen', listenTls), ...certificateOf('upstream_client', upstreamTls)],
    configSha256: loaded.sha256,
    checkExposure: loaded.config.upstream.checkExposure,
  };
}

function certificateOf(name: CertificatePlan['name'], tls: TlsContents | null): readonly CertificatePlan[] {
  const certificate = tls?.cert === undefined ? null : readCertificate(tls.cert);
  return certificate === null ? [] : [{ name, notAfter: certificate.validToDate.getTime() }];
}

/** One for each id, the usable one where two claim it. A directory that can't be used is reported among them, but is none. */
function named(materials: readonly SecretMaterial[]): readonly SecretMaterial[] {
  const byId = new Map<string, SecretMaterial>();
  for (const material of materials) {
    if (!material.id.includes(' ') && (byId.get(material.id)?.key ?? null) === null) byId.set(material.id, material);
  }
  return [...byId.values()];
}

export function routeStatuses(ruleset: Ruleset, at: number): readonly RouteStatus[] {
  const { keyring } = ruleset.policy;
  return routesOf(ruleset.loaded.config).map((route) => ({
    path: route.path,
    action: route.action,
    mode: route.mode,
    reportUntil: route.reportUntil,
    methods: route.methods,
    secretIds: idsOf(ruleset, route),
    liveSecrets: route.action === 'verify' ? keyring.live(route.secrets, at).length : 0,
    maxBody: route.action === 'verify' ? route.maxBody : null,
    query: route.query,
    once: route.once,
  }));
}

export function secretStatuses(
  ruleset: Ruleset,
  at: number,
  lastMatch: (id: string) => number,
): readonly SecretStatus[] {
  return ruleset.materials.map((material) => ({
    id: material.id,
    source: material.source,
    state: material.key === null ? 'unusable' : stateOf(material, at),
    problem: material.problem ?? (material.warnings.length > 0 ? material.warnings.join('; ') : null),
    notBefore: material.notBefore,
    notAfter: material.notAfter,
    lastMatch: lastMatch(material.id),
  }));
}

/** Enforcing routes that have nothing to verify with: each a cause of not being ready at start, and of 503s. */
export function routesWithoutSecret(ruleset: Ruleset, at: number): readonly string[] {
  const { policy, loaded } = ruleset;
  return routesOf(loaded.config)
    .filter((route) => route.action === 'verify' && !reports(route, at))
    .filter((route) => policy.keyring.live(route.secrets, at).length === 0)
    .map((route) => `${route.path}: no live secret${whyNone(ruleset, route, at)}`);
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
