// PromQL for the dashboard, written with the names of the metric table: a query must never name a metric or a label
// that does not exist. It works for one pod and for fifty, and without namespace and pod labels (docker run).
import type { PROCESS_METRICS } from '../scripts/generators/process-metrics.ts';
import { METRICS, type MetricName, type MetricRow, PREFIX, typeOf } from '../src/metrics/metric-table.ts';

const TARGET = 'job=~"$job",namespace=~"$namespace",pod=~"$pod"';

/** Requests that every public port gets, and clients that left: no sign of trouble. As in the alerts. */
const NOISE = 'reason!~"route_rejected|method_not_allowed|client_closed"';
export const REFUSED = `decision="rejected",${NOISE}`;
export const JUDGED = `decision!="forwarded",${NOISE}`;
export const SENT_ON = 'decision=~"accepted|forwarded|reported|deferred"';

/** The series of the selected targets, and of the selected routes if the metric has them. */
export function of(name: MetricName, matchers = ''): string {
  const { labels = [] }: MetricRow = METRICS[name];
  const all = [
    TARGET,
    ...(labels.includes('route') ? ['route=~"$route"'] : []),
    ...(matchers === '' ? [] : [matchers]),
  ];
  return `${PREFIX}${name}${typeOf(name) === 'histogram' ? '_bucket' : ''}{${all.join(',')}}`;
}

/** Only of the proxies: other programs of the same job also have metrics with this name. */
export function ofProcess(name: (typeof PROCESS_METRICS)[number]): string {
  return `(${name}{${TARGET}} and on (job, namespace, pod, instance) ${of('build_info')})`;
}

export function rate(series: string): string {
  return `rate(${series}[$__rate_interval])`;
}

/** Per second, over all pods. */
export function total(name: MetricName, matchers = ''): string {
  return `sum(${rate(of(name, matchers))})`;
}

export function totalBy(label: string, name: MetricName, matchers = ''): string {
  return `sum by (${label}) (${rate(of(name, matchers))})`;
}

/** No value, rather than NaN, if there were no requests. */
export function share(part: string, whole: string): string {
  return `${part} / (${whole} > 0)`;
}

export function quantile(q: number, name: MetricName, matchers = ''): string {
  return `histogram_quantile(${q}, sum by (le) (${rate(of(name, matchers))}))`;
}

export function count(series: string): string {
  return `count(${series}) or vector(0)`;
}

/** Enforcing routes without a live secret, on any pod. */
export const ROUTES_WITHOUT_SECRET = count(
  `group by (job, namespace, route) (${of('route_report_mode')} == 0 unless on (job, namespace, pod, instance, route) ` +
    `(${of('secret_matches_total')} and on (job, namespace, pod, instance, secret) ${of('secret_live')} == 1))`,
);

/** The number of configs in use, in the job that has most. */
export const CONFIGS = `max(count by (job, namespace) (group by (job, namespace, sha256) (${of('config_info')})))`;

export const UPSTREAM_FAILING = share(
  `(${total('upstream_failures_total')} + ${total('upstream_responses_total', 'code="5xx"')})`,
  total('requests_total', SENT_ON),
);

const LOST = [
  of('upstream_failures_total'),
  of('upstream_responses_total', 'code="5xx"'),
  of('requests_total', 'decision="rejected",reason="overloaded"'),
].map((series) => `increase(${series}[$__range])`);

/** Only of verify routes: no others have a series for report mode. */
const FAILED = `sum((${LOST.join(' or ')}) and on (job, namespace, pod, instance, route) ${of('route_report_mode')})`;

const increased = (series: string) => `(sum(increase(${series}[$__range])) or vector(0))`;

/** As in the alert: what was deferred is not lost before it ended in vain. */
export const FAILED_DELIVERIES =
  `clamp_min(${FAILED} - 1.02 * ${increased(of('requests_total', 'decision="deferred"'))}, 0) + ` +
  increased(of('redelivered_total', 'result=~"client_error|expired|dropped|unverified"'));

export const ALERTS_FIRING =
  'ALERTS{alertname=~"EntrupyProxy.+",alertstate="firing",job=~"$job",namespace=~"$namespace"}';
