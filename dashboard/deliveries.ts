// What became of all requests, by decision, and of deliveries, by fate. A new fate in core/fate-by-status.ts does not compile
// until it has a colour here.

import type { Fate } from '../src/core/fate-by-status.ts';
import { BAD, graph, LOOK, type Panel } from './panels.ts';
import { total, totalBy } from './queries.ts';

const DECISION_COLOR = {
  accepted: 'green',
  forwarded: 'blue',
  duplicate: 'purple',
  deferred: 'yellow',
  probe: 'light-green',
  reported: LOOK,
  rejected: BAD,
};

const FATE_COLOR: Readonly<Record<Fate, string>> = {
  taken: 'green',
  duplicate: 'purple',
  deferred: 'yellow',
  refused: LOOK,
  failed: BAD,
  abandoned: 'dark-red',
};

export function deliveryPanels(): Panel[] {
  return [
    graph({
      title: 'Requests, by decision',
      description:
        'All requests. Those that were signed and forwarded without a look at it may be deliveries: then the path of your route is wrong.',
      runbook: 'signed-unverified',
      width: 12,
      queries: [
        { expr: totalBy('decision', 'requests_total'), legend: '{{decision}}' },
        { expr: total('unverified_signatures_total'), legend: 'of these signed, and forwarded' },
      ],
      unit: 'reqps',
      style: 'stacked',
      colors: DECISION_COLOR,
    }),
    graph({
      title: 'Deliveries, by fate',
      description: 'What became of verified requests, counted when it is known. Failed and abandoned ones may be lost.',
      runbook: 'entrupyproxydeliverieslost',
      queries: [{ expr: totalBy('fate', 'deliveries_total'), legend: '{{fate}}' }],
      unit: 'reqps',
      width: 12,
      style: 'stacked',
      colors: FATE_COLOR,
      noValue: 'no deliveries',
    }),
  ];
}
