// Which requests are refused, why and where. A new reason in core/reasons.ts does not
// compile until it has a colour here.

import type { Reason } from '../src/core/reasons.ts';
import { deliveryPanels } from './deliveries.ts';
import { graph, type Panel } from './panels.ts';
import { JUDGED, OF_RELEASE, REFUSED, RELEASE, share, totalBy } from './queries.ts';

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
  loop_detected: 'dark-green',
  client_closed: '#808080',
};

/** Where a route reports; the row on rotations shows it. */
export function reportedPanel(): Panel {
  return graph({
    title: 'Forwarded in report mode, by reason',
    description: 'Requests that enforce mode would refuse. Once this stays at 0, the route can enforce.',
    runbook: 'entrupyproxyreportmodetoolong',
    queries: [{ expr: totalBy('reason', 'requests_total', 'decision="reported"'), legend: '{{reason}}' }],
    unit: 'reqps',
    width: 12,
    style: 'stacked',
    colors: REASON_COLOR,
    noValue: 'no route reports',
  });
}

const ROUTE = `route, ${RELEASE}`;

export function refusalsRow(): Panel[] {
  const runbook = 'another-secret';
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
          expr: `topk(10, ${share(totalBy(ROUTE, 'requests_total', REFUSED), totalBy(ROUTE, 'requests_total', JUDGED))})`,
          legend: `{{route}} ${OF_RELEASE}`,
        },
      ],
      unit: 'percentunit',
      line: 0.05,
      max: 1,
      noValue: 'no requests',
    }),
    ...deliveryPanels(),
  ];
}
