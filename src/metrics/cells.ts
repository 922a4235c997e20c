// The numbers behind the metrics: plain fields that a request adds to, read when somebody scrapes. Nothing here may
// allocate, hash or look at a label while a request is recorded.
import type { MetricType } from './metric-table.ts';

/** One line of the exposition, in the shape that prom-client's registry renders. */
export interface Sample {
  /** Where it differs from the family's name: `…_bucket`, `…_sum`, `…_count`. */
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  /** Rendered once for each object and cached there by prom-client: keep one object a series. */
  readonly sharedLabels?: Labels;
  readonly value: number;
}

export type Labels = Readonly<Record<string, string>>;

/** One metric and how to read all its series at this moment. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: MetricType;
  readonly collect: () => readonly Sample[];
}

const NO_LABELS: Labels = Object.freeze({});

/** One series of a counter or gauge. It is its own sample. */
export class Cell implements Sample {
  value = 0;
  readonly labels = NO_LABELS;
  readonly sharedLabels: Labels;

  constructor(labels: Labels) {
    this.sharedLabels = labels;
  }
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

  /** NaN and negative values, which only a broken clock gives, count as 0: they must not spoil the sum for ever. */
  observe(value: number): void {
    const sane = Number.isFinite(value) && value > 0 ? value : 0;
    const bounds = this.#bounds;
    let at = 0;
    while (at < bounds.length && sane > (bounds[at] ?? Number.POSITIVE_INFINITY)) at++;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#sum += sane;
  }

  /** Cumulative buckets, sum and count, `name` being the family's. */
  samples(name: string): Sample[] {
    const sharedLabels = this.#labels;
    const bucket = (le: string | number, value: number) => ({
      metricName: `${name}_bucket`,
      labels: { le },
      sharedLabels,
      value,
    });
    let total = 0;
    const samples: Sample[] = this.#counts.map((count, at) => {
      total += count;
      return bucket(this.#bounds[at] ?? '+Inf', total);
    });
    samples.push({ metricName: `${name}_sum`, labels: NO_LABELS, sharedLabels, value: this.#sum });
    samples.push({ metricName: `${name}_count`, labels: NO_LABELS, sharedLabels, value: total });
    return samples;
  }
}
