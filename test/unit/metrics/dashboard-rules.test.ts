// The alerting rules: exactly those that were decided on, each with its runbook section. test/e2e runs promtool on them.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { DOCS } from '../../../src/base/default-places.ts';
import { DIAGNOSES } from '../../../src/health/diagnoses.ts';
import { ROOT, read } from '../../support/machine/tools.ts';
import { unknownLabels, unknownMetrics } from '../../support/metrics/seen.ts';

interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
  readonly labels?: { readonly severity?: string };
  readonly annotations?: Readonly<Record<string, string>>;
}

const rules: readonly Rule[] = parse(read('helm/files/rules.yaml')).groups.flatMap(
  ({ rules }: { rules: Rule[] }) => rules,
);
const alerts = rules.flatMap(({ alert, ...rule }) => (alert === undefined ? [] : [{ ...rule, alert }]));
const runbook = read('docs/alerts.md');

const WANTED = ['Failed', 'Warning', 'DeliveriesLost', 'NoDeliveries', 'Gone', 'ReportModeTooLong'].map(
  (name) => `EntrupyProxy${name}`,
);

test('these are the alerts, and no page names another, but for those that tell of the past', () => {
  expect(new Set(alerts.map(({ alert }) => alert))).toEqual(new Set(WANTED));
  const pages = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md') && name !== 'upgrading.md');
  for (const page of [
    ...pages.map((name) => `docs/${name}`),
    'README.md',
    'helm/README.md',
    'helm/templates/NOTES.txt',
  ])
    expect(WANTED, page).toEqual(expect.arrayContaining([...read(page).matchAll(/\bEntrupyProxy\w+/g)].flat()));
});

test('rules and runbook name metrics, labels and diagnoses that exist', () => {
  for (const { expr, annotations = {} } of rules) {
    const text = [expr, ...Object.values(annotations)].join('\n');
    expect(unknownMetrics(text)).toEqual([]);
    expect(unknownLabels(text.replaceAll('"%s"', '""'))).toEqual([]);
    for (const [, ids = ''] of expr.matchAll(/diagnosis(?:!~|=)"([^"]+)"/g))
      expect(Object.keys(DIAGNOSES)).toEqual(expect.arrayContaining(ids.split('|')));
  }
  expect(unknownMetrics(runbook)).toEqual([]);
});

test('two releases in one Prometheus are never added up: each rule keeps job and namespace', () => {
  for (const { alert, record, expr } of rules) {
    const groups = [...expr.matchAll(/\b(?:by|on) \(([^)]*)\)/g)].map(([, labels = '']) => labels);
    for (const labels of groups) expect(labels, alert ?? record).toMatch(/^job, namespace\b/);
    expect(expr.match(/\b(?:sum|max|min|count|group)\b(?! by)/g), alert ?? record).toBeNull();
  }
});

describe.each(alerts)('$alert, $labels.severity', ({ alert, labels, annotations = {} }) => {
  test('has a severity, and a runbook section that begins with what to do', () => {
    expect(['critical', 'warning', 'info']).toContain(labels?.severity);
    expect(annotations.summary).toMatch(/\.$/);
    const [page, anchor = ''] = (annotations.runbook ?? annotations.runbook_url)?.split('#') ?? [];
    expect([page, 'runbook_url' in annotations]).toEqual([`${DOCS ?? 'docs'}/alerts.md`, DOCS !== null]);
    // A diagnosis has a section of its own, which a template names.
    const isOfDiagnosis = /^\{\{.*diagnosis.*\}\}$/.test(anchor);
    if (!isOfDiagnosis) expect(anchor).toBe(alert.toLowerCase());
    const [, section = ''] = runbook.split(`\n## ${alert}\n`);
    expect(section).toMatch(/^\n\*\*Do:\*\* \S/);
    const [own = ''] = section.split('\n## ');
    expect(own).toMatch(new RegExp(`^\\*[^*]*\\b${labels?.severity}\\b[^*]*\\*`, 'im'));
  });
});

test('no file holds an address that nobody owns', () => {
  for (const file of ['helm/files/rules.yaml', 'helm/files/dashboard.json', 'helm/values.yaml'])
    expect(read(file), file).not.toMatch(/github\.com\/entrupy/);
});
