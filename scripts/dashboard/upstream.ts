// The dashboard's fourth row: how the app handled forwarded requests, and where the time went.
import { BAD, GOOD, graph, LOOK, type Panel } from './panels.ts';
import { quantile, SENT_ON, totalBy } from './queries.ts';

const CAUSE_COLOR = { connect: BAD, timeout: LOOK, reset: 'purple', protocol: 'yellow' };
const CODE_COLOR = { '1xx': '#808080', '2xx': 'green', '3xx': 'blue', '4xx': LOOK, '5xx': BAD };

export function upstreamRow(): Panel[] {
  const percentiles = (
    name: 'request_duration_seconds' | 'verification_duration_seconds' | 'upstream_duration_seconds',
    matchers = '',
  ) => [0.5, 0.95, 0.99].map((q) => ({ expr: quantile(q, name, matchers), legend: `p${q * 100}` }));
  const colors = { p50: GOOD, p95: LOOK, p99: BAD };
  return [
    graph({
      title: 'Upstream failures, by cause',
      description:
        'connect: the app does not listen. timeout: it does not answer in time. reset: it broke off. protocol: what it said is not HTTP.',
      runbook: 'entrupyproxyupstreamfailing',
      width: 12,
      queries: [{ expr: totalBy('cause', 'upstream_failures_total'), legend: '{{cause}}' }],
      unit: 'reqps',
      style: 'stacked',
      colors: CAUSE_COLOR,
    }),
    graph({
      title: 'Upstream responses, by status',
      description: 'What the app itself answered.',
      runbook: 'entrupyproxyupstreamfailing',
      width: 12,
      queries: [{ expr: totalBy('code', 'upstream_responses_total'), legend: '{{code}}' }],
      unit: 'reqps',
      style: 'stacked',
      colors: CODE_COLOR,
    }),
    graph({
      title: 'Time in all',
      description:
        'From the head of the request to its end, of requests sent on. Less upstream and verification: the client and its network.',
      runbook: 'where-the-time-goes',
      queries: percentiles('request_duration_seconds', SENT_ON),
      unit: 's',
      colors,
      noValue: 'no requests',
    }),
    graph({
      title: 'Time to verify',
      description: 'The HMAC and compare alone; grows with the size of bodies and the number of live secrets.',
      runbook: 'where-the-time-goes',
      queries: percentiles('verification_duration_seconds'),
      unit: 's',
      colors,
      noValue: 'no requests',
    }),
    graph({
      title: 'Time of the upstream',
      description: 'From the dispatch to the head of the response.',
      runbook: 'where-the-time-goes',
      queries: percentiles('upstream_duration_seconds'),
      unit: 's',
      colors,
      noValue: 'no requests',
    }),
  ];
}
