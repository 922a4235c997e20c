// The dashboard matches its description, and can be imported: complete, linked, and on existing metrics.
import { expect, test } from 'vitest';
import { METRIC_NAMES, PREFIX } from '../../../src/metrics/metric-table.ts';
import { read } from '../../support/machine/tools.ts';
import {
  anchorsOf,
  dashboardQueries,
  metricsIn,
  panelsOf,
  unknownLabels,
  unknownMetrics,
} from '../../support/metrics/seen.ts';

const text = read('helm/files/dashboard.json');
const dashboard = JSON.parse(text);
const panels = panelsOf(dashboard);
const queries = dashboardQueries(dashboard);

test('each panel has a unique title, a description, a query and a runbook section', () => {
  const anchors = anchorsOf(read('docs/alerts.md'));
  expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length);
  for (const { title, description, targets } of panels) {
    expect(description, title).toMatch(/^\S.*\. Runbook: \S+$/s);
    expect(targets.length, title).toBeGreaterThan(0);
    const [, anchor] = description.split('alerts.md#');
    expect(anchors, title).toContain(anchor);
  }
});

test('queries name existing metrics and labels, and select by job, namespace and pod', () => {
  expect(queries.length).toBeGreaterThan(50);
  expect(panels.length).toBeLessThanOrEqual(30);
  for (const expr of queries) {
    expect(unknownMetrics(expr), expr).toEqual([]);
    expect(unknownLabels(expr), expr).toEqual([]);
    for (const [, name = '', selector = ''] of expr.matchAll(/\b((?:entrupy_proxy|process|nodejs)_\w+)\{([^}]*)\}/g)) {
      expect(selector, name).toContain('job=~"$job",namespace=~"$namespace",pod=~"$pod"');
    }
  }
});

test('each metric of the table is shown', () => {
  const shown = new Set(queries.flatMap(metricsIn));
  expect(METRIC_NAMES.filter((name) => !shown.has(PREFIX + name))).toEqual([]);
});
