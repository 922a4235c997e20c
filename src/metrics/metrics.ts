// The metrics: one method for each event, which adds to plain numbers. The set of series follows only from the plan; a
// client must never be able to add one.

import { VERSION } from '../base/version.ts';
import { currentOf, isListed, isPrevious, type Secret } from '../core/keyring.ts';
import type { DeferredTotals, RedeliveryResult, RequestRecord } from '../core/request-record.ts';
import { type Route, reports, UNMATCHED } from '../core/routes.ts';
import { stateOf } from '../core/secret-validity.ts';
import { type Cell, cell, type HistogramCell, RouteCells, type Sample } from './cells.ts';
import type { createExposition } from './exposition.ts';
import type { MetricName } from './metric-table.ts';

/** Which series exist. Labels come from the config, never from a request. */
export interface SeriesPlan {
  /** Includes `unmatched`. */
  readonly routes: readonly Route[];
  /** One per id; `key` is null if the secret can't be used. */
  readonly secrets: readonly (Omit<Secret, 'key'> & { readonly key: Secret['key'] | null })[];
  /** When each expires, in epoch milliseconds; null if it is not configured. */
  readonly certificates: Readonly<Record<'listen' | 'upstream_client', number | null>>;
  /** Of the config file; never of a secret. */
  readonly configSha256: string;
  readonly checkExposure: boolean;
}

/** Numbers that other parts hold, read at each scrape. */
type Gauges = Readonly<
  Record<
    | 'requests_in_flight'
    | 'connections'
    | 'buffered_bytes'
    | 'buffered_bytes_limit'
    | 'upstream_exposed'
    | 'once_entries'
    | 'once_store_failures_total'
    | 'deferred_store_failures_total'
    | 'log_lines_dropped_total',
    () => number
  >
> & { readonly deferred: () => DeferredTotals };

/**
 * How to read each metric: its samples, or its value if it has no labels. `name` is the family's. A metric without an
 * entry does not compile.
 */
export type Collectors = Readonly<Record<MetricName, (name: string) => number | readonly Sample[]>>;

export class Metrics {
  readonly #now: () => number;
  #plan: SeriesPlan;
  #gauges: Gauges | null = null;
  #exposition: Promise<ReturnType<typeof createExposition>> | null = null;
  #routes = new Map<string, RouteCells>();
  /** By id: the last match, and the last new value after the start, in epoch seconds; 0 if there was none. */
  #secrets = new Map<string, { matched: number; changed: number }>();
  readonly #reloads = { success: cell({ result: 'success' }), failure: cell({ result: 'failure' }) };
  #lastReloadOk = true;
  /** Epoch seconds. */
  #lastReloadSuccess: number;

  /** `now` returns epoch milliseconds. */
  constructor(plan: SeriesPlan, now: () => number) {
    this.#now = now;
    this.#plan = plan;
    this.#lastReloadSuccess = now() / 1000;
    this.replan(plan);
  }

  /** Sets the sources of the gauges, which have no series before. */
  watch(gauges: Gauges): void {
    this.#gauges = gauges;
  }

  /**
   * Called once for each request, when it has ended. It takes 0.1 µs for an accepted one; prom-client's labelled calls
   * take 2. If a reload has removed the route meanwhile, the request counts as `unmatched`.
   */
  record(r: RequestRecord): void {
    const route = this.#routes.get(r.route) ?? this.#routes.get(UNMATCHED);
    const decision = route?.decisions.get(r.decision);
    const requests = decision?.requests.get(r.reason);
    // Not in the plan: losing a count is better than adding a series.
    if (route === undefined || decision === undefined || requests === undefined) return;
    requests.value++;
    decision.duration.observe(r.durationMs / 1000);
    if (r.verifyMs >= 0) route.verification?.observe(r.verifyMs / 1000);
    if (r.bodyBytes > 0 || r.verifyMs >= 0 || r.decision !== 'rejected') route.body?.observe(r.bodyBytes);
    if (r.upstreamStatus > 0) increment(route.responses[Math.floor(r.upstreamStatus / 100) - 1]);
    if (r.interims > 0) increment(route.responses[0], r.interims);
    if (r.upstreamMs >= 0) route.upstream?.observe(r.upstreamMs / 1000);
    if (r.upstreamFailure !== null) increment(route.failures.get(r.upstreamFailure));
    if (r.secret === null) return;
    increment(route.secrets.get(r.secret));
    const secret = this.#secrets.get(r.secret);
    if (secret !== undefined) secret.matched = this.#now() / 1000;
  }

