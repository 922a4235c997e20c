// The row on deferred deliveries: what waits, for how long, and how it ends. Replicas that share a store each show all that
// is in it, so the fullest view counts, and no sum.
import { BAD, GOOD, graph, LOOK, type Panel } from './panels.ts';
import { of, rate, total } from './queries.ts';

const NONE = 'no route has redeliver';

export function redeliveryRow(): Panel[] {
  return [
    graph({
      title: 'Deferred deliveries',
      description:
        'Deliveries in the store that the app has not taken, by state: they wait, the app refused them, or no secret verifies them.',
      runbook: 'entrupyproxydeliverydeferred',
      queries: [{ expr: `max by (state) (${of('deferred_deliveries')})`, legend: '{{state}}' }],
      unit: 'short',
      colors: { waiting: LOOK, stopped: BAD, unverified: BAD },
      noValue: NONE,
    }),
    graph({
      title: 'Oldest deferred delivery',
      description: 'How long ago the oldest delivery of each state came. The line is the alert on those that wait.',
      runbook: 'entrupyproxydeliverydeferred',
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
        'Deliveries that were deferred, and what became of deferred ones: delivered, refused by the app (client_error), lost at the end of their time (expired), dropped, or not verified.',
      runbook: 'entrupyproxydeliverydeferred',
      queries: [
        { expr: total('requests_total', 'decision="deferred"'), legend: 'deferred' },
        { expr: `sum by (result) (${rate(of('redelivered_total'))})`, legend: '{{result}}' },
      ],
      unit: 'reqps',
      colors: { deferred: LOOK, delivered: GOOD, expired: BAD, unverified: BAD, client_error: BAD, dropped: BAD },
      noValue: NONE,
    }),
  ];
}
