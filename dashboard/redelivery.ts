// The row on deferred deliveries: what waits, for how long, and how it ends. Replicas that share a store each show all that
// is in it, so the fullest view counts, and no sum.
import { BAD, GOOD, graph, LOOK, type Panel } from './panels.ts';
import { of, RELEASE, total, totalBy } from './queries.ts';

const NONE = 'no route has redeliver';
/** The results that end a deferred delivery, and those that leave it in the store. */
const ENDS = 'result=~"delivered|dropped|lost|replaced"';
const KEPT = 'result=~"client_error|expired|unverified"';

export function redeliveryRow(): Panel[] {
  return [
    graph({
      title: 'Deferred deliveries',
      description:
        'Deliveries in the store that the app has not taken, by state: they wait; the app refused them (stopped), their time is over (expired), or no secret verifies them: then they wait for you.',
      runbook: 'deferred-waits',
      queries: [
        { expr: `sum by (state) (max by (state, ${RELEASE}) (${of('deferred_deliveries')}))`, legend: '{{state}}' },
      ],
      unit: 'short',
      colors: { waiting: LOOK, stopped: BAD, expired: BAD, unverified: BAD },
      noValue: NONE,
    }),
    graph({
      title: 'Oldest deferred delivery',
      description:
        'How long ago the oldest delivery of each state came. From the line on, those that wait are a warning.',
      runbook: 'deferred-waits',
      queries: [
        { expr: `time() - min by (state) (${of('deferred_oldest_timestamp_seconds')} > 0)`, legend: '{{state}}' },
      ],
      unit: 's',
      line: 900,
      noValue: 'none is deferred',
    }),
    graph({
      title: 'Deferred, and how it ended',
      description:
        'Deliveries that were deferred, and how deferred ones ended: delivered, dropped by somebody, lost, or replaced by an equal one. Those that are kept for your decision have not ended.',
      runbook: 'deferred-lost',
      queries: [
        { expr: total('requests_total', 'decision="deferred"'), legend: 'deferred' },
        { expr: totalBy('result', 'redelivered_total', ENDS), legend: '{{result}}' },
        { expr: total('redelivered_total', KEPT), legend: 'kept' },
      ],
      unit: 'reqps',
      colors: { deferred: LOOK, delivered: GOOD, dropped: BAD, lost: 'dark-red', replaced: 'blue', kept: 'purple' },
      noValue: NONE,
    }),
  ];
}