  /** `route`: as configured; one that is not configured counts as `unmatched`. */
  redelivered(route: string, result: RedeliveryResult): void {
    const count = this.#routes.get(route)?.redelivered.get(result);
    increment(count ?? this.#routes.get(UNMATCHED)?.redelivered.get(result));
  }

  /** Adapts the series to a new plan: new ones begin at 0, others keep counting, those not in the plan are removed. */
  replan(plan: SeriesPlan): void {
    this.#plan = plan;
    this.#routes = new Map(plan.routes.map(({ path }) => [path, this.#routes.get(path) ?? new RouteCells()]));
    for (const route of plan.routes) {
      const usable = plan.secrets.filter(({ id, key }) => key !== null && isListed(id, route.secrets));
      this.#routes.get(route.path)?.adapt(route, route.action === 'verify' ? usable.map(({ id }) => id) : []);
    }
    this.#secrets = new Map(plan.secrets.map(({ id }) => [id, this.#secrets.get(id) ?? { matched: 0, changed: 0 }]));
  }

  reloaded(result: 'success' | 'failure'): void {
    this.#reloads[result].value++;
    this.#lastReloadOk = result === 'success';
    if (this.#lastReloadOk) this.#lastReloadSuccess = this.#now() / 1000;
  }

  /** Records which secrets have a new or first value. A value that became `<id>.previous` keeps its last match. */
  valuesChanged(secretIds: readonly string[]): void {
    const known = (id: string) => this.#secrets.get(id) ?? { matched: 0, changed: 0 };
    const [previous, current] = [secretIds.filter(isPrevious), secretIds.filter((id) => !isPrevious(id))];
    for (const id of previous) known(id).matched = known(currentOf(id)).matched;
    for (const id of current) Object.assign(known(id), { matched: 0, changed: this.#now() / 1000 });
  }

  /** When the secret last matched in this process, in epoch seconds; 0 if it has not. */
  lastMatch(secretId: string): number {
    return this.#secrets.get(secretId)?.matched ?? 0;
  }

  /** Loads prom-client and starts to watch the event loop and the garbage collector; `expose` calls it if needed. */
  prepare() {
    this.#exposition ??= import('./exposition.ts').then(({ createExposition }) =>
      createExposition({ ...this.#requestCollectors(), ...this.#stateCollectors() }),
    );
    return this.#exposition;
  }

  async expose(accept: string | undefined) {
    return (await this.prepare())(accept);
  }

  #requestCollectors() {
    const cells = (pick: (route: RouteCells) => Iterable<Cell>) => () =>
      [...this.#routes.values()].flatMap((route) => [...pick(route)]);
    const histograms = (pick: (route: RouteCells) => Iterable<HistogramCell | null | undefined>) => (name: string) =>
      [...this.#routes.values()].flatMap((route) => [...pick(route)].flatMap((each) => each?.samples(name) ?? []));
    return {
      requests_total: cells(({ decisions }) => decisions.values().flatMap(({ requests }) => requests.values())),
      request_duration_seconds: histograms(({ decisions }) => decisions.values().map(({ duration }) => duration)),
      verification_duration_seconds: histograms((route) => [route.verification]),
      request_body_bytes: histograms((route) => [route.body]),
      upstream_responses_total: cells((route) => route.responses),
      upstream_failures_total: cells((route) => route.failures.values()),
      upstream_duration_seconds: histograms((route) => [route.upstream]),
      secret_matches_total: cells((route) => route.secrets.values()),
    };
  }

  #stateCollectors() {
    const gauge = (name: Exclude<keyof Gauges, 'deferred'>) => () => this.#gauges?.[name]() ?? [];
    const once = () => this.#plan.routes.some((route) => route.once !== null);
    const redelivers = () => this.#plan.routes.some((route) => route.redeliver !== null);
    const deferred = (read: (total: DeferredTotals[keyof DeferredTotals]) => number) => () => {
      const totals = redelivers() ? this.#gauges?.deferred() : undefined;
      return Object.entries(totals ?? {}).map(([state, total]) => cell({ state }, read(total)));
    };
    const verifying = () => this.#plan.routes.filter(({ action }) => action === 'verify');
    const isLive = (secret: SeriesPlan['secrets'][number]) =>
      secret.key !== null && stateOf(secret, this.#now()) === 'live';
    return {
      requests_in_flight: gauge('requests_in_flight'),
      connections: gauge('connections'),
      buffered_bytes: gauge('buffered_bytes'),
      buffered_bytes_limit: gauge('buffered_bytes_limit'),
      secret_last_match_timestamp_seconds: () =>
        [...this.#secrets].map(([secret, { matched }]) => cell({ secret }, matched)),
      secret_changed_timestamp_seconds: () =>
        [...this.#secrets].flatMap(([secret, { changed }]) => (isPrevious(secret) ? [] : [cell({ secret }, changed)])),
      secret_live: () => this.#plan.secrets.map((secret) => cell({ secret: secret.id }, isLive(secret) ? 1 : 0)),
      secret_not_after_timestamp_seconds: () =>
        this.#plan.secrets.flatMap(({ id, notAfter }) =>
          notAfter === null ? [] : [cell({ secret: id }, notAfter / 1000)],
        ),
      route_report_mode: () =>
        verifying().map((route) => cell({ route: route.path }, reports(route, this.#now()) ? 1 : 0)),
      upstream_exposed: () => (this.#plan.checkExposure ? gauge('upstream_exposed')() : []),
      once_entries: () => (once() ? gauge('once_entries')() : []),
      once_store_failures_total: () => (once() ? gauge('once_store_failures_total')() : []),
      deferred_deliveries: deferred(({ deliveries }) => deliveries),
      deferred_bytes: deferred(({ bytes }) => bytes),
      deferred_oldest_timestamp_seconds: deferred(({ oldest }) => oldest / 1000),
      redelivered_total: () =>
        redelivers() ? [...this.#routes.values()].flatMap(({ redelivered }) => [...redelivered.values()]) : [],
      deferred_store_failures_total: () => (redelivers() ? gauge('deferred_store_failures_total')() : []),
      log_lines_dropped_total: gauge('log_lines_dropped_total'),
      tls_certificate_not_after_timestamp_seconds: () =>
        Object.entries(this.#plan.certificates).flatMap(([certificate, notAfter]) =>
          notAfter === null ? [] : [cell({ certificate }, notAfter / 1000)],
        ),
      reloads_total: () => [this.#reloads.success, this.#reloads.failure],
      last_reload_successful: () => Number(this.#lastReloadOk),
      last_reload_success_timestamp_seconds: () => this.#lastReloadSuccess,
      config_info: () => [cell({ sha256: this.#plan.configSha256 }, 1)],
      build_info: () => [cell({ version: VERSION, node_version: process.version }, 1)],
    };
  }
}

function increment(found: Cell | undefined, by = 1): void {
  if (found !== undefined) found.value += by;
}
