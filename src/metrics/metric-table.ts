// The one table of metrics: exposition, docs/metrics.md and the tests follow from it. Labels come from the config and
// from closed sets alone (core/reasons.ts, core/fate-by-status.ts): text from a client must never become a label.
import { possibleFates, REDELIVERY_RESULTS } from '../core/fate-by-status.ts';
import { possibleDecisions, UPSTREAM_FAILURES } from '../core/reasons.ts';
import { type Route, UNMATCHED } from '../core/routes.ts';

export const PREFIX = 'entrupy_proxy_';

export interface MetricRow {
  readonly labels?: readonly string[];
  /** One sentence, without quotes. */
  readonly help: string;
  /** Upper bounds of a histogram, ascending, without +Inf; at most nine. */
  readonly buckets?: readonly number[];
  /**
   * For a metric that events add to: the series of a route and its secrets, each as the values of its labels other than
   * `route`, such as `accepted none`. A metric without `series` is read at each scrape.
   */
  readonly series?: (route: Route, secrets: readonly string[]) => readonly string[];
}

const SECONDS = [0.001, 0.005, 0.025, 0.05, 0.1, 0.25, 1, 5, 30];
const HMAC_SECONDS = [0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.001, 0.005, 0.025, 0.1];
const BYTES = [256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216];

/** The closed set of `code` in `upstream_responses_total`. */
export const STATUS_CLASSES = ['1xx', '2xx', '3xx', '4xx', '5xx'] as const;

const forwarding =
  (values: readonly string[] = ['']) =>
  ({ action }: Route) =>
    action === 'reject' ? [] : values;

export const METRICS = {
  requests_total: {
    labels: ['route', 'decision', 'reason'],
    help: 'Requests that have ended, by decision and reason.',
    series: (route) => possibleDecisions(route).map((both) => both.join(' ')),
  },
  deliveries_total: {
    labels: ['route', 'fate'],
    help: 'Verified requests except probes, by what happened to them; counted when that is known.',
    series: possibleFates,
  },
  unverified_signatures_total: {
    labels: ['route'],
    help: 'Requests with a signature header that were forwarded without a verdict.',
    series: ({ action }) => (action === 'forward' ? [''] : []),
  },
  diagnosis: {
    labels: ['diagnosis', 'state', 'route'],
    help: 'Always 1, for each thing that is wrong now, as the status page says: docs/alerts.md has a section on each.',
  },
  connections_refused_total: {
    labels: ['cause'],
    help: 'Connections that were ended before any answer, since there were too many.',
  },
  request_duration_seconds: {
    labels: ['route', 'decision'],
    help: 'Time from the head of the request to its end.',
    buckets: SECONDS,
    series: (route) => possibleDecisions(route).map(([decision]) => decision),
  },
  verification_duration_seconds: {
    labels: ['route'],
    help: 'Time of the HMAC and the comparison alone.',
    buckets: HMAC_SECONDS,
    series: ({ action }) => (action === 'verify' ? [''] : []),
  },
  request_body_bytes: {
    labels: ['route'],
    help: 'Bytes of the request body; requests that are refused before their body is read are not counted.',
    buckets: BYTES,
    series: forwarding(),
  },
  requests_in_flight: { help: 'Requests in progress.' },
  connections: { help: 'Open connections from clients.' },
  buffered_bytes: { help: 'Bytes of bodies now buffered in memory.' },
  buffered_bytes_limit: { help: 'Bytes of bodies that may be buffered at once.' },
  upstream_responses_total: {
    labels: ['route', 'code'],
    help: 'Responses of the upstream, by status class; an interim response counts as 1xx.',
    series: forwarding(STATUS_CLASSES),
  },
  upstream_failures_total: {
    labels: ['route', 'cause'],
    help: 'Requests to which the upstream gave no complete response.',
    series: forwarding(UPSTREAM_FAILURES),
  },
  upstream_duration_seconds: {
    labels: ['route'],
    help: 'Time from the decision to forward to the head of the upstream response, waits for a connection included.',
    buckets: SECONDS,
    series: forwarding(),
  },
  secret_matches_total: {
    labels: ['route', 'secret'],
    help: 'Signatures that this secret verified.',
    series: (_, secrets) => secrets,
  },
  secret_last_match_timestamp_seconds: {
    labels: ['secret'],
    help: 'When this secret last verified a signature in this process; 0 if it has not.',
  },
  secret_live: { labels: ['secret'], help: '1 if the secret can verify now, else 0.' },
  secret_not_after_timestamp_seconds: {
    labels: ['secret'],
    help: 'When the secret stops verifying.',
  },
  secret_changed_timestamp_seconds: {
    labels: ['secret'],
    help: 'When this process last loaded a new value of the secret after its start; 0 if it has not.',
  },
  tls_certificate_not_after_timestamp_seconds: {
    labels: ['certificate'],
    help: 'When the TLS certificate in use expires.',
  },
  route_report_mode: {
    labels: ['route'],
    help: '1 if the route forwards requests that it would otherwise refuse, else 0.',
  },
  upstream_exposed: {
    help: '1 if clients can bypass the proxy and reach the port of the upstream, else 0.',
  },
  once_entries: {
    help: 'Delivered events in the memory store; with Redis, the leases that this process holds now.',
  },
  once_store_failures_total: { help: 'Failures of the store of delivered events.' },
  deferred_deliveries: {
    labels: ['state'],
    help: 'Deliveries in the store of redelivery, as this process sees it.',
  },
  deferred_bytes: { labels: ['state'], help: 'Bytes of these deliveries; each counts 4 KiB at least.' },
  deferred_oldest_timestamp_seconds: {
    labels: ['state'],
    help: 'When the oldest of these deliveries came; 0 if there is none.',
  },
  redelivered_total: {
    labels: ['route', 'result'],
    help: 'Deferred deliveries that ended, or that are no longer sent by themselves.',
    // A stored delivery may outlast its route, and then counts as unmatched.
    series: ({ action, path }) => (action === 'verify' || path === UNMATCHED ? REDELIVERY_RESULTS : []),
  },
  deferred_store_failures_total: {
    help: 'Failures of the store of redelivery, a full one and one that is too slow included.',
  },
  log_lines_dropped_total: { help: 'Log lines that standard output did not take.' },
  reloads_total: { labels: ['result'], help: 'Reloads of config, secrets or TLS files.' },
  last_reload_successful: { help: '1 if the last reload, or the start, succeeded, else 0.' },
  last_reload_success_timestamp_seconds: { help: 'When a reload, or the start, last succeeded.' },
  config_info: { labels: ['sha256'], help: 'Always 1; sha256 is the hash of the config file.' },
  build_info: { labels: ['version', 'node_version'], help: 'Always 1.' },
} as const satisfies Record<string, MetricRow>;

export type MetricName = keyof typeof METRICS;
export const METRIC_NAMES = Object.keys(METRICS) as readonly MetricName[];

/** The names of counters, and no others, end in `_total`. */
export function typeOf(name: MetricName): 'counter' | 'gauge' | 'histogram' {
  if (name.endsWith('_total')) return 'counter';
  return 'buckets' in METRICS[name] ? 'histogram' : 'gauge';
}
