// Reads the committed dashboard. Nothing about a panel may be repeated here.
import type { DataTransformerConfig, FieldConfigSource } from '@grafana/data';
import dashboard from '../../../helm/files/dashboard.json';

export interface Target {
  readonly refId: string;
  readonly expr: string;
  readonly legendFormat: string;
  readonly instant: boolean;
  readonly format: 'time_series' | 'table';
}

export interface Place {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

export interface Panel {
  readonly type: string;
  readonly title: string;
  readonly description: string;
  readonly gridPos: Place;
  readonly targets: readonly Target[];
  readonly transformations?: readonly DataTransformerConfig[];
  readonly fieldConfig: FieldConfigSource;
  // biome-ignore lint/suspicious/noExplicitAny: a panel's options, of its type alone
  readonly options: any;
}

export const TITLE = dashboard.title;

/** All panels from the top, with the rows' headings among them. */
const PANELS = dashboard.panels as unknown as readonly Panel[];

/** The variables whose values come from a query; each is All here. */
const CHOICES = dashboard.templating.list.filter(({ type }) => type === 'query').map(({ name }) => name);

/**
 * The panels with one of these titles, or in a row with one of them, and the headings of their rows, moved up so that no
 * gap is left. Without titles, all panels.
 */
export function chosen(titles: readonly string[]): readonly Panel[] {
  const known = PANELS.map(({ title }) => title);
  const unknown = titles.filter((title) => !known.includes(title));
  if (unknown.length > 0) throw new Error(`the dashboard has no panel called ${unknown.join(', ')}`);
  const shown = rows().flatMap(([heading, ...panels]) => {
    const whole = titles.length === 0 || titles.includes(heading.title);
    const some = whole ? panels : panels.filter(({ title }) => titles.includes(title));
    return some.length === 0 ? [] : [heading, ...some];
  });
  const covered = new Set(shown.flatMap(({ gridPos: { y, h } }) => Array.from({ length: h }, (_, line) => y + line)));
  const above = (y: number) => [...covered].filter((line) => line < y).length;
  return shown.map((panel) => ({ ...panel, gridPos: { ...panel.gridPos, y: above(panel.gridPos.y) } }));
}

/** The rows, each with its heading first. */
function rows(): readonly (readonly [Panel, ...Panel[]])[] {
  const all: [Panel, ...Panel[]][] = [];
  for (const panel of PANELS) {
    if (panel.type === 'row') all.push([panel]);
    else all.at(-1)?.push(panel);
  }
  return all;
}

/** The query as Grafana would send it. Windows are in seconds. */
export function filledIn(expr: string, windows: { readonly rate: number; readonly range: number }): string {
  return expr
    .replaceAll('$__rate_interval', `${windows.rate}s`)
    .replaceAll('$__range', `${windows.range}s`)
    .replaceAll(/\$(\w+)/g, (text, name: string) => (CHOICES.includes(name) ? '.*' : text));
}
