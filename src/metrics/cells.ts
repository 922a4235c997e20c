// The numbers behind the metrics: plain fields that a request adds to, read at each scrape. Recording a request
// must not allocate, hash or look at a label.

export type Labels = Readonly<Record<string, string>>;

/** One line of the exposition, in the shape that prom-client's registry renders. */
export interface Sample {
  /** Only where it is not the family's name: `…_bucket`, `…_sum`, `…_count`. */
  readonly metricName?: string;
  readonly labels?: Readonly<Record<string, string | number>>;
  /** prom-client renders such an object once and caches the text: keep one object per series. */
  readonly sharedLabels?: Labels;
  readonly value: number;
}

/** One series of a counter or gauge. It is its own sample. */
export interface Cell extends Sample {
  value: number;
}

export function cell(sharedLabels: Labels, value = 0): Cell {
  return { sharedLabels, value };
}

/** One series of a histogram. */
export class HistogramCell {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  readonly #labels: Labels;
  #sum = 0;

  /** `bounds` ascending, without +Inf. */
  constructor(labels: Labels, bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
    this.#labels = labels;
  }

  /** NaN and negative values, which only a broken clock gives, count as 0: they must not spoil the sum forever. */
  observe(value: number): void {
    const sane = Number.isFinite(value) && value > 0 ? value : 0;
    const bounds = this.#bounds;
    let at = 0;
    while (at < bounds.length && sane > (bounds[at] ?? Number.POSITIVE_INFINITY)) at++;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#sum += sane;
  }

  /** Cumulative buckets, sum and count. `name` is the family's. */
  samples(name: string): readonly Sample[] {
    const sharedLabels = this.#labels;
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
