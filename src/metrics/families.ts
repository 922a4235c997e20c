// Which samples each metric of the table has at this moment. The record below has one entry a row: a metric without a
// way to read it does not compile.
import type { Cell, Family, HistogramCell, Labels, Sample } from './cells.ts';
import { METRIC_NAMES, METRICS, type MetricName, PREFIX } from './metric-table.ts';
import type { RouteCells } from './route-cells.ts';
import type { GaugeSources, MetricState } from './series-plan.ts';

type Collectors = Readonly<Record<MetricName, (name: string) => readonly Sample[]>>;

/** One family for each row of the table, in its order. */
export function plannedFamilies(state: MetricState, sources: GaugeSources): readonly Family[] {
  const collectors: Collectors = {
    ...requestCollectors(state),
    ...secretCollectors(state),
    ...stateCollectors(state, sources),
  };
  return METRIC_NAMES.map((short) => {
    const name = PREFIX + short;
    const { help, type } = METRICS[short];
    return { name, help, type, collect: () => collectors[short](name) };
  });
}

function requestCollectors(state: MetricState) {
  const cells = (pick: (route: RouteCells) => Iterable<Cell>) => () =>
    [...state.routes.values()].flatMap((route) => [...pick(route)]);
  const histograms = (pick: (route: RouteCells) => Iterable<HistogramCell | null | undefined>) => (name: string) =>
    [...state.routes.values()].flatMap((route) => [...pick(route)].flatMap((cell) => cell?.samples(name) ?? []));
  return {
    requests_total: cells((route) => [...route.outcomes()].map((outcome) => outcome.requests)),
    request_duration_seconds: histograms((route) => route.durations.values()),
    verification_duration_seconds: histograms((route) => [route.verification]),
    request_body_bytes: histograms((route) => [route.body]),
    upstream_responses_total: cells((route) => route.upstream?.responses ?? []),
    upstream_failures_total: cells((route) => Object.values(route.upstream?.failures ?? {})),
    upstream_duration_seconds: histograms((route) => [route.upstream?.duration]),
    secret_matches_total: cells((route) => route.secrets.values()),
  };
}

function secretCollectors(state: MetricState) {
  return {
    secret_last_match_timestamp_seconds: () => [...state.lastMatches.values()],
    secret_changed_timestamp_seconds: () => [...state.changes.values()],
    secret_live: () => state.plan.secrets.map(({ id, live }) => sample(live() ? 1 : 0, { secret: id })),
    secret_not_after_timestamp_seconds: () =>
      state.plan.secrets.flatMap(({ id, notAfter }) =>
        notAfter === null ? [] : [sample(notAfter / 1000, { secret: id })],
      ),
  };
}

function stateCollectors(state: MetricState, sources: GaugeSources) {
  const one = (read: () => number) => () => [sample(read())];
  const verifying = () => state.plan.routes.filter((route) => route.shape.action === 'verify');
  return {
    requests_in_flight: one(sources.inFlight),
    connections: one(sources.connections),
    buffered_bytes: one(sources.bufferedBytes),
    buffered_bytes_limit: one(sources.bufferedBytesLimit),
    route_report_mode: () =>
      verifying().map(({ label, reportActive }) => sample(reportActive() ? 1 : 0, { route: label })),
    upstream_exposed: () => (state.plan.checkExposure ? [sample(state.upstreamExposed ? 1 : 0)] : []),
    once_entries: () => (state.plan.once ? [sample(sources.onceEntries())] : []),
    once_store_failures_total: () => (state.plan.once ? [state.onceStoreFailures] : []),
    tls_certificate_not_after_timestamp_seconds: () =>
      state.plan.certificates.map(({ name, notAfter }) => sample(notAfter / 1000, { certificate: name })),
    reloads_total: () => [state.reloads.success, state.reloads.failure],
    last_reload_successful: one(() => (state.lastReloadOk ? 1 : 0)),
    last_reload_success_timestamp_seconds: one(() => state.lastReloadSuccessAt / 1000),
    config_info: () => [sample(1, { sha256: state.plan.configSha256 })],
    build_info: () => [sample(1, { version: sources.version, node_version: process.version })],
  };
}

function sample(value: number, labels: Labels = {}): Sample {
  return { value, labels };
}
