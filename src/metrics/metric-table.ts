// The one table of metrics: exposition, docs/metrics.md and the tests follow from it. Labels come from the
// config and from closed sets alone; no text from a client may ever become a label.

export const PREFIX = 'entrupy_proxy_';

export type MetricType = 'counter' | 'gauge' | 'histogram';

export interface MetricRow {
  readonly type: MetricType;
  readonly labels: readonly string[];
  /** One sentence, without quotes. */
  readonly help: string;
  /** Upper bounds of a histogram, ascending, without +Inf: nine at most. */
  readonly buckets?: readonly number[];
  /** The routes or secrets that have a series; all by default. HELP and TYPE are always there. */
  readonly when?: string;
}

const SECONDS = [0.001, 0.005, 0.025, 0.05, 0.1, 0.25, 1, 5, 30];
const HMAC_SECONDS = [0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.001, 0.005, 0.025, 0.1];
const BYTES = [256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216];

const VERIFY = 'routes that verify';
const FORWARDING = 'routes that verify or forward';

export const METRICS = {
  requests_total: {
    type: 'counter',
    labels: ['route', 'decision', 'reason'],
    help: 'Requests that have ended, by what was decided and why.',
  },
  request_duration_seconds: {
    type: 'histogram',
    labels: ['route', 'decision'],
    help: 'Time from the head of the request to its end.',
    buckets: SECONDS,
  },
  verification_duration_seconds: {
    type: 'histogram',
    labels: ['route'],
    help: 'Time of the HMAC and compare alone.',
    buckets: HMAC_SECONDS,
    when: VERIFY,
  },
  request_body_bytes: {
    type: 'histogram',
    labels: ['route'],
    help: 'Bytes of request body received; requests refused before their body are not counted.',
    buckets: BYTES,
    when: FORWARDING,
  },
  requests_in_flight: { type: 'gauge', labels: [], help: 'Requests that have begun and not ended.' },
  connections: { type: 'gauge', labels: [], help: 'Open connections from clients.' },
  buffered_bytes: { type: 'gauge', labels: [], help: 'Bytes of verified bodies held at this moment.' },
  buffered_bytes_limit: { type: 'gauge', labels: [], help: 'Bytes of verified bodies that may be held at once.' },
  upstream_responses_total: {
    type: 'counter',
    labels: ['route', 'code'],
    help: 'Responses of the upstream, by class of status; an interim response counts as 1xx.',
    when: FORWARDING,
  },
  upstream_failures_total: {
    type: 'counter',
    labels: ['route', 'cause'],
    help: 'Requests for which the upstream gave no whole response.',
    when: FORWARDING,
  },
  upstream_duration_seconds: {
    type: 'histogram',
    labels: ['route'],
    help: 'Time from the dispatch to the head of the response of the upstream.',
    buckets: SECONDS,
    when: FORWARDING,
  },
  secret_matches_total: {
    type: 'counter',
    labels: ['route', 'secret'],
    help: 'Signatures that this secret verified.',
    when: VERIFY,
  },
  secret_last_match_timestamp_seconds: {
    type: 'gauge',
    labels: ['secret'],
    help: 'When this secret last verified a signature; 0 until it did in this process.',
  },
  secret_live: { type: 'gauge', labels: ['secret'], help: '1 where the secret can verify now, else 0.' },
  secret_not_after_timestamp_seconds: {
    type: 'gauge',
    labels: ['secret'],
    help: 'When the secret stops verifying.',
    when: 'secrets that have a notAfter or an overlap',
  },
  secret_changed_timestamp_seconds: {
    type: 'gauge',
    labels: ['secret'],
    help: 'When this process last took a new value of the secret while it ran; 0 until it did.',
    when: 'every secret but replaced values',
  },
  tls_certificate_not_after_timestamp_seconds: {
    type: 'gauge',
    labels: ['certificate'],
    help: 'When the TLS certificate in use expires.',
    when: 'certificates that are configured',
  },
  route_report_mode: {
    type: 'gauge',
    labels: ['route'],
    help: '1 where the route forwards what it would have refused, else 0.',
    when: VERIFY,
  },
  upstream_exposed: {
    type: 'gauge',
    labels: [],
    help: '1 where the port of the upstream also answers past the proxy, else 0.',
    when: 'with upstream.checkExposure',
  },
  once_entries: {
    type: 'gauge',
    labels: [],
    help: 'Delivered events that the memory store remembers; with Redis, the claims that this process holds at the moment.',
    when: 'where a route has once',
  },
  once_store_failures_total: {
    type: 'counter',
    labels: [],
    help: 'Times the store of delivered events did not answer.',
    when: 'where a route has once',
  },
  reloads_total: { type: 'counter', labels: ['result'], help: 'Reloads of config, secrets or TLS files.' },
  last_reload_successful: {
    type: 'gauge',
    labels: [],
    help: '1 where the last reload, or the start, succeeded, else 0.',
  },
  last_reload_success_timestamp_seconds: {
    type: 'gauge',
    labels: [],
    help: 'When the last reload, or the start, succeeded.',
  },
  config_info: { type: 'gauge', labels: ['sha256'], help: 'Always 1; sha256 is that of the config file.' },
  build_info: { type: 'gauge', labels: ['version', 'node_version'], help: 'Always 1.' },
} as const satisfies Record<string, MetricRow>;

export type MetricName = keyof typeof METRICS;
export const METRIC_NAMES = Object.keys(METRICS) as readonly MetricName[];

/** The closed set of `code` in `upstream_responses_total`. */
export const STATUS_CLASSES = ['1xx', '2xx', '3xx', '4xx', '5xx'] as const;

/**
 * The metrics of prom-client that are exposed, in its order: the first of each group reads the values of all of it. A
 * closed list: an update of prom-client must not add one that docs/metrics.md does not name. Left out are three gauges
 * named `_total`, which promtool flags.
 */
export const PROCESS_METRICS = [
  'process_cpu_user_seconds_total',
  'process_cpu_system_seconds_total',
  'process_cpu_seconds_total',
  'process_start_time_seconds',
  'process_resident_memory_bytes',
  'process_virtual_memory_bytes',
  'process_heap_bytes',
  'process_open_fds',
  'process_max_fds',
  'nodejs_eventloop_lag_seconds',
  'nodejs_eventloop_lag_min_seconds',
  'nodejs_eventloop_lag_max_seconds',
  'nodejs_eventloop_lag_mean_seconds',
  'nodejs_eventloop_lag_stddev_seconds',
  'nodejs_eventloop_lag_p50_seconds',
  'nodejs_eventloop_lag_p90_seconds',
  'nodejs_eventloop_lag_p99_seconds',
  'nodejs_active_resources',
  'nodejs_active_handles',
  'nodejs_active_requests',
  'nodejs_heap_size_total_bytes',
  'nodejs_heap_size_used_bytes',
  'nodejs_external_memory_bytes',
  'nodejs_heap_space_size_total_bytes',
  'nodejs_heap_space_size_used_bytes',
  'nodejs_heap_space_size_available_bytes',
  'nodejs_version_info',
  'nodejs_gc_duration_seconds',
] as const;
