// One component of @grafana/ui for each type of panel. A type without a component shows a note and is never drawn by hand.
import { type DataFrame, dateTime, type GrafanaTheme2, getFieldDisplayValues, type TimeRange } from '@grafana/data';
import { BigValue, TimeSeries } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import type { ReactNode } from 'react';
import type { Panel } from './dashboard.ts';
import { fieldConfigOf, literally } from './fields.ts';
import type { Span } from './prometheus.ts';

export interface Drawn {
  readonly panel: Panel;
  readonly frames: DataFrame[];
  readonly span: Span;
  readonly theme: GrafanaTheme2;
  readonly width: number;
  readonly height: number;
}

export function Visual(drawn: Drawn): ReactNode {
  switch (drawn.panel.type) {
    case 'stat':
      return <Stat {...drawn} />;
    case 'timeseries':
      return isEmpty(drawn) ? <Nothing {...drawn} /> : <Graph {...drawn} />;
    case 'table':
      return isEmpty(drawn) ? <Nothing {...drawn} /> : <Table {...drawn} />;
    default:
      return <Centred {...drawn}>{`@grafana/ui has no ${drawn.panel.type}: see it in Grafana`}</Centred>;
  }
}

const isEmpty = ({ frames }: Drawn) => frames.every(({ length }) => length === 0);

function Nothing(drawn: Drawn) {
  return <Centred {...drawn}>{drawn.panel.fieldConfig.defaults.noValue ?? 'No data'}</Centred>;
}

function Centred({ width, height, children }: Drawn & { readonly children: string }) {
  return <div style={{ width, height, display: 'grid', placeItems: 'center', opacity: 0.7 }}>{children}</div>;
}

function Stat({ panel, frames, theme, width, height }: Drawn) {
  const { reduceOptions, colorMode, graphMode, textMode, justifyMode } = panel.options;
  const fieldConfig = fieldConfigOf(panel);
  const values = getFieldDisplayValues({
    data: frames,
    fieldConfig,
    reduceOptions,
    replaceVariables: literally,
    theme,
  });
  return values
    .slice(0, 1)
    .map(({ name, display }) => (
      <BigValue key={name} value={display} {...{ theme, width, height, colorMode, graphMode, textMode, justifyMode }} />
    ));
}

function Graph({ panel, frames, span, width, height }: Drawn) {
  const legend = { showLegend: true, ...panel.options.legend };
  return (
    <TimeSeries frames={frames} timeRange={rangeOf(span)} timeZone="browser" legend={legend} {...{ width, height }} />
  );
}

function Table({ panel, frames, width, height }: Drawn) {
  const [data] = frames;
  const { cellHeight, sortBy } = panel.options;
  if (data === undefined) return null;
  return <TableNG fieldConfig={panel.fieldConfig} {...{ data, cellHeight, sortBy, width, height }} />;
}

function rangeOf(span: Span): TimeRange {
  const [from, to] = [dateTime(span.from * 1000), dateTime(span.to * 1000)];
  return { from, to, raw: { from, to } };
}
