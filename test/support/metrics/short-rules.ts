// The shipped rules with every window shortened mechanically, so a test sees in seconds what takes days. Only the
// durations differ, never an expression.
import { parse, stringify } from 'yaml';

/** Ascending like the originals; each spans several scrapes of a second. */
const SHORT: Readonly<Record<string, string>> = {
  '1m': '1s',
  '2m': '2s',
  '5m': '6s',
  '10m': '10s',
  '15m': '12s',
  '30m': '15s',
  '1h': '20s',
  '3h': '25s',
  '6h': '30s',
  '1d': '40s',
  '1w': '90s',
  '2w': '120s',
};

type Rule = Readonly<Record<string, unknown>> & {
  readonly expr: string;
  readonly annotations?: Readonly<Record<string, string>>;
};

/** Throws at a duration that has no short form. */
export function shortRules(text: string): string {
  const { groups } = parse(text) as { groups: { name: string; rules: Rule[] }[] };
  const short = groups.map(({ name, rules }) => ({ name, interval: '1s', rules: rules.map(shortRule) }));
  return stringify({ groups: short }, { lineWidth: 0 });
}

function shortRule(rule: Rule): object {
  const { expr, annotations = {} } = rule;
  const held = ['for', 'keep_firing_for'].flatMap((key) => (key in rule ? [[key, shorten(String(rule[key]))]] : []));
  return {
    ...rule,
    expr: shortQuery(expr),
    ...Object.fromEntries(held),
    ...('alert' in rule && {
      annotations: Object.fromEntries(Object.entries(annotations).map(([key, value]) => [key, shortQuery(value)])),
    }),
  };
}

function shortQuery(expr: string): string {
  return expr
    .replaceAll(/\[(\w+)(?::(\w+))?\]/g, (_, range: string, step?: string) =>
      step === undefined ? `[${shorten(range)}]` : `[${shorten(range)}:${shorten(step)}]`,
    )
    .replaceAll(/offset (\w+)/g, (_, by: string) => `offset ${shorten(by)}`);
}

function shorten(duration: string): string {
  const short = SHORT[duration];
  if (short === undefined) throw new Error(`no short form of ${duration}`);
  return short;
}
