// A case of the alerting rules, and the file that promtool reads of them.

/** What proxies show, and every alert that it raises. A moment is a time since the start, such as `90m`. */
interface World {
  /**
   * The samples of each series, in promtool's notation. A series is of the job `hooks` in the namespace `shop` and of its
   * pod `a` unless it says otherwise; an empty label is none.
   */
  readonly series: Readonly<Record<string, string>>;
  /** Every alert at a moment, also one that is pending. */
  readonly alerts: Readonly<Record<string, readonly string[]>>;
  /** The text of this rule's first alert at `moment`, and the section of the runbook that it names; by default its own. */
  readonly moment?: string;
  readonly summary?: string;
  readonly description?: string;
  readonly section?: string;
}

export interface RuleCase extends World {
  readonly rule: string;
  readonly name: string;
}

export interface RuleFile {
  /** The interval of evaluation. */
  readonly every: string;
  /** The interval of samples, if it is another one. */
  readonly sampled?: string;
  readonly cases: readonly RuleCase[];
}

const caseThat = (does: string) => (rule: string, when: string, world: World) =>
  ({ ...world, rule, name: `${rule} ${does} ${when}` }) satisfies RuleCase;
export const fires = caseThat('fires');
export const silent = caseThat('is silent');

/** A character for each quarter of an hour: how many requests end then, or a dot for none. */
export function quarters(picture: string): string {
  let total = 0;
  const totals = [...`.${picture}`].map((count) => {
    total += count === '.' ? 0 : Number(count);
    return `${total}x14`;
  });
  return totals.join(' ');
}

type Labels = Readonly<Record<string, string>>;

function parsed(text: string): { readonly name: string; readonly labels: Labels } {
  const [name = '', braces = ''] = text.split('{');
  const given = [...braces.matchAll(/(\w+)="([^"]*)"/g)].map(([, label = '', value = '']) => [label, value] as const);
  const all = Object.entries({ job: 'hooks', namespace: 'shop', ...Object.fromEntries(given) });
  return { name, labels: Object.fromEntries(all.filter(([, value]) => value !== '')) };
}

function written(name: string, labels: Labels): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return `${name}{${pairs.join()}}`;
}

/** A request has a reason, if only `none`; a process' own series have no prefix. */
function seriesOf(text: string): string {
  const pod = /\bpod="(.*?)"/.exec(text)?.[1] ?? 'a';
  const { name, labels } = parsed(text);
  return written(name.startsWith('process_') ? name : `entrupy_proxy_${name}`, {
    ...(pod !== '' && { pod, instance: `${pod}:9464` }),
    ...('decision' in labels && { reason: 'none' }),
    ...labels,
  });
}

function alertOf(text: string): Labels {
  const { name, labels } = parsed(text);
  return { alertname: `EntrupyProxy${name}`, alertstate: 'firing', ...labels };
}

function textsOf({
  rule,
  alerts,
  moment,
  section = `entrupyproxy${rule.toLowerCase()}`,
  ...texts
}: RuleCase): readonly object[] {
  if (moment === undefined) return [];
  const own =
    alerts[moment]?.map(parsed).filter(({ name, labels }) => name === rule && !('alertstate' in labels)) ?? [];
  const { summary, description } = texts;
  const exp_annotations = { summary, description, runbook: `docs/alerts.md#${section}` };
  const exp_alerts = own.map(({ labels }) => ({ exp_labels: labels, exp_annotations }));
  return [{ alertname: `EntrupyProxy${rule}`, eval_time: moment, exp_alerts }];
}

/** What `promtool test rules` reads: JSON is YAML. */
export function promtoolFile(rules: string, { every, sampled = every, cases }: RuleFile): string {
  const tests = cases.map((one) => ({
    name: one.name,
    interval: sampled,
    input_series: Object.entries(one.series).map(([text, values]) => ({ series: seriesOf(text), values })),
    alert_rule_test: textsOf(one),
    promql_expr_test: Object.entries(one.alerts).map(([moment, alerts]) => ({
      expr: 'ALERTS',
      eval_time: moment,
      exp_samples: alerts.map((text) => ({ labels: written('ALERTS', alertOf(text)), value: 1 })),
    })),
  }));
  return JSON.stringify({ rule_files: [rules], evaluation_interval: every, tests });
}
