// The numbers behind the metrics: plain fields that a request adds to, read at each scrape. Recording a request must
// not allocate, hash or look at a label. The route and its secrets fix the set of series: recording never adds one.
import { type Decision, possibleDecisions, type Reason } from '../core/decision.ts';
import {
  REDELIVERY_RESULTS,
  type RedeliveryResult,
  UPSTREAM_FAILURES,
  type UpstreamFailure,
} from '../core/request-record.ts';
import { type Route, UNMATCHED } from '../core/routes.ts';
import { METRICS, STATUS_CLASSES } from './metric-table.ts';

/** One line of the exposition, in the shape that prom-client's registry renders. */
export interface Sample {
  /** Only if it is not the family's name: `…_bucket`, `…_sum`, `…_count`. */
  readonly metricName?: string;
  readonly labels?: Readonly<Record<string, string | number>>;
  /** prom-client renders such an object once and caches the text: keep one object per series. */
  readonly sharedLabels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One series of a counter or gauge. It is its own sample. */
export type Cell = ReturnType<typeof cell>;

export function cell(sharedLabels: Readonly<Record<string, string>>, value = 0) {
  return { sharedLabels, value };
}

export class HistogramCell {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  readonly #labels: Readonly<Record<string, string>>;
  #sum = 0;

  /** `bounds` ascending, without +Inf. */
  constructor(labels: Readonly<Record<string, string>>, bounds: readonly number[]) {
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

/** The cells of one route, looked up once per request. */
export class RouteCells {
  // A single map, keyed by joined strings, would build and hash a string for each request.
  readonly decisions = new Map<Decision, { requests: Map<Reason | 'none', Cell>; duration: HistogramCell }>();
  /** Null if the route does not verify. */
  verification: HistogramCell | null = null;
  /** Null, like `upstream`, if the route rejects: it uses no upstream and reads no body. */
  body: HistogramCell | null = null;
  upstream: HistogramCell | null = null;
  /** By class: `1xx` first. */
  responses: readonly Cell[] = [];
  readonly failures = new Map<UpstreamFailure, Cell>();
  secrets = new Map<string, Cell>();
  /** Empty if the route does not verify. */
  readonly redelivered = new Map<RedeliveryResult, Cell>();

  /**
   * Adds the cells that the route and its secrets need, and removes those of removed secrets. Those of the old route
   * stay: requests that began under it still end, and a counter that disappears loses its last increments.
   */
  adapt(adapted: Route, secrets: readonly string[]): void {
    const { path: route, action } = adapted;
    for (const [decision, reason] of possibleDecisions(adapted)) {
      const cells = this.decisions.get(decision) ?? {
        requests: new Map(),
        duration: new HistogramCell({ route, decision }, METRICS.request_duration_seconds.buckets),
      };
      this.decisions.set(decision, cells);
      if (!cells.requests.has(reason)) cells.requests.set(reason, cell({ route, decision, reason }));
    }
    // What is stored may outlast its route: then it counts as unmatched.
    if ((action === 'verify' || route === UNMATCHED) && this.redelivered.size === 0) {
      for (const result of REDELIVERY_RESULTS) this.redelivered.set(result, cell({ route, result }));
    }
    if (action === 'verify') {
      this.verification ??= new HistogramCell({ route }, METRICS.verification_duration_seconds.buckets);
    }
    if (action !== 'reject' && this.body === null) {
      this.body = new HistogramCell({ route }, METRICS.request_body_bytes.buckets);
      this.upstream = new HistogramCell({ route }, METRICS.upstream_duration_seconds.buckets);
      this.responses = STATUS_CLASSES.map((code) => cell({ route, code }));
      for (const cause of UPSTREAM_FAILURES) this.failures.set(cause, cell({ route, cause }));
    }
    this.secrets = new Map(secrets.map((secret) => [secret, this.secrets.get(secret) ?? cell({ route, secret })]));
  }
}
