// What prom-client knows of the process and of Node, less the three gauges named `_total` that promtool flags. A closed
// list: an update of prom-client must never add a metric that docs/metrics.md does not name.
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Family, Sample } from './cells.ts';
import type { MetricType } from './metric-table.ts';

/** In prom-client's order: the first of each group reads the values of all of it. */
export const PROCESS_METRICS = [
  'process_cpu_user_seconds_total',
  'process_cpu_system_seconds_total',
  'process_cpu_seconds_total',
  'process_start_time_seconds',
  'process_resident_memory_bytes',
  'process_virtual_memory_bytes',
  'process_heap_bytes',
  'process_open_fds',
  'process_max_fds',
  'nodejs_eventloop_lag_seconds',
  'nodejs_eventloop_lag_min_seconds',
  'nodejs_eventloop_lag_max_seconds',
  'nodejs_eventloop_lag_mean_seconds',
  'nodejs_eventloop_lag_stddev_seconds',
  'nodejs_eventloop_lag_p50_seconds',
  'nodejs_eventloop_lag_p90_seconds',
  'nodejs_eventloop_lag_p99_seconds',
  'nodejs_active_resources',
  'nodejs_active_handles',
  'nodejs_active_requests',
  'nodejs_heap_size_total_bytes',
  'nodejs_heap_size_used_bytes',
  'nodejs_external_memory_bytes',
  'nodejs_heap_space_size_total_bytes',
  'nodejs_heap_space_size_used_bytes',
  'nodejs_heap_space_size_available_bytes',
  'nodejs_version_info',
  'nodejs_gc_duration_seconds',
] as const;

/** Asynchronous, as prom-client's own metrics are. */
export interface ProcessFamily extends Omit<Family, 'collect'> {
  readonly collect: () => Promise<readonly Sample[]>;
}

// Every 10 ms, prom-client's default, keeps an idle process at 0.45 % of a core, every 50 ms at 0.08 %.
const LAG_RESOLUTION_MS = 50;
const LAG = /^nodejs_eventloop_lag_(min|max|mean|p\d+|stddev)_seconds$/;

/** Starts to watch the event loop and the garbage collector; neither keeps the process alive. */
export async function processFamilies(): Promise<readonly ProcessFamily[]> {
  const register = new Registry();
  collectDefaultMetrics({ register, eventLoopMonitoringPrecision: LAG_RESOLUTION_MS });
  const families = PROCESS_METRICS.map(async (name): Promise<readonly ProcessFamily[]> => {
    const metric = register.getSingleMetric(name);
    if (metric === undefined) return []; // some are Linux alone
    const { help, type } = await metric.get();
    const collect = async () => {
      const samples = (await metric.get()).values.map(sampleOf);
      return LAG.test(name) ? samples.map((sample) => ({ ...sample, value: trueLag(name, sample.value) })) : samples;
    };
    return [{ name, help, type: type as unknown as MetricType, collect }];
  });
  return (await Promise.all(families)).flat();
}

/** prom-client's types leave out `metricName`, which the samples of a histogram have. */
function sampleOf(value: object): Sample {
  return value as Sample;
}

/**
 * Node measures from one tick of its timer to the next, so that an idle loop reads as 50 ms late, and one without a tick
 * since the last scrape as 292 years or NaN.
 */
function trueLag(name: string, seconds: number): number {
  if (!(seconds < 1e6)) return 0;
  return name.includes('stddev') ? seconds : Math.max(0, seconds - LAG_RESOLUTION_MS / 1000);
}
