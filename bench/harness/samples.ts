// One measurement, and the summary of several. Medians with their range, since a mean would hide the machine's bad
// moments.

/** The result of one burst of one load. Times as named; memory in MiB. */
export interface Sample {
  readonly requestsPerSecond: number;
  readonly p50Millis: number;
  readonly p99Millis: number;
  /** User and system time of the proxy's processes for each request; 0 if there is no proxy. */
  readonly cpuMicros: number;
  readonly rssIdle: number;
  readonly rssAfter: number;
  /** From exec to the first answered request. */
  readonly startMillis: number;
  /** Connections that failed or timed out under load. */
  readonly broken: number;
  /** CPU time of the store of delivered events for each request, if the store is a separate process. */
  readonly storeMicros?: number;
}

export type Figure = Exclude<keyof Sample, 'broken' | 'storeMicros'>;

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  const lower = sorted.length % 2 === 0 ? (sorted[middle - 1] ?? Number.NaN) : upper;
  return { median: (lower + upper) / 2, min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN };
}

export function figure(samples: readonly Sample[], name: Figure): Spread {
  return spread(samples.map((sample) => sample[name]));
}

/** The ratio of two figures, by turn: a disturbance that slows both at once cancels out. */
export function ratio(ours: readonly Sample[], theirs: readonly Sample[], name: Figure): Spread {
  return spread(ours.map((sample, index) => sample[name] / (theirs[index]?.[name] ?? Number.NaN)));
}
