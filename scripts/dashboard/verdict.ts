// The dashboard's first row: numbers whose colour says whether to worry, and about what.
import { BAD, GOOD, LOOK, type Panel, stat } from './panels.ts';
import {
  ALERTS_FIRING,
  CONFIGS,
  count,
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
        'Share of the requests to verified routes that are refused. Other paths and methods are not counted.',
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
      title: 'Upstream fails',
      description: 'Share of the requests sent on that the app answered with 5xx, or did not answer whole.',
      runbook: 'entrupyproxyupstreamfailing',
      query: UPSTREAM_FAILING,
      unit: 'percentunit',
      thresholds: alarm(0.01, 0.05),
      noValue: 'no requests',
    }),
    stat({
      ...small,
      title: 'Alerts that fire',
      description: 'Of the rules that come with this dashboard; 0 also where they are not loaded.',
      runbook: 'alerts',
      query: count(ALERTS_FIRING),
      unit: 'none',
      thresholds: none,
    }),
    stat({
      ...small,
      title: 'Requests',
      description: 'All that have ended, forwarded ones too.',
      runbook: 'entrupyproxynodeliveries',
      query: total('requests_total'),
      unit: 'reqps',
      thresholds: [{ value: null, color: 'blue' }],
    }),
    stat({
      ...small,
      title: 'Pods up',
      description: 'Proxies that Prometheus scrapes.',
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
      title: 'Next secret ends in',
      description: 'The nearest end of any secret; of a replaced value too, which ends by design.',
      runbook: 'entrupyproxysecretexpiressoon',
      query: `min(${of('secret_not_after_timestamp_seconds')} > time()) - time()`,
      unit: 's',
      thresholds: [
        { value: null, color: BAD },
        { value: DAY, color: LOOK },
        { value: 7 * DAY, color: GOOD },
      ],
      noValue: 'no end',
    }),
    stat({
      ...small,
      title: 'In report mode',
      description: 'Routes that forward what they would have refused.',
      runbook: 'entrupyproxyreportmodetoolong',
      query: `sum(max by (job, namespace, route) (${of('route_report_mode')}))`,
      unit: 'none',
      thresholds: alarm(1, 1e9),
    }),
    stat({
      ...small,
      title: 'Reload failed',
      description: 'Pods. What was good before is still in use there.',
      runbook: 'entrupyproxyreloadfailed',
      query: count(`${of('last_reload_successful')} == 0`),
      unit: 'none',
      thresholds: none,
    }),
    stat({
      ...small,
      title: 'Configs in use',
      description: 'By the pods of one job. More than one for longer than a rollout is drift.',
      runbook: 'entrupyproxyconfigdrift',
      query: CONFIGS,
      unit: 'none',
      thresholds: alarm(2, 1e9),
    }),
    stat({
      ...small,
      title: 'No room (503)',
      description: 'Requests that found the byte budget, the upstream slots or the queue used up.',
      runbook: 'entrupyproxyoverloaded',
      query: total('requests_total', 'reason="overloaded"'),
      unit: 'reqps',
      thresholds: alarm(1e-9, 1),
    }),
    stat({
      ...small,
      title: 'Upstream exposed',
      description: 'Pods whose upstream also answers past the proxy, unverified (upstream.checkExposure).',
      runbook: 'upstream-exposed',
      query: `sum(${of('upstream_exposed')})`,
      unit: 'none',
      thresholds: none,
      noValue: 'not checked',
    }),
    stat({
      ...wide,
      title: 'Deliveries that may be gone',
      description:
        'Requests to verified routes that ended in our 502, 503 or 504 within the range. Entrupy documents no retry.',
      runbook: 'entrupyproxydeliveryfailed',
      query: FAILED_DELIVERIES,
      unit: 'short',
      thresholds: none,
    }),
    stat({
      ...wide,
      title: 'Next TLS certificate ends in',
      description: 'Of the listener, or of the client towards the upstream.',
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
    stat({
      ...wide,
      title: 'A secret changed on some pod',
      description:
        'How long ago a running pod last took a new value. Whether every pod did: the table of secrets below.',
      runbook: 'entrupyproxysecretstale',
      query: `time() - max(${of('secret_changed_timestamp_seconds')} > 0)`,
      unit: 's',
      thresholds: [{ value: null, color: 'blue' }],
      noValue: 'not since the start',
    }),
  ];
}
