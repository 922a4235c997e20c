// The dashboard's first row: numbers whose colour says what needs attention.
import { BAD, GOOD, LOOK, type Panel, stat } from './panels.ts';
import {
  ALERTS_FIRING,
  count,
  DIFFERING,
  FAILED_DELIVERIES,
  JUDGED,
  of,
  REFUSED,
  ROUTES_WITHOUT_SECRET,
  share,
  total,
  UPSTREAM_FAILING,
} from './queries.ts';

const DAY = 86_400;

export function verdictRow(): Panel[] {
  const small = { width: 4, height: 4 };
  const wide = { width: 8, height: 4 };
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
    stat({
      ...small,
      title: 'Refused',
      description:
        'Share of the requests that are refused. Requests that a forward route forwarded, rejected paths and wrong methods do not count.',
      runbook: 'entrupyproxyrejectionratiohigh',
      query: share(total('requests_total', REFUSED), total('requests_total', JUDGED)),
      unit: 'percentunit',
      thresholds: alarm(0.01, 0.05),
      noValue: 'no requests',
    }),
    stat({
      ...small,
      title: 'No live secret',
      description: 'Enforcing routes without a live secret: senders get 503 there.',
      runbook: 'entrupyproxynolivesecret',
      query: ROUTES_WITHOUT_SECRET,
      unit: 'none',
      thresholds: none,
    }),
    stat({
      ...small,
      title: 'Upstream failures',
      description: 'Share of the forwarded requests that the app answered with 5xx or did not answer completely.',
      runbook: 'entrupyproxyupstreamfailing',
      query: UPSTREAM_FAILING,
      unit: 'percentunit',
      thresholds: alarm(0.01, 0.05),
      noValue: 'no requests',
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
      runbook: 'entrupyproxynodeliveries',
      query: count(of('build_info')),
      unit: 'none',
      thresholds: [
        { value: null, color: BAD },
        { value: 1, color: 'blue' },
      ],
    }),
    stat({
      ...small,
      title: 'In report mode',
      description: 'Routes that forward requests that they would otherwise refuse.',
      runbook: 'entrupyproxyreportmodetoolong',
      query: `sum(max by (job, namespace, route) (${of('route_report_mode')}))`,
      unit: 'none',
      thresholds: alarm(1, 1e9),
    }),
    stat({
      ...wide,
      title: 'Deliveries that may be lost',
      description:
        'Deliveries in this time range that failed, were abandoned by their sender, or expired after they were deferred. Entrupy documents no retry.',
      runbook: 'entrupyproxydeliveryfailed',
      query: FAILED_DELIVERIES,
      unit: 'short',
      thresholds: none,
    }),
    stat({
      ...small,
      title: 'Secret expires in',
      description: 'The next secret to expire. Includes replaced values, which expire by design.',
      runbook: 'entrupyproxysecretexpiressoon',
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
      title: 'Reload failed',
      description: 'Pods whose last reload failed. They still use the previous configuration and secrets.',
      runbook: 'entrupyproxyreloadfailed',
      query: count(`${of('last_reload_successful')} == 0`),
      unit: 'none',
      thresholds: none,
    }),
    stat({
      ...small,
      title: 'Pods that differ',
      description:
        'Pods with another configuration than the first, or without a value of a secret that another pod took. For longer than a rollout: they accept what others refuse.',
      runbook: 'pods-that-differ',
      query: DIFFERING,
      unit: 'none',
      thresholds: alarm(1, 1e9),
    }),
    stat({
      ...small,
      title: 'TLS expires in',
      description: 'The certificate of the listener, or the client certificate for the upstream.',
      runbook: 'entrupyproxycertificateexpiressoon',
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
