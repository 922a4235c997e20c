// The alerting rules: exactly those that were decided on, each with its runbook section and with promtool cases in
// which it fires and stays silent. test/e2e runs promtool on them.
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { withRunbook } from '../../../dashboard/runbook.ts';
import { DOCS } from '../../../src/base/version.ts';
import { DIAGNOSES } from '../../../src/health/diagnoses.ts';
import { RULE_FILES } from '../../rules/rule-files.ts';
import { read } from '../../support/machine/tools.ts';
import { anchorsOf, unknownLabels, unknownMetrics } from '../../support/metrics/seen.ts';

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
const cases = RULE_FILES.flatMap((file) => file.cases);
const runbook = read('docs/alerts.md');

const WANTED = [
  'RejectionRatioHigh',
  'EverythingRejected',
  'NoLiveSecret',
  'DeliveryFailed',
  'SignedUnverified',
  'CertificateExpiresSoon',
  'SecretExpiresSoon',
  'ExpiredSecretUsed',
  'ReloadFailed',
  'UpstreamFailing',
  'Overloaded',
  'StoreFailing',
  'DeliveryDeferred',
  'ReportModeTooLong',
  'NoDeliveries',
].map((name) => `EntrupyProxy${name}`);

test('these are the alerts', () => {
  expect([...new Set(alerts.map(({ alert }) => alert))].toSorted()).toEqual(WANTED.toSorted());
});

test('rules and runbook name metrics and labels that exist', () => {
  for (const { expr, annotations = {} } of rules) {
    const text = [expr, ...Object.values(annotations)].join('\n');
    expect(unknownMetrics(text)).toEqual([]);
    expect(unknownLabels(text.replaceAll('"%s"', '""'))).toEqual([]);
  }
  expect(unknownMetrics(runbook)).toEqual([]);
});

describe.each(alerts)('$alert, $labels.severity', ({ alert, labels, annotations = {} }) => {
  test('has a severity, and a runbook section that begins with what to do', () => {
    expect(['critical', 'warning', 'info']).toContain(labels?.severity);
    expect(annotations.summary).toMatch(/\.$|\{\{ end \}\}$/);
    const [page, anchor = ''] = (annotations.runbook ?? annotations.runbook_url)?.split('#') ?? [];
    expect([page, 'runbook_url' in annotations]).toEqual([`${DOCS ?? 'docs'}/alerts.md`, DOCS !== null]);
    expect(anchor).toBe(alert.toLowerCase());
    expect(anchorsOf(runbook)).toContain(anchor);
    const [, section = ''] = runbook.split(`\n## ${alert}\n`);
    const [own = ''] = section.split('\n## ');
    expect(own).toMatch(/^\n<!-- diagnoses: \w+ -->\n\*\*Do:\*\* \S/);
    const name = alert.replace('EntrupyProxy', '');
    // Its diagnoses follow from the one list.
    const listed = Object.entries(DIAGNOSES).filter(([, diagnosis]) => diagnosis.alert === name);
    expect(listed.length).toBeGreaterThan(0);
    for (const [id, { remedy, page }] of listed) {
      expect(own).toContain(`\`${id}\`: ${remedy}`);
      expect(page).toBe(`alerts.md#${anchor}`);
    }
    const row = runbook.split('\n').find((line) => line.startsWith(`| ${labels?.severity} |`));
    expect(row).toContain(`(#${anchor})`);
  });

  test('has a promtool case in which it fires and one in which it is silent', () => {
    const own = cases.filter(({ rule }) => `EntrupyProxy${rule}` === alert);
    expect(new Set(own.map(({ fires }) => fires))).toEqual(new Set([true, false]));
    for (const { rule, fires, name, alerts } of own) {
      const all = Object.values(alerts).flat();
      expect(
        all.some((one) => one.startsWith(`${rule}{`) && !one.includes('alertstate')),
        name,
      ).toBe(fires);
    }
  });
});

describe('the address of the runbook', () => {
  test('is a link in the rules, or a file name if there is no address', () => {
    const rules = read('helm/files/rules.yaml');
    const linked = withRunbook(rules, 'https://git.example/docs');
    expect(linked.match(/runbook_url: https:\/\/git\.example\/docs\/alerts\.md#/g)).toHaveLength(alerts.length);
    expect(withRunbook(linked, null).match(/ runbook: docs\/alerts\.md#/g)).toHaveLength(alerts.length);
    expect(withRunbook(withRunbook(linked, null), DOCS)).toBe(rules);
  });

  test('no file holds an address that nobody owns', () => {
    for (const file of ['helm/files/rules.yaml', 'helm/files/dashboard.json', 'helm/values.yaml'])
      expect(read(file), file).not.toMatch(/github\.com\/entrupy/);
  });
});
