// The dashboard's first row: what is wrong now and what was, as the pods' status pages judge it; then numbers whose colour
// says what needs attention.
import { BAD, GOOD, LOOK, type Panel, stat, table, timeline } from './panels.ts';
import {
  ALERTS_FIRING,
  count,
  DIFFERING,
  JUDGED,
  LOST_DELIVERIES,
  OF_RELEASE,
  of,
  REFUSED,
  RELEASE,
  share,
  total,
  wrong,
} from './queries.ts';

const DAY = 86_400;
const NOTHING = 'nothing is wrong';

export function verdictRow(): Panel[] {
  const small = { width: 3, height: 4 };
  const none = [
    { value: null, color: GOOD },
    { value: 1, color: BAD },
  ];
  const alarm = (look: number, bad: number) => [
    { value: null, color: GOOD },
    { value: look, color: LOOK },
    { value: bad, color: BAD },
  ];
  return [
    table({
      title: 'Wrong now',
      description:
        'What the status pages say now: failed is red there, warning is yellow. Each diagnosis has its own section in the runbook.',
      runbook: 'diagnoses',
      width: 24,
      height: 6,
      keys: ['state', 'diagnosis', 'route', 'job', 'namespace'],
      sortBy: 'state',
      colors: { state: { failed: BAD, warning: LOOK } },
      noValue: NOTHING,
      columns: [
        {
          name: 'pods',
          // A null cell would show `noValue`.
          expr: `label_replace(count by (state, diagnosis, route, job, namespace) (${wrong('state=~"failed|warning"')}), "route", "–", "route", "")`,
          unit: 'none',
          pixels: 60,
        },
      ],
    }),
    timeline({
      title: 'Wrong until now',
      description:
        'The same over time, one line for each diagnosis, route and release: red while it was failed on any pod.',
      runbook: 'diagnoses',
      width: 24,
      height: 6,
      queries: [
        {
          expr: `max by (diagnosis, route, ${RELEASE}) (${wrong('state="failed"')} * 2 or ${wrong('state="warning"')})`,
          legend: `{{diagnosis}} {{route}} ${OF_RELEASE}`,
        },
      ],
      states: { 1: { text: 'warning', color: LOOK }, 2: { text: 'failed', color: BAD } },
      noValue: NOTHING,
    }),
    stat({
      ...small,
      title: 'Refused',
      description:
        'Share of the requests that are refused. Requests that a forward route forwarded, rejected paths and wrong methods do not count.',
      runbook: 'another-secret',
      query: share(total('requests_total', REFUSED), total('requests_total', JUDGED)),
      unit: 'percentunit',
      thresholds: alarm(0.01, 0.05),
      noValue: 'no requests',
    }),
    stat({
      ...small,
      title: 'May be lost',
      description:
        'Deliveries in this time range that failed, were abandoned by their sender, or were lost from the store. Entrupy documents no retry.',
      runbook: 'entrupyproxydeliverieslost',
      query: LOST_DELIVERIES,
      unit: 'short',
      thresholds: none,
    }),
    stat({
      ...small,
      title: 'Firing alerts',
      description: 'Only the rules that come with this dashboard. Also 0 if they are not loaded.',
      runbook: 'alerts',
      query: count(ALERTS_FIRING),
      unit: 'none',
      thresholds: none,
    }),
    stat({
      ...small,
      title: 'Pods up',
      description: 'Proxies that Prometheus scrapes successfully.',
      runbook: 'entrupyproxygone',
      query: count(of('build_info')),
      unit: 'none',
      thresholds: [
        { value: null, color: BAD },
        { value: 1, color: 'blue' },
      ],
    }),
    stat({
      ...small,
      title: 'Pods differ',
      description:
        'Pods with another configuration than the first, or without a value of a secret that another pod took. For longer than a rollout: they accept what others refuse.',
      runbook: 'pods-that-differ',
      query: DIFFERING,
      unit: 'none',
      thresholds: alarm(1, 1e9),
    }),
    stat({
      ...small,
      title: 'Reporting',
      description: 'Routes that forward requests that they would otherwise refuse.',
      runbook: 'entrupyproxyreportmodetoolong',
      query: `sum(max by (job, namespace, route) (${of('route_report_mode')}))`,
      unit: 'none',
      thresholds: alarm(1, 1e9),
    }),
    stat({
      ...small,
      title: 'Secret ends',
      description: 'The next secret to end. Includes replaced values, which end by design.',
      runbook: 'secret-ends',
      query: `min(${of('secret_not_after_timestamp_seconds')} > time()) - time()`,
      unit: 's',
      thresholds: [
        { value: null, color: BAD },
        { value: DAY, color: LOOK },
        { value: 7 * DAY, color: GOOD },
      ],
      noValue: 'never',
    }),
    stat({
      ...small,
      title: 'TLS ends',
      description: 'The certificate of the listener, or the client certificate for the upstream.',
      runbook: 'certificate-ends',
      query: `min(${of('tls_certificate_not_after_timestamp_seconds')}) - time()`,
      unit: 's',
      thresholds: [
        { value: null, color: BAD },
        { value: 3 * DAY, color: LOOK },
        { value: 14 * DAY, color: GOOD },
      ],
      noValue: 'no TLS',
    }),
  ];
}
