// Reads dashboard, rules and runbook for the tests that keep them consistent.
import { PROCESS_METRICS } from '../../../scripts/generators/process-metrics.ts';
import {
  METRIC_NAMES,
  METRICS,
  type MetricName,
  type MetricRow,
  PREFIX,
  typeOf,
} from '../../../src/metrics/metric-table.ts';

interface Dashboard {
  readonly panels: readonly {
    readonly type: string;
    readonly title: string;
    readonly description: string;
    readonly targets: readonly { readonly expr: string }[];
  }[];
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
}

/** Without the rows' headings. */
export function panelsOf(dashboard: Dashboard) {
  return dashboard.panels.filter(({ type }) => type !== 'row');
}

export function dashboardQueries(dashboard: Dashboard): readonly string[] {
  const shown = panelsOf(dashboard).flatMap(({ targets }) => targets.map(({ expr }) => expr));
  return [...shown, ...dashboard.annotations.list.map(({ expr }) => expr)];
}

/** The anchors of a Markdown page's headings, as GitHub makes them. */
export function anchorsOf(markdown: string): readonly string[] {
  return [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

/** The metric names in a text, without a histogram's suffix; recorded names (`level:name:operation`) are excluded. */
export function metricsIn(text: string): readonly string[] {
  const found = [...text.matchAll(/(?<![\w:])(?:entrupy_proxy|process|nodejs)_\w+(?![\w:])/g)].map(([name]) => name);
  return [...new Set(found.map(family))];
}

const FAMILIES = new Map<string, ReturnType<typeof typeOf> | 'process'>([
  ...METRIC_NAMES.map((name) => [PREFIX + name, typeOf(name)] as const),
  ...PROCESS_METRICS.map((name) => [name, 'process'] as const),
]);

function family(name: string): string {
  const base = name.replace(/_(bucket|sum|count)$/, '');
  const type = FAMILIES.get(base);
  return type === 'histogram' || type === 'process' ? base : name;
}

export function unknownMetrics(text: string): readonly string[] {
  return metricsIn(text).filter((name) => !FAMILIES.has(name));
}

const TARGET_LABELS = ['job', 'namespace', 'pod', 'instance', 'le'];

/** Labels in the selectors of a query that their metric does not have. */
export function unknownLabels(expr: string): readonly string[] {
  const selectors = [...expr.matchAll(/\b(entrupy_proxy_\w+)\{([^}]*)\}/g)];
  return selectors.flatMap(([, name = '', selector = '']) => {
    const row: MetricRow | undefined = METRICS[family(name).slice(PREFIX.length) as MetricName];
    const known = [...TARGET_LABELS, ...(row?.labels ?? [])];
    const used = [...selector.matchAll(/(\w+)(?:=~|!~|!=|=)"/g)].map(([, label = '']) => label);
    return used.filter((label) => !known.includes(label)).map((label) => `${name} has no ${label}`);
  });
}
