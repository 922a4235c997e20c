// Renders the metrics in the two formats that scrapers ask for, with prom-client's registry and never its global one.
import { type Metric, type OpenMetricsContentType, Registry } from 'prom-client';
import type { Family, Sample } from './cells.ts';
import { type ProcessFamily, processFamilies } from './process-metrics.ts';

export interface Exposed {
  readonly contentType: string;
  readonly body: string;
}

export interface Exposition {
  expose(accept: string | undefined): Promise<Exposed>;
}

/** Adds `process_*` and `nodejs_*` to the families given. */
export async function createExposition(families: readonly Family[]): Promise<Exposition> {
  const all = [...families, ...(await processFamilies())];
  const text = new Registry();
  const openMetrics = new Registry<OpenMetricsContentType>();
  openMetrics.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  for (const family of all) {
    text.registerMetric(renderable(family, family.name));
    // OpenMetrics names a counter without `_total` and its samples with it: the registry puts that back.
    openMetrics.registerMetric(renderable(family, familyName(family)));
  }
  return {
    async expose(accept) {
      const registry = prefersOpenMetrics(accept) ? openMetrics : text;
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
  };
}

function familyName({ name, type }: Family | ProcessFamily): string {
  return type === 'counter' ? name.replace(/_total$/, '') : name;
}

/**
 * What prom-client's registry needs of a metric, and no more. One for each registry: an OpenMetrics registry renames the
 * counters that it is given, which would rename them in the text format too.
 */
function renderable({ help, type, collect }: Family | ProcessFamily, name: string): Metric<string> {
  const get = async (): Promise<{ name: string; help: string; type: string; values: readonly Sample[] }> => {
    return { name, help, type, values: await collect() };
  };
  return { name, help, type, get } as unknown as Metric<string>;
}

/** True where the Accept header names OpenMetrics and does not like plain text better (RFC 9110 §12.5.1). */
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
