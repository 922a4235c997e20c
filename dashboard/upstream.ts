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
        'connect: the app does not listen. timeout: it does not answer in time. reset: it closed the connection early. protocol: its answer is not valid HTTP.',
      runbook: 'entrupyproxyupstreamfailing',
      width: 12,
      queries: [{ expr: totalBy('cause', 'upstream_failures_total'), legend: '{{cause}}' }],
      unit: 'reqps',
      style: 'stacked',
      colors: CAUSE_COLOR,
    }),
    graph({
      title: 'Upstream responses, by status',
      description: 'Responses of the app itself.',
      runbook: 'entrupyproxyupstreamfailing',
      width: 12,
      queries: [{ expr: totalBy('code', 'upstream_responses_total'), legend: '{{code}}' }],
      unit: 'reqps',
      style: 'stacked',
      colors: CODE_COLOR,
    }),
    graph({
      title: 'Total time',
      description:
        'From the head of the request to its end, for forwarded requests. What remains after upstream and verification is the client and its network.',
      runbook: 'where-the-time-goes',
      queries: percentiles('request_duration_seconds', SENT_ON),
      unit: 's',
      colors,
      noValue: 'no requests',
    }),
    graph({
      title: 'Time to verify',
      description:
        'The HMAC and the comparison alone. It grows with the size of bodies and the number of live secrets.',
      runbook: 'where-the-time-goes',
      queries: percentiles('verification_duration_seconds'),
      unit: 's',
      colors,
      noValue: 'no requests',
    }),
    graph({
      title: 'Upstream time',
      description: 'From sending the request to the head of the response.',
      runbook: 'where-the-time-goes',
      queries: percentiles('upstream_duration_seconds'),
      unit: 's',
      colors,
      noValue: 'no requests',
    }),
  ];
}
