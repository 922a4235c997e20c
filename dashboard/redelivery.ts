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
      runbook: 'entrupyproxydeferredtoolong',
      queries: [{ expr: `max by (state) (${of('deferred_deliveries')})`, legend: '{{state}}' }],
      unit: 'short',
      colors: { waiting: LOOK, stopped: BAD, unverified: BAD },
      noValue: NONE,
    }),
    graph({
      title: 'Oldest deferred delivery',
      description: 'How long ago the oldest delivery of each state came. The line is the alert on those that wait.',
      runbook: 'entrupyproxydeferredtoolong',
      queries: [
        { expr: `time() - min by (state) (${of('deferred_oldest_timestamp_seconds')} > 0)`, legend: '{{state}}' },
      ],
      unit: 's',
      line: 900,
      noValue: 'none is deferred',
    }),
    graph({
      title: 'Bytes deferred',
      description: 'Bytes in the store, by state. At redelivery.maxBytes nothing more is deferred.',
      runbook: 'entrupyproxydeferredstorefailing',
      queries: [{ expr: `max by (state) (${of('deferred_bytes')})`, legend: '{{state}}' }],
      unit: 'bytes',
      style: 'stacked',
      noValue: NONE,
    }),
    graph({
      title: 'Deferred, and how it ended',
      description:
        'Deliveries that were deferred, and what became of deferred ones: delivered, refused by the app (client_error), lost at the end of their time (expired), dropped, or not verified.',
      runbook: 'entrupyproxydeferredinvain',
      width: 12,
      queries: [
        { expr: total('requests_total', 'decision="deferred"'), legend: 'deferred' },
        { expr: `sum by (result) (${rate(of('redelivered_total'))})`, legend: '{{result}}' },
      ],
      unit: 'reqps',
      colors: { deferred: LOOK, delivered: GOOD, expired: BAD, unverified: BAD, client_error: BAD, dropped: BAD },
      noValue: NONE,
    }),
    graph({
      title: 'Failures of the store of deferred deliveries',
      description: 'A full store and one that is too slow count, too: the delivery was answered as without redeliver.',
      runbook: 'entrupyproxydeferredstorefailing',
      width: 12,
      queries: [{ expr: `sum(${rate(of('deferred_store_failures_total'))})`, legend: 'store failures' }],
      unit: 'reqps',
      colors: { 'store failures': BAD },
      noValue: NONE,
    }),
  ];
}
