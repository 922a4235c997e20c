// Applies a panel's field options to its data, as Grafana does before a panel draws.
import {
  applyFieldOverrides,
  cacheFieldDisplayNames,
  type DataFrame,
  FieldConfigOptionsRegistry,
  type FieldConfigPropertyItem,
  type FieldConfigSource,
  FieldType,
  type GrafanaTheme2,
  standardTransformers,
  standardTransformersRegistry,
  transformDataFrame,
} from '@grafana/data';
import type { Panel } from './dashboard.ts';

/** The defaults that Grafana's own time series panel adds, which is in no package. */
const UNSAID = {
  drawStyle: 'line',
  lineInterpolation: 'linear',
  lineWidth: 1,
  fillOpacity: 0,
  gradientMode: 'none',
  spanNulls: false,
  showPoints: 'auto',
  pointSize: 5,
  stacking: { mode: 'none', group: 'A' },
  barAlignment: 0,
  barWidthFactor: 0.6,
  axisPlacement: 'auto',
  axisLabel: '',
  axisColorMode: 'text',
  axisBorderShow: false,
  axisCenteredZero: false,
  scaleDistribution: { type: 'linear' },
  hideFrom: { tooltip: false, viz: false, legend: false },
  thresholdsStyle: { mode: 'off' },
};
const STANDARD = ['unit', 'min', 'max', 'decimals', 'noValue', 'color', 'thresholds', 'mappings'];
const CUSTOM = [...Object.keys(UNSAID), 'align', 'filterable', 'minWidth', 'width', 'cellOptions'];

const registry = new FieldConfigOptionsRegistry(() => [
  ...STANDARD.map((name) => option(name, name, false)),
  ...CUSTOM.map((name) => option(`custom.${name}`, name, true)),
]);

standardTransformersRegistry.setInit(() =>
  [standardTransformers.mergeTransformer, standardTransformers.organizeFieldsTransformer].map((transformation) => ({
    id: transformation.id,
    name: transformation.name,
    transformation: async () => transformation,
    editor: () => null,
    imageDark: '',
    imageLight: '',
  })),
);

function option(id: string, path: string, isCustom: boolean): FieldConfigPropertyItem {
  return {
    id,
    path,
    name: id,
    isCustom,
    editor: () => null,
    override: () => null,
    process: (value) => value,
    shouldApply: ({ type }) => type !== FieldType.time,
  };
}

export const literally = (text: string) => text;

export function fieldConfigOf({ type, fieldConfig }: Panel): FieldConfigSource {
  const { defaults, overrides } = fieldConfig;
  if (type !== 'timeseries') return fieldConfig;
  return { defaults: { ...defaults, custom: { ...UNSAID, ...defaults.custom } }, overrides };
}

export async function preparedFrames(panel: Panel, raw: DataFrame[], theme: GrafanaTheme2): Promise<DataFrame[]> {
  const transformed = transformDataFrame([...(panel.transformations ?? [])], raw);
  const frames = applyFieldOverrides({
    data: await new Promise<DataFrame[]>((resolve, reject) => transformed.subscribe({ next: resolve, error: reject })),
    fieldConfig: fieldConfigOf(panel),
    fieldConfigRegistry: registry,
    replaceVariables: literally,
    theme,
    timeZone: 'browser',
  });
  cacheFieldDisplayNames(frames);
  return frames;
}
