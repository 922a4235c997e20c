// The shapes of Grafana's JSON that the dashboard uses, one function for each. Nothing here knows a metric.

export type Unit = 'short' | 'reqps' | 'percentunit' | 's' | 'bytes' | 'dateTimeFromNow' | 'none';

export interface Query {
  readonly expr: string;
  readonly legend?: string;
}

export interface Threshold {
  /** Applies from this value on; null is the lowest. */
  readonly value: number | null;
  readonly color: string;
}

export interface Panel {
  readonly title: string;
  /** What it shows, and how to read it. */
  readonly description: string;
  /** An anchor of docs/alerts.md. */
  readonly runbook: string;
  /** In 24 columns. */
  readonly width: number;
  readonly height: number;
  /** The rest of Grafana's panel object. */
  readonly body: Readonly<Record<string, unknown>> & { readonly type: string; readonly targets: readonly Target[] };
}

export interface Target {
  readonly refId: string;
  readonly expr: string;
  readonly legendFormat: string;
  readonly instant: boolean;
  readonly range: boolean;
  readonly format: 'time_series' | 'table';
  readonly datasource: typeof DATASOURCE;
  readonly editorMode: 'code';
}

export const DATASOURCE = { type: 'prometheus', uid: '$datasource' } as const;

/** The default size of a panel. */
const WIDTH = 8;
const HEIGHT = 8;

export const GOOD = 'green';
export const LOOK = 'orange';
export const BAD = 'red';
/** For a value that is neither good nor bad. By default it would have the colour of the lowest threshold. */
const NEITHER = '#808080';

type Frame = Omit<Panel, 'body' | 'width' | 'height'> & { readonly width?: number; readonly height?: number };

export interface StatOptions extends Frame {
  readonly query: string;
  readonly unit: Unit;
  readonly thresholds: readonly Threshold[];
  /** Shown if there is no value. */
  readonly noValue?: string;
}

/** One number whose colour says whether to worry. */
export function stat(options: StatOptions): Panel {
  const { query, unit, thresholds, noValue = 'no data' } = options;
  return frame(options, {
    type: 'stat',
    targets: targets([{ expr: query }], 'instant'),
    fieldConfig: {
      defaults: {
        unit,
        decimals: unit === 'percentunit' ? 1 : null,
        noValue,
        mappings: nothingIs(noValue, NEITHER),
        ...colours(thresholds),
      },
      overrides: [],
    },
    options: {
      colorMode: 'background',
      graphMode: 'none',
      textMode: 'value',
      justifyMode: 'center',
      reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
    },
  });
}

export interface GraphOptions extends Frame {
  readonly queries: readonly Query[];
  readonly unit: Unit;
  readonly style?: 'lines' | 'stacked' | 'bars';
  /** The colour of a series, by its legend. */
  readonly colors?: Readonly<Record<string, string>>;
  /** A line drawn across. */
  readonly line?: number;
  readonly max?: number;
  readonly noValue?: string;
}

export function graph(options: GraphOptions): Panel {
  const { queries, unit, style = 'lines', colors = {}, line, max, noValue = 'no data' } = options;
  const { width = WIDTH, height = HEIGHT } = options;
  const steps = line === undefined ? [] : [{ value: line, color: BAD }];
  return frame(options, {
    type: 'timeseries',
    targets: targets(queries, 'range'),
    fieldConfig: {
      defaults: {
        unit,
        min: 0,
        ...(max === undefined ? {} : { max }),
        noValue,
        color: { mode: 'palette-classic' },
        thresholds: { mode: 'absolute', steps: [{ value: null, color: GOOD }, ...steps] },
        custom: {
          drawStyle: style === 'bars' ? 'bars' : 'line',
          // No lines on a stack: the line of a series at 0 would run along the top of the stack, in that series' colour.
          lineWidth: style === 'stacked' ? 0 : 1,
          fillOpacity: style === 'lines' ? 8 : 80,
          showPoints: 'never',
          spanNulls: false,
          stacking: { mode: style === 'stacked' ? 'normal' : 'none', group: 'A' },
          thresholdsStyle: { mode: line === undefined ? 'off' : 'dashed' },
        },
      },
      overrides: Object.entries(colors).map(([name, color]) => ({
        matcher: { id: 'byName', options: name },
        properties: [{ id: 'color', value: { mode: 'fixed', fixedColor: color } }],
      })),
    },
    options: {
      legend: width < 12 ? LIST : { ...TABLE, placement: height < 10 ? 'right' : 'bottom' },
      tooltip: { mode: 'multi', sort: 'desc', hideZeros: true },
    },
  });
}

export interface TimelineOptions extends Frame {
  readonly queries: readonly Query[];
  /** The word and the colour of each value. */
  readonly states: Readonly<Record<number, { readonly text: string; readonly color: string }>>;
  readonly noValue: string;
}

