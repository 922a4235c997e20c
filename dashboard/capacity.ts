// The dashboard's last row: requests in flight, bytes, memory, event loop, and a table of pods. The graphs show only
// the highest pod and the median.
import { BAD, GOOD, graph, LOOK, type Panel, table } from './panels.ts';
import { of, ofProcess, quantile, RELEASE, rate, total } from './queries.ts';

const POD = 'job, namespace, pod, instance';

export function capacityRow(): Panel[] {
  return [
    graph({
      title: 'In flight and connections',
      description:
        'When a pod has upstream.connections requests in flight, further requests wait, then get 503. Turned away: connections that were ended before any answer.',
      runbook: 'slots-full',
      queries: [
        { expr: `sum(${of('requests_in_flight')})`, legend: 'in flight, all pods' },
        { expr: `max(${of('requests_in_flight')})`, legend: 'in flight, fullest pod' },
        { expr: `sum(${of('connections')})`, legend: 'connections, all pods' },
        { expr: `max(${of('connections')})`, legend: 'connections, fullest pod' },
        { expr: total('connections_refused_total'), legend: 'turned away a second' },
      ],
      unit: 'short',
      colors: { 'turned away a second': BAD },
    }),
    graph({
      title: 'Bytes',
      description:
        'Of verified bodies in memory: at the limit the slowest unfinished one gets 503. Of the process, which is killed at its limit. Of deferred deliveries: at redelivery.maxBytes nothing more is deferred.',
      runbook: 'bodies-full',
      queries: [
        { expr: `max(${of('buffered_bytes')})`, legend: 'bodies, fullest pod' },
        { expr: `min(${of('buffered_bytes_limit')})`, legend: 'limit' },
        { expr: `max(${ofProcess('process_resident_memory_bytes')})`, legend: 'memory, highest pod' },
        { expr: `sum(max by (state, ${RELEASE}) (${of('deferred_bytes')}))`, legend: 'deferred' },
        { expr: quantile(0.99, 'request_body_bytes'), legend: 'size of a body, p99' },
      ],
      unit: 'bytes',
      colors: { limit: BAD },
    }),
    graph({
      title: 'Stores: duplicates and failures',
      description: 'Events answered as duplicates, and failures of the stores of once and of redelivery.',
      runbook: 'problems-of-a-store',
      queries: [
        { expr: total('requests_total', 'decision="duplicate"'), legend: 'duplicates' },
        { expr: `sum(${rate(of('once_store_failures_total'))})`, legend: 'failures, once' },
        { expr: `sum(${rate(of('deferred_store_failures_total'))})`, legend: 'failures, redelivery' },
      ],
      unit: 'reqps',
      colors: { 'failures, once': BAD, 'failures, redelivery': BAD },
      noValue: 'no route has once or redeliver',
    }),
    table({
      title: 'Pods',
      description: 'One row per pod, to find the one that differs.',
      runbook: 'pods-that-differ',
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
          name: 'cpu',
          expr: withVersion(rate(`process_cpu_seconds_total{job=~"$job",namespace=~"$namespace",pod=~"$pod"}`)),
          unit: 'none',
        },
        { name: 'loop lag p99', expr: withVersion(ofProcess('nodejs_eventloop_lag_p99_seconds')), unit: 's' },
        { name: 'exposed', expr: withVersion(of('upstream_exposed')), unit: 'none' },
        { name: 'events remembered', expr: withVersion(of('once_entries')), unit: 'none' },
        { name: 'log lines dropped', expr: withVersion(of('log_lines_dropped_total')), unit: 'none' },
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

function withVersion(series: string): string {
  return `max by (${POD}, version, node_version) ((${series}) * on (${POD}) group_left (version, node_version) ${of('build_info')})`;
}
