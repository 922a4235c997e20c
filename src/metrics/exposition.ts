// The metrics in the two formats that scrapers request. prom-client renders them, with registries of our own.
import { collectDefaultMetrics, type Metric, type OpenMetricsContentType, Registry } from 'prom-client';
import type { Sample } from './cells.ts';
import { METRIC_NAMES, METRICS, type MetricType, PREFIX, PROCESS_METRICS } from './metric-table.ts';
import type { Collectors } from './metrics.ts';

/** One metric and how to read the current values of its series. */
interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: MetricType;
  readonly collect: () => Promise<readonly Sample[]>;
}

/** Gives a function that renders our metrics, `process_*` and `nodejs_*` in the format that an Accept header prefers. */
export async function createExposition(collectors: Collectors) {
  const own = METRIC_NAMES.map((short): Family => {
    const name = PREFIX + short;
    const { help, type } = METRICS[short];
    return { name, help, type, collect: async () => collectors[short](name) };
  });
  const text = new Registry();
  const openMetrics = new Registry<OpenMetricsContentType>();
  openMetrics.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  for (const family of [...own, ...(await processFamilies())]) {
    text.registerMetric(renderable(family));
    // OpenMetrics names a counter without `_total` and its samples with it: the registry puts that back.
    const name = family.type === 'counter' ? family.name.replace(/_total$/, '') : family.name;
    openMetrics.registerMetric(renderable({ ...family, name }));
  }
  return async (accept: string | undefined) => {
    const registry = prefersOpenMetrics(accept) ? openMetrics : text;
    return { contentType: registry.contentType, body: await registry.metrics() };
  };
}

/**
 * The part of a metric that a registry needs. Each registry gets its own: an OpenMetrics registry renames the counters
 * that it is given, which would rename them in the text format too.
 */
function renderable({ name, help, type, collect }: Family): Metric<string> {
  const get = async () => ({ name, help, type, values: await collect() });
  return { name, help, type, get } as unknown as Metric<string>;
}

/** True where the Accept header names OpenMetrics and does not prefer plain text (RFC 9110 §12.5.1). */
export function prefersOpenMetrics(accept: string | undefined): boolean {
  let openMetrics = 0;
  let text = 0;
  for (const range of (accept ?? '').slice(0, 2048).split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const quality = qualityOf(parameters);
    if (type === 'application/openmetrics-text') openMetrics = Math.max(openMetrics, quality);
    if (type === 'text/plain' || type === 'text/*') text = Math.max(text, quality);
  }
  return openMetrics > 0 && openMetrics >= text;
}

function qualityOf(parameters: readonly string[]): number {
  const q = parameters.find((parameter) => parameter.startsWith('q='));
  const quality = q === undefined ? 1 : Number(q.slice(2));
  return quality >= 0 && quality <= 1 ? quality : 0;
}

// Sampling every 10 ms, prom-client's default, costs an idle process 4.5 ms of CPU a second, every 50 ms 0.8, every
// 250 ms 0.2. A shorter stall may fall between two samples.
const LAG_RESOLUTION_MS = 250;

/** Starts to watch the event loop and the garbage collector; neither keeps the process alive. */
async function processFamilies(): Promise<readonly Family[]> {
  const register = new Registry();
  collectDefaultMetrics({ register, eventLoopMonitoringPrecision: LAG_RESOLUTION_MS });
  const families = PROCESS_METRICS.map(async (name): Promise<readonly Family[]> => {
    const metric = register.getSingleMetric(name);
    if (metric === undefined) return []; // some exist only on Linux
    const { help, type } = await metric.get();
    const collect = async () => (await metric.get()).values.map((value) => corrected(name, value as Sample));
    return [{ name, help, type: type as unknown as MetricType, collect }];
  });
  return (await Promise.all(families)).flat();
}

const LAG = /^nodejs_eventloop_lag_(min|max|mean|stddev|p\d+)_seconds$/;

/**
 * Node measures from one tick of its timer to the next, so an idle loop reads as 250 ms late, and a loop without a tick
 * since the last scrape as 292 years or NaN.
 */
function corrected(name: string, sample: Sample): Sample {
  const statistic = LAG.exec(name)?.[1];
  if (statistic === undefined || (statistic === 'stddev' && sample.value < 1e6)) return sample;
  const lag = sample.value < 1e6 ? Math.max(0, sample.value - LAG_RESOLUTION_MS / 1000) : 0;
  return { ...sample, value: lag };
}
