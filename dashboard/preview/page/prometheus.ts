// Turns Prometheus' responses into data frames, as Grafana's own data source does.
import { type DataFrame, FieldType, type Labels, toDataFrame } from '@grafana/data';
import { filledIn, type Target } from './dashboard.ts';

/** Seconds. */
const STEP = 1;
/** The value of `$__rate_interval`. Grafana would use four scrape intervals, 4 s here, which makes the lines too rough. */
const RATE = 8;

/** Epoch seconds. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

interface Series {
  readonly metric: Labels;
  readonly value?: readonly [number, string];
  readonly values?: readonly (readonly [number, string])[];
}

/** Throws if Prometheus refuses the query. */
export async function framesOf(target: Target, span: Span): Promise<DataFrame[]> {
  const query = filledIn(target.expr, { rate: RATE, range: Math.round(span.to - span.from) });
  const parameters = target.instant
    ? { query, time: String(span.to) }
    : { query, start: String(span.from), end: String(span.to), step: String(STEP) };
  const path = target.instant ? 'query' : 'query_range';
  const answer = await fetch(`/api/v1/${path}?${new URLSearchParams(parameters)}`);
  const { data, error } = (await answer.json()) as { data?: { result: Series[] }; error?: string };
  if (data === undefined) throw new Error(`${error}: ${query}`);
  if (target.format === 'table') return data.result.length === 0 ? [] : [tableOf(target, data.result)];
  return data.result.map((series) => frameOf(target, series));
}

function frameOf({ refId, legendFormat }: Target, { metric, value, values = [] }: Series): DataFrame {
  const points = value === undefined ? values : [value];
  const name = legendFormat.replaceAll(/\{\{\s*(\w+)\s*\}\}/g, (_, label: string) => metric[label] ?? '');
  return toDataFrame({
    refId,
    fields: [
      {
        name: 'Time',
        type: FieldType.time,
        values: points.map(([at]) => at * 1000),
        config: { interval: STEP * 1000 },
      },
      {
        name: 'Value',
        type: FieldType.number,
        values: points.map(([, text]) => Number(text)),
        labels: metric,
        config: name === '' ? {} : { displayNameFromDS: name },
      },
    ],
  });
}

function tableOf({ refId }: Target, all: readonly Series[]): DataFrame {
  const labels = [...new Set(all.flatMap(({ metric }) => Object.keys(metric)))].toSorted();
  return toDataFrame({
    refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: all.map(({ value }) => Number(value?.[0]) * 1000) },
      ...labels.map((name) => ({
        name,
        type: FieldType.string,
        values: all.map(({ metric }) => metric[name] ?? ''),
        config: { filterable: true },
      })),
      { name: `Value #${refId}`, type: FieldType.number, values: all.map(({ value }) => Number(value?.[1])) },
    ],
  });
}
