// What pods showed, as a file for promtool that fails where an alert and the status pages disagree. The expectations follow
// from the pages alone, as series of their own; a query at the end finds every moment at which an alert differs.

/** What a pod shows at one scrape. */
export interface Shown {
  readonly pod: string;
  /** Seconds since the first scrape. */
  readonly startedAt: number;
  readonly diagnoses: readonly { readonly diagnosis: string; readonly state: string; readonly route: string }[];
  /** The series of its counters without the prefix, such as `deliveries_total{route="/notify",fate="failed"}`. */
  readonly counters: Readonly<Record<string, number>>;
}

/** The pods at each scrape, `EVERY_S` apart; of the first release. A pod that is gone is not among them. */
export type Scrapes = readonly (readonly Shown[])[];

export const EVERY_S = 30;
/** The `for` of EntrupyProxyFailed, in scrapes. */
const FOR = 120 / EVERY_S;
const HOUR_S = 3600;

/** One promtool test for each world. */
export function agreementFile(
  rules: string,
  worlds: readonly { readonly name: string; readonly scrapes: Scrapes }[],
): string {
  const tests = worlds.map(({ name, scrapes }) => ({
    name,
    interval: `${EVERY_S}s`,
    input_series: seriesOf(scrapes).map(([series, values]) => ({ series, values: values.join(' ') })),
    promql_expr_test: NEVER.map((expr) => ({
      expr: `count_over_time((${expr})[${scrapes.length * EVERY_S}s:${EVERY_S}s])`,
      eval_time: `${(scrapes.length - 1) * EVERY_S}s`,
      exp_samples: [],
    })),
  }));
  return JSON.stringify({ rule_files: [rules], evaluation_interval: `${EVERY_S}s`, tests });
}

const FIRING = (alert: string) => `sum by (route) (ALERTS{alertname="${alert}",alertstate="firing"})`;
const FAILED = FIRING('EntrupyProxyFailed');

/** What is never seen. */
const NEVER = [
  `${FAILED} unless on (route) page_failed`,
  `page_failed unless on (route) ${FAILED}`,
  'ALERTS{alertname="EntrupyProxyDeliveriesLost",alertstate="firing"} and on () all_is_well',
  `page_lost unless on (route) ${FIRING('EntrupyProxyDeliveriesLost')}`,
];

type Value = number | '_' | 'stale';

/** Series that end with a stale mark, as Prometheus writes it once a scrape lacks them. */
class Recorder {
  readonly #all = new Map<string, Value[]>();

  put(series: string, at: number, value: number): void {
    const values = this.#all.get(series) ?? [];
    this.#all.set(series, filled(values, at));
    values[at] = value;
  }

  upTo(length: number): readonly (readonly [string, readonly Value[]])[] {
    return [...this.#all].map(([series, values]) => [series, filled(values, length)]);
  }
}

function filled(values: Value[], length: number): Value[] {
  while (values.length < length) values.push(typeof values.at(-1) === 'number' ? 'stale' : '_');
  return values;
}

function seriesOf(scrapes: Scrapes) {
  const recorder = new Recorder();
  const failedSince = new Map<string, number>();
  for (const [at, pods] of scrapes.entries()) {
    for (const [series, value] of pods.flatMap(shownBy)) recorder.put(series, at, value);
    const failed = new Set(failedRoutes(pods));
    for (const route of [...failedSince.keys()].filter((one) => !failed.has(one))) failedSince.delete(route);
    for (const route of failed) {
      const since = failedSince.get(route) ?? at;
      failedSince.set(route, since);
      if (at - since >= FOR) recorder.put(`page_failed${labelsOf({ route })}`, at, 1);
    }
    for (const route of newlyLost(pods, scrapes[at - 1] ?? [])) recorder.put(`page_lost${labelsOf({ route })}`, at, 1);
    // A pod that began within the hour has forgotten what the one before it lost.
    const isWell = pods.every(({ startedAt, diagnoses: all }) => all.length === 0 && at * EVERY_S - startedAt > HOUR_S);
    if (isWell) recorder.put('all_is_well', at, 1);
  }
  return recorder.upTo(scrapes.length);
}

/** The routes of which a pod says that deliveries may be lost, and did not say so at the scrape before. */
function newlyLost(pods: readonly Shown[], before: readonly Shown[]): readonly string[] {
  const lostOf = ({ diagnoses }: Shown) =>
    diagnoses.flatMap(({ diagnosis, route }) => (diagnosis === 'deliveries-lost' ? [route] : []));
  return pods.flatMap((pod) => {
    const known = before.find((one) => one.pod === pod.pod);
    return known === undefined ? [] : lostOf(pod).filter((route) => !lostOf(known).includes(route));
  });
}

const failedRoutes = (pods: readonly Shown[]) =>
  pods.flatMap(({ diagnoses }) => diagnoses.flatMap(({ state, route }) => (state === 'failed' ? [route] : [])));

function shownBy({ pod, startedAt, diagnoses, counters }: Shown): readonly (readonly [string, number])[] {
  const target = { job: 'hooks', namespace: 'shop', pod, instance: `${pod}:9464` };
  return [
    [`entrupy_proxy_build_info${labelsOf(target)}`, 1],
    [`process_start_time_seconds${labelsOf(target)}`, startedAt],
    ...diagnoses.map((one) => [`entrupy_proxy_diagnosis${labelsOf({ ...target, ...one })}`, 1] as const),
    ...Object.entries(counters).map(
      ([series, value]) => [`entrupy_proxy_${series.replace('}', `,${labelsOf(target).slice(1)}`)}`, value] as const,
    ),
  ];
}

/** An empty label is none. */
function labelsOf(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).filter(([, value]) => value !== '');
  return `{${pairs.map(([name, value]) => `${name}="${value}"`).join()}}`;
}
