// The numbers behind the metrics: plain fields that a request adds to, read at each scrape. Routes and secrets alone
// determine the set of series: recording a request never adds one.
import type { Route } from '../core/routes.ts';
import { METRIC_NAMES, METRICS, type MetricName, type MetricRow, PREFIX } from './metric-table.ts';

type Labels = Readonly<Record<string, string>>;

/** One line of the exposition, in the shape that prom-client's registry renders. */
export interface Sample {
  /** The name of the sample, if it is not the family's name: `…_bucket`, `…_sum`, `…_count`. */
  readonly metricName?: string;
  readonly labels?: Readonly<Record<string, string | number>>;
  /** prom-client renders such an object once and caches the text: keep one object per series. */
  readonly sharedLabels?: Labels;
  value: number;
}

/** A metric's samples, or its value if it has no labels; null for none. */
export type Reading = number | readonly Sample[] | null;

export function sample(sharedLabels: Labels, value: number): Sample {
  return { sharedLabels, value };
}

class Histogram {
  readonly #name: string;
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  readonly #labels: Labels;
  #sum = 0;

  /** `bounds` ascending, without +Inf. */
  constructor(name: string, labels: Labels, bounds: readonly number[]) {
    this.#name = name;
    this.#bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
    this.#labels = labels;
  }

  /** NaN and negative values, which only a broken clock gives, count as 0: they must not spoil the sum forever. */
  add(value: number): void {
    const sane = Number.isFinite(value) && value > 0 ? value : 0;
    const bounds = this.#bounds;
    let at = 0;
    while (at < bounds.length && sane > (bounds[at] ?? Number.POSITIVE_INFINITY)) at++;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#sum += sane;
  }

  /** Cumulative buckets, sum and count. */
  samples(): readonly Sample[] {
    const [name, sharedLabels] = [this.#name, this.#labels];
    let total = 0;
    const buckets = this.#counts.map((count, at): Sample => {
      total += count;
      return { metricName: `${name}_bucket`, labels: { le: this.#bounds[at] ?? '+Inf' }, sharedLabels, value: total };
    });
    return [
      ...buckets,
      { metricName: `${name}_sum`, sharedLabels, value: this.#sum },
      { metricName: `${name}_count`, sharedLabels, value: total },
    ];
  }
}

/** The numbers of one series. A counter is kept as the sample that a scrape renders. */
type Series = Sample | Histogram;

/** The metrics that requests add to, by route. */
export type RouteMetric = {
  [Name in MetricName]: (typeof METRICS)[Name] extends Pick<Required<MetricRow>, 'series'> ? Name : never;
}[MetricName];
export const isRouteMetric = (name: MetricName): name is RouteMetric => 'series' in METRICS[name];
const ROUTE_METRICS = METRIC_NAMES.filter(isRouteMetric);

/** The series of one route, looked up once per request. */
export class RouteSeries {
  /** Each metric's series, keyed by the values of the labels other than `route`, separated by spaces. */
  readonly #families = new Map<RouteMetric, Map<string, Series>>();

  /** Returns false if there is no such series: losing a count is better than adding a series. */
  add(name: RouteMetric, value: number, labels = ''): boolean {
    const series = this.#families.get(name)?.get(labels);
    if (series instanceof Histogram) series.add(value);
    else if (series !== undefined) series.value += value;
    return series !== undefined;
  }

  samples(name: RouteMetric): readonly Sample[] {
    const all = [...(this.#families.get(name)?.values() ?? [])];
    return all.flatMap((series) => (series instanceof Histogram ? series.samples() : series));
  }

  /**
   * Adds the series that the route and its secrets need, and removes those of removed secrets. Series that only the
   * route's former settings needed stay, because requests that began under them must still be counted when they end.
   */
  adapt(route: Route, secrets: readonly string[]): void {
    for (const name of ROUTE_METRICS) {
      const { labels = [], buckets, series }: MetricRow = METRICS[name];
      const family = this.#families.get(name) ?? new Map<string, Series>();
      this.#families.set(name, family);
      for (const key of series?.(route, secrets) ?? []) {
        if (family.has(key)) continue;
        const values = [route.path, ...key.split(' ')];
        const named = Object.fromEntries(labels.map((label, nth) => [label, values[nth] ?? '']));
        family.set(key, buckets === undefined ? sample(named, 0) : new Histogram(PREFIX + name, named, buckets));
      }
    }
    const matches = this.#families.get('secret_matches_total');
    for (const secret of matches?.keys() ?? []) if (!secrets.includes(secret)) matches?.delete(secret);
  }
}
