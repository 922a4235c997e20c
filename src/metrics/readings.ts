// The metrics that are read at each scrape: a row each says where. Those that requests add to are in recording.ts.
import { VERSION } from '../base/default-places.ts';
import { DEFERRED_STATES } from '../core/fate-by-status.ts';
import { isPrevious, stateOf } from '../core/keyring.ts';
import { deliversOnce, reports } from '../core/routes.ts';
import type { LiveRuleset } from '../runtime/reload.ts';
import type { MetricName } from './metric-table.ts';
import { type Reading, type RouteMetric, sample } from './series.ts';

/** The code does not compile if a metric lacks its reading. */
export type Readings = Readonly<Record<Exclude<MetricName, RouteMetric>, () => Reading>>;

const MOST_DIAGNOSES = 100;

export function readingsOf(live: Pick<LiveRuleset, 'services' | 'ruleset' | 'lastReload' | 'lastSuccess'>): Readings {
  const { metrics, lastMatch, health, listener, budget, exposure, once, redelivery, output } = live.services;
  const config = () => live.ruleset.loaded.config;
  /** One sample for each secret for which `read` does not return null. */
  const bySecret = (read: (secret: (typeof metrics.plan.secrets)[number]) => number | null) => () =>
    metrics.plan.secrets.flatMap((secret) => {
      const value = read(secret);
      return value === null ? [] : sample({ secret: secret.id }, value);
    });
  const ofOnce = (read: (opened: NonNullable<ReturnType<typeof once>>) => number) => () => {
    const opened = once();
    return deliversOnce(config()) ? Number(opened && read(opened)) : null;
  };
  const deferred = (read: (total: ReturnType<typeof redelivery.storeState.total>) => number) => () =>
    redelivery.isShown && redelivery.isCounted
      ? DEFERRED_STATES.map((state) => sample({ state }, read(redelivery.storeState.total(state))))
      : null;
  return {
    // One sample for each item that is wrong; its consequences have none.
    diagnosis: () =>
      health
        .advice()
        .filter(({ state }) => state === 'failed' || state === 'warning')
        .slice(0, MOST_DIAGNOSES)
        .map(({ id: diagnosis, state, route }) => sample({ diagnosis, state, route: route ?? '' }, 1)),
    connections_refused_total: () => Object.values(metrics.refusedConnections),
    requests_in_flight: () => listener.inFlight,
    connections: () => listener.connections,
    buffered_bytes: () => budget.used,
    buffered_bytes_limit: () => budget.limit,
    upstream_exposed: () => (config().upstream.checkExposure ? Number(exposure.state === 'exposed') : null),
    secret_last_match_timestamp_seconds: bySecret(({ key }) => lastMatch(key)),
    secret_changed_timestamp_seconds: bySecret(({ id, adoptedAt }) =>
      isPrevious(id) ? null : (adoptedAt ?? 0) / 1000,
    ),
    secret_live: bySecret((secret) => Number(secret.key !== null && stateOf(secret, Date.now()) === 'live')),
    secret_not_after_timestamp_seconds: bySecret(({ notAfter }) => notAfter && notAfter / 1000),
    tls_certificate_not_after_timestamp_seconds: () =>
      live.ruleset.certificates.map(({ certificate, notAfter }) => sample({ certificate }, notAfter / 1000)),
    route_report_mode: () =>
      metrics.plan.routes
        .filter(({ action }) => action === 'verify')
        .map((route) => sample({ route: route.path }, Number(reports(route, Date.now())))),
    once_entries: ofOnce(({ claims }) => claims.entries()),
    once_store_failures_total: ofOnce(({ claims }) => claims.failures),
    deferred_deliveries: deferred(({ deliveries }) => deliveries),
    deferred_bytes: deferred(({ bytes }) => bytes),
    deferred_oldest_timestamp_seconds: deferred(({ oldest }) => oldest / 1000),
    deferred_store_failures_total: () => (redelivery.isShown ? redelivery.storeState.failureCount : null),
    log_lines_dropped_total: () => output.dropped,
    reloads_total: () => Object.values(metrics.reloads),
    last_reload_successful: () => Number(live.lastReload?.ok ?? true),
    last_reload_success_timestamp_seconds: () => live.lastSuccess / 1000,
    config_info: () => [sample({ sha256: live.ruleset.loaded.sha256 }, 1)],
    build_info: () => [sample({ version: VERSION, node_version: process.version }, 1)],
  };
}
