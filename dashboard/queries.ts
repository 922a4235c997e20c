// PromQL for the dashboard, written with the names of the metric table: a query must never name a metric or a label
// that does not exist. It works for one pod and for fifty, and without namespace and pod labels (docker run).
import type { PROCESS_METRICS } from '../scripts/generators/process-metrics.ts';
import { METRICS, type MetricName, type MetricRow, PREFIX, typeOf } from '../src/metrics/metric-table.ts';

const TARGET = 'job=~"$job",namespace=~"$namespace",pod=~"$pod"';

/** Requests that every public port gets, and clients that left: no sign of trouble. As in the alerts. */
const NOISE = 'reason!~"route_rejected|method_not_allowed|client_closed"';
export const REFUSED = `decision="rejected",${NOISE}`;
export const JUDGED = `decision!~"forwarded|probe",${NOISE}`;
/** One Prometheus may see several releases: what belongs to one is never added to, or compared with, another's. */
export const RELEASE = 'job, namespace';
export const OF_RELEASE = '({{namespace}} {{job}})';
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

/** What is wrong, by the pods' own judgement, in this state; what concerns no route is of every route. */
export function wrong(state: string): string {
  return of('diagnosis', state).replace('route=~"$route"', 'route=~"$route|"');
}

const changed = of('secret_changed_timestamp_seconds');
const started = ofProcess('process_start_time_seconds');

/**
 * Pods whose configuration differs from that of most, and pods that ran already when another took a new value of a secret,
 * and have not taken it: their kubelet is more than five minutes behind.
 */
export const DIFFERING =
  `(sum(count by (job, namespace) (${of('build_info')}) - max by (job, namespace) (count by (job, namespace, sha256) (${of('config_info')}))) or vector(0)) + ` +
  `(count(group by (job, namespace, pod, instance) (${changed} < on (job, namespace, secret) group_left () max by (job, namespace, secret) (${changed} > 0) - 300 ` +
  `and on (job, namespace, pod, instance, secret) (${changed} * 0 + on (job, namespace, pod, instance) group_left () ${started} ` +
  `< on (job, namespace, secret) group_left () max by (job, namespace, secret) (${changed} > 0) - 120))) or vector(0))`;

/** As the alert. */
export const LOST_DELIVERIES =
  `sum(increase(${of('deliveries_total', 'fate=~"failed|abandoned"')}[$__range]) ` +
  `or increase(${of('redelivered_total', 'result="lost"')}[$__range]))`;

export const ALERTS_FIRING =
  'ALERTS{alertname=~"EntrupyProxy.+",alertstate="firing",job=~"$job",namespace=~"$namespace"}';
