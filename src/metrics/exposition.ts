// The metrics in the two formats that scrapers request. prom-client renders them, with registries of our own. This file
// must import nothing from core, or each of the build's two bundles would get a prom-client of its own.
import { collectDefaultMetrics, type Metric, Registry, type RegistryContentType } from 'prom-client';
import { onePerTurn } from '../base/deadline.ts';
import type { Sample } from './series.ts';

// The interval of sampling. It costs an idle process 4.5 ms of CPU a second at 10 ms, prom-client's default, 0.8 ms at
// 50 ms, and 0.2 ms at 250 ms. A stall that is shorter than the interval may fall between two samples.
const LAG_RESOLUTION_MS = 250;

type Family = Readonly<{ name: string; help: string; type: string; values: readonly Sample[] }>;

/**
 * Starts to watch the event loop and the garbage collector; neither keeps the process alive. Returns a function that
 * renders our metrics, `process_*` and `nodejs_*` in the format that an Accept header prefers.
 */
export function createExposition(own: () => readonly Family[]) {
  const ofProcess = new Registry();
  collectDefaultMetrics({ register: ofProcess, eventLoopMonitoringPrecision: LAG_RESOLUTION_MS });
  const render = async (format: 'text' | 'OpenMetrics') => {
    const isOpen = format === 'OpenMetrics';
    const registry = new Registry<RegistryContentType>();
    if (isOpen) registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
    for (const family of [...own(), ...(await processFamilies(ofProcess))]) {
      // In OpenMetrics a counter's name lacks `_total`; its samples' names have it: the registry adds it there.
      const named = isOpen && String(family.type) === 'counter';
      const name = named ? family.name.replace(/_total$/, '') : family.name;
      registry.registerMetric({ name, get: async () => ({ ...family, name }) } as unknown as Metric);
    }
    return { contentType: registry.contentType, body: await registry.metrics() };
  };
  // Rendering costs milliseconds: a client that asks often must not delay others.
  const [text, open] = [onePerTurn(() => render('text')), onePerTurn(() => render('OpenMetrics'))];
  return (accept: string | undefined) => (prefersOpenMetrics(accept) ? open() : text());
}

/** prom-client's own metrics, without its gauges named `_total`, which promtool rejects (prometheus/client_js#283). */
async function processFamilies(registry: Registry) {
  const families = await registry.getMetricsAsJSON();
  return families
    .filter(({ name, type }) => String(type) === 'counter' || !name.endsWith('_total'))
    .map((family) => ({ ...family, values: family.values.map((sample) => corrected(family.name, sample)) }));
}

const LAG = /^nodejs_eventloop_lag_(min|max|mean|stddev|p\d+)_seconds$/;

/**
 * Corrects the event loop's lag. Node measures from one tick of its timer to the next (nodejs/node#34661), so an idle
 * loop reads as 250 ms late, and a loop without a tick since the last scrape as 292 years late, or NaN.
 */
function corrected<S extends { readonly value: number }>(name: string, sample: S): S {
  const statistic = LAG.exec(name)?.[1];
  if (statistic === undefined || (statistic === 'stddev' && sample.value < 1e6)) return sample;
  return { ...sample, value: sample.value < 1e6 ? Math.max(0, sample.value - LAG_RESOLUTION_MS / 1000) : 0 };
}

/** True if the Accept header names OpenMetrics before any plain text: scrapers name first what they prefer. */
export function prefersOpenMetrics(accept = ''): boolean {
  const [named] = /application\/openmetrics-text|text\/(?:plain|\*)/i.exec(accept) ?? [''];
  return named.toLowerCase().startsWith('application');
}
