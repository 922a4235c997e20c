// The dashboard's last row: requests in flight, bytes, memory, event loop, and a table of pods. The graphs show only
// the highest pod and the median.
import { BAD, GOOD, graph, LOOK, type Panel, table } from './panels.ts';
import { of, ofProcess, quantile, rate, totalBy } from './queries.ts';

const OVERLOADED = 'entrupyproxyoverloaded';
const POD = 'job, namespace, pod, instance';

export function capacityRow(): Panel[] {
  return [
    graph({
      title: 'In flight and connections',
      description: 'When a pod has upstream.connections requests in flight, further requests wait, then get 503.',
      runbook: OVERLOADED,
      queries: [
        { expr: `sum(${of('requests_in_flight')})`, legend: 'in flight, all pods' },
        { expr: `max(${of('requests_in_flight')})`, legend: 'in flight, fullest pod' },
        { expr: `sum(${of('connections')})`, legend: 'connections, all pods' },
        { expr: `max(${of('connections')})`, legend: 'connections, fullest pod' },
      ],
      unit: 'short',
    }),
    graph({
      title: 'Buffered bytes and their limit',
      description: 'Verified bodies buffered in memory. At the limit the slowest unfinished body gets 503.',
      runbook: OVERLOADED,
      queries: [
        { expr: `max(${of('buffered_bytes')})`, legend: 'fullest pod' },
        { expr: `quantile(0.5, ${of('buffered_bytes')})`, legend: 'middle pod' },
        { expr: `min(${of('buffered_bytes_limit')})`, legend: 'limit' },
      ],
      unit: 'bytes',
      colors: { limit: BAD },
    }),
    graph({
      title: 'Size of bodies',
      description: 'Sizes of received bodies. If the largest are close to maxBody, expect body_too_large.',
      runbook: OVERLOADED,
      queries: [0.5, 0.99].map((q) => ({ expr: quantile(q, 'request_body_bytes'), legend: `p${q * 100}` })),
      unit: 'bytes',
      noValue: 'no bodies',
    }),
    graph({
      title: 'Memory',
      description: 'Resident memory. The container is killed at its limit.',
      runbook: OVERLOADED,
      queries: spread(ofProcess('process_resident_memory_bytes')),
      unit: 'bytes',
    }),
    graph({
      title: 'Event-loop lag, p99',
      description: 'The delay of the event loop since the last scrape. Above 200 ms every request is slow.',
      runbook: 'where-the-time-goes',
      queries: spread(ofProcess('nodejs_eventloop_lag_p99_seconds')),
      unit: 's',
      line: 0.2,
    }),
    graph({
      title: 'CPU',
      description: 'CPU cores in use. One process uses little more than one core.',
      runbook: OVERLOADED,
      queries: spread(
        `rate(${'process_cpu_seconds_total'}{job=~"$job",namespace=~"$namespace",pod=~"$pod"}[$__rate_interval]) and on (${POD}) ${of('build_info')}`,
      ),
      unit: 'short',
      line: 1,
    }),
    graph({
      title: 'Delivered once',
      description: 'Events answered as duplicates, by route, and failures of the store. Only if a route has once.',
      runbook: 'deliver-once',
      queries: [
        { expr: totalBy('route', 'requests_total', 'decision="duplicate"'), legend: 'duplicates, {{route}}' },
        { expr: `sum(${rate(of('once_store_failures_total'))})`, legend: 'store failures' },
      ],
      unit: 'reqps',
      colors: { 'store failures': BAD },
      noValue: 'no route has once',
    }),
    graph({
      title: 'Events remembered',
      description:
        'Memory store: delivered events; at once.maxEntries the oldest are removed. Redis or Valkey: leases of deliveries in progress.',
      runbook: 'deliver-once',
      queries: [{ expr: `max(${of('once_entries')})`, legend: 'fullest pod' }],
      unit: 'short',
      noValue: 'no route has once',
    }),
    graph({
      title: 'Log lines dropped',
      description: 'Lines that standard output did not take. Requests are served and counted all the same.',
      runbook: 'log-lines-dropped',
      queries: [
        { expr: `sum(increase(${of('log_lines_dropped_total')}[$__rate_interval]))`, legend: 'lines, all pods' },
      ],
      unit: 'short',
    }),
    table({
      title: 'Pods',
      description: 'One row per pod, to find the one that differs.',
      runbook: 'entrupyproxyconfigdrift',
      width: 24,
      keys: ['job', 'namespace', 'pod', 'instance', 'version', 'node_version'],
      sortBy: 'pod',
      columns: [
        {
          name: 'started',
          expr: `max by (${POD}, version, node_version) (${ofProcess('process_start_time_seconds')} * on (${POD}) group_left (version, node_version) ${of('build_info')}) * 1000`,
          unit: 'dateTimeFromNow',
        },
        {
          name: 'last good reload',
          expr: withVersion(`${of('last_reload_success_timestamp_seconds')} * 1000`),
          unit: 'dateTimeFromNow',
        },
        {
          name: 'reload ok',
          expr: withVersion(of('last_reload_successful')),
          unit: 'none',
          thresholds: [
            { value: null, color: BAD },
            { value: 1, color: GOOD },
          ],
        },
        {
          name: 'live secrets',
          expr: withVersion(`sum by (${POD}) (${of('secret_live')})`),
          unit: 'none',
          thresholds: [
            { value: null, color: BAD },
            { value: 1, color: 'transparent' },
          ],
        },
        { name: 'in flight', expr: withVersion(of('requests_in_flight')), unit: 'none' },
        {
          name: 'buffered',
          expr: withVersion(`${of('buffered_bytes')} / ${of('buffered_bytes_limit')}`),
          unit: 'percentunit',
          thresholds: [
            { value: null, color: 'transparent' },
            { value: 0.8, color: LOOK },
          ],
        },
      ],
    }),
  ];
}

function spread(series: string) {
  return [
    { expr: `max(${series})`, legend: 'highest pod' },
    { expr: `quantile(0.5, ${series})`, legend: 'middle pod' },
  ];
}

function withVersion(series: string): string {
  return `max by (${POD}, version, node_version) ((${series}) * on (${POD}) group_left (version, node_version) ${of('build_info')})`;
}
