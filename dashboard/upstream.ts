// The dashboard's fourth row: how the app handled forwarded requests, and where the time went.
import { BAD, graph, LOOK, type Panel } from './panels.ts';
import { quantile, SENT_ON, totalBy } from './queries.ts';

const CAUSE_COLOR = { connect: BAD, timeout: LOOK, reset: 'purple', protocol: 'yellow' };
const CODE_COLOR = { '1xx': '#808080', '2xx': 'green', '3xx': 'blue', '4xx': LOOK, '5xx': BAD };

export function upstreamRow(): Panel[] {
  return [
    graph({
      title: 'Upstream failures, by cause',
      description:
        'connect: the app does not listen. timeout: it does not answer in time. reset: it closed the connection early. protocol: its answer is not valid HTTP.',
      runbook: 'app-down',
      queries: [{ expr: totalBy('cause', 'upstream_failures_total'), legend: '{{cause}}' }],
      unit: 'reqps',
      style: 'stacked',
      colors: CAUSE_COLOR,
    }),
    graph({
      title: 'Upstream responses, by status',
      description: 'Responses of the app itself.',
      runbook: 'app-fails',
      queries: [{ expr: totalBy('code', 'upstream_responses_total'), legend: '{{code}}' }],
      unit: 'reqps',
      style: 'stacked',
      colors: CODE_COLOR,
    }),
    graph({
      title: 'Where the time goes, p99',
      description:
        'Of forwarded requests, from the head to the end; of that the upstream until its head, and the HMAC alone. What remains is the client and its network.',
      runbook: 'where-the-time-goes',
      queries: [
        { expr: quantile(0.99, 'request_duration_seconds', SENT_ON), legend: 'whole request' },
        { expr: quantile(0.99, 'upstream_duration_seconds'), legend: 'upstream' },
        { expr: quantile(0.5, 'upstream_duration_seconds'), legend: 'upstream, p50' },
        { expr: quantile(0.99, 'verification_duration_seconds'), legend: 'verification' },
      ],
      unit: 's',
      noValue: 'no requests',
    }),
  ];
}
