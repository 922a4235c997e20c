// The dashboard's second row: which requests are refused, why and where. A new reason in core/decision.ts does not
// compile until it has a colour here.
import type { Reason } from '../src/core/decision.ts';
import { BAD, graph, LOOK, type Panel } from './panels.ts';
import { JUDGED, REFUSED, share, totalBy } from './queries.ts';

/**
 * Warm colours if a sender's secret or a rotation may be the cause, blue and grey for noise, purple for lack of
 * capacity.
 */
const REASON_COLOR: Readonly<Record<Reason, string>> = {
  signature_mismatch: 'red',
  expired_secret: 'dark-orange',
  no_live_secret: 'dark-red',
  missing_signature: 'yellow',
  multiple_signatures: 'light-orange',
  malformed_signature: 'light-yellow',
  unsupported_algorithm: 'super-light-orange',
  bad_request: 'blue',
  header_too_large: 'light-blue',
  header_timeout: 'super-light-blue',
  route_rejected: 'dark-blue',
  method_not_allowed: 'semi-dark-blue',
  body_too_large: 'purple',
  overloaded: 'dark-purple',
  body_timeout: 'light-purple',
  client_closed: '#808080',
};
const DECISION_COLOR = {
  accepted: 'green',
  forwarded: 'blue',
  duplicate: 'purple',
  deferred: 'yellow',
  reported: LOOK,
  rejected: BAD,
};

export function refusalsRow(): Panel[] {
  const runbook = 'entrupyproxyrejectionratiohigh';
  return [
    graph({
      title: 'Refused, by reason',
      description:
        'signature_mismatch: a wrong secret or a forgery. missing_signature: the sender is not Entrupy, or something in front of the proxy drops the header. The log line of a mismatch has a hint.',
      runbook,
      width: 12,
      height: 10,
      queries: [{ expr: totalBy('reason', 'requests_total', 'decision="rejected"'), legend: '{{reason}}' }],
      unit: 'reqps',
      style: 'stacked',
      colors: REASON_COLOR,
    }),
    graph({
      title: 'Share refused, by route',
      description:
        'The ten worst routes. If one route stands out, check its secret. If all do, it is an attack, or something in front of the proxy changes requests.',
      runbook,
      width: 12,
      height: 10,
      queries: [
        {
          expr: `topk(10, ${share(totalBy('route', 'requests_total', REFUSED), totalBy('route', 'requests_total', JUDGED))})`,
          legend: '{{route}}',
        },
      ],
      unit: 'percentunit',
      line: 0.05,
      max: 1,
      noValue: 'no requests',
    }),
    graph({
      title: 'Requests, by decision',
      description: 'All requests.',
      runbook: 'entrupyproxynodeliveries',
      queries: [{ expr: totalBy('decision', 'requests_total'), legend: '{{decision}}' }],
      unit: 'reqps',
      style: 'stacked',
      colors: DECISION_COLOR,
    }),
    graph({
      title: 'Refused, by route',
      description: 'The ten routes with the most refused requests.',
      runbook,
      queries: [
        { expr: `topk(10, ${totalBy('route', 'requests_total', 'decision="rejected"')})`, legend: '{{route}}' },
      ],
      unit: 'reqps',
    }),
    graph({
      title: 'Forwarded in report mode, by reason',
      description: 'Requests that enforce mode would refuse. Once this stays at 0, the route can enforce.',
      runbook: 'entrupyproxyreportmodetoolong',
      queries: [{ expr: totalBy('reason', 'requests_total', 'decision="reported"'), legend: '{{reason}}' }],
      unit: 'reqps',
      style: 'stacked',
      colors: REASON_COLOR,
      noValue: 'no route reports',
    }),
  ];
}
