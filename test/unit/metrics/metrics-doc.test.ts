import { expect, test } from 'vitest';
import { PROCESS_METRICS } from '../../../scripts/generators/process-metrics.ts';
import { DECISIONS, REASON_NAMES } from '../../../src/core/reasons.ts';
import { METRIC_NAMES, METRICS, type MetricRow, PREFIX } from '../../../src/metrics/metric-table.ts';
import { read } from '../../support/machine/tools.ts';

const doc = read('docs/metrics.md');

test('each metric, label, decision and reason has a row', () => {
  const labels = Object.values<MetricRow>(METRICS).flatMap(({ labels = [] }) => labels);
  const rows = [...METRIC_NAMES.map((name) => PREFIX + name), ...labels, ...DECISIONS, ...REASON_NAMES];
  for (const row of rows) expect(doc).toContain(`\n| \`${row}\` |`);
  for (const name of PROCESS_METRICS) expect(doc).toContain(`\n- \`${name}\``);
});