/** A bar for each series, whose colour says in which state it was. */
export function timeline(options: TimelineOptions): Panel {
  const { queries, states, noValue } = options;
  return frame(options, {
    type: 'state-timeline',
    targets: targets(queries, 'range'),
    fieldConfig: {
      defaults: {
        noValue,
        mappings: [{ type: 'value', options: states }],
        color: { mode: 'thresholds' },
        thresholds: { mode: 'absolute', steps: [{ value: null, color: NEITHER }] },
        custom: { fillOpacity: 80, lineWidth: 0, spanNulls: false, insertNulls: false },
      },
      overrides: [],
    },
    options: {
      mergeValues: true,
      showValue: 'never',
      alignValue: 'left',
      rowHeight: 0.9,
      legend: LIST,
      tooltip: { mode: 'single', sort: 'none' },
    },
  });
}

/** Below a graph the legend has a third of the height: two table rows, unless the panel is tall. */
const LIST = { showLegend: true, displayMode: 'list', placement: 'bottom', calcs: [] };
const TABLE = {
  showLegend: true,
  displayMode: 'table',
  calcs: ['lastNotNull', 'max'],
  sortBy: 'Max',
  sortDesc: true,
};

/** The minimum width of a column in pixels: with Grafana's 150 the last columns are out of sight. */
const NARROWEST = 80;

export interface Column {
  readonly name: string;
  readonly expr: string;
  readonly unit: Unit;
  readonly thresholds?: readonly Threshold[];
  /** Shown if there is no value. */
  readonly noValue?: string;
  /** In pixels; without it columns share the rest of the width. */
  readonly pixels?: number;
}

export interface TableOptions extends Frame {
  /** The labels that make a row. */
  readonly keys: readonly string[];
  /** One of the keys. */
  readonly sortBy: string;
  /** The colours of cells, by their text; for one of the keys. */
  readonly colors?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Shown if there is no row. */
  readonly noValue?: string;
  readonly columns: readonly Column[];
}

/** One row for each set of labels, one query for each column. */
export function table(options: TableOptions): Panel {
  const { keys, columns, sortBy, colors = {}, noValue } = options;
  const queries = targets(
    columns.map(({ expr }) => ({ expr })),
    'table',
  );
  const last = queries.length - 1;
  const renamed = columns.map(({ name }, index) => [`Value #${queries[index]?.refId ?? last}`, name] as const);
  return frame(options, {
    type: 'table',
    targets: queries,
    transformations: [
      { id: 'merge', options: {} },
      {
        id: 'organize',
        options: {
          excludeByName: { Time: true },
          indexByName: Object.fromEntries([...keys, ...renamed.map(([value]) => value)].map((name, at) => [name, at])),
          renameByName: Object.fromEntries(renamed),
        },
      },
    ],
    fieldConfig: {
      defaults: {
        ...(noValue === undefined ? {} : { noValue }),
        custom: { align: 'auto', filterable: true, minWidth: NARROWEST },
      },
      overrides: [
        ...Object.entries(colors).map(coloured),
        ...columns.map(({ name, unit, thresholds, noValue, pixels }) => ({
          matcher: { id: 'byName', options: name },
          properties: [
            { id: 'unit', value: unit },
            { id: 'custom.filterable', value: false },
            ...(pixels === undefined ? [] : [{ id: 'custom.width', value: pixels }]),
            ...(thresholds === undefined
              ? []
              : [
                  { id: 'thresholds', value: colours(thresholds).thresholds },
                  { id: 'custom.cellOptions', value: { type: 'color-background', mode: 'basic' } },
                ]),
            ...(noValue === undefined ? [] : [{ id: 'mappings', value: nothingIs(noValue, 'transparent') }]),
          ],
        })),
      ],
    },
    options: { showHeader: true, cellHeight: 'sm', sortBy: [{ displayName: sortBy, desc: false }] },
  });
}

/** The cells of a column that have a colour of their own, by their text. */
function coloured([name, colors]: [string, Readonly<Record<string, string>>]) {
  const options = Object.fromEntries(Object.entries(colors).map(([text, color]) => [text, { color, index: 0 }]));
  return {
    matcher: { id: 'byName', options: name },
    properties: [
      { id: 'mappings', value: [{ type: 'value', options }] },
      { id: 'custom.cellOptions', value: { type: 'color-background', mode: 'basic' } },
    ],
  };
}

function frame({ title, description, runbook, width = WIDTH, height = HEIGHT }: Frame, body: Panel['body']): Panel {
  return { title, description, runbook, width, height, body };
}

function colours(thresholds: readonly Threshold[]) {
  const steps = thresholds.map(({ value, color }, index) => ({ value: index === 0 ? null : value, color }));
  return { color: { mode: 'thresholds' }, thresholds: { mode: 'absolute', steps } };
}

function nothingIs(text: string, color: string) {
  return [{ type: 'special', options: { match: 'null', result: { text, color, index: 0 } } }];
}

function targets(queries: readonly Query[], kind: 'instant' | 'range' | 'table'): Target[] {
  return queries.map(({ expr, legend = '' }, index) => ({
    refId: String.fromCharCode(65 + index),
    datasource: DATASOURCE,
    editorMode: 'code',
    expr,
    legendFormat: legend,
    instant: kind !== 'range',
    range: kind === 'range',
    format: kind === 'table' ? 'table' : 'time_series',
  }));
}
