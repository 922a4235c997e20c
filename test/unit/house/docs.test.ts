// The docs have no broken link, document every rule and every log field, and promise nothing in Entrupy's name.
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PROCESS_METRICS } from '../../../scripts/generators/process-metrics.ts';
import { RULES } from '../../../src/core/gate-rules.ts';
import { DECISIONS, REASON_NAMES } from '../../../src/core/reasons.ts';
import { createLog } from '../../../src/log/log.ts';
import { RequestLog } from '../../../src/log/request-log.ts';
import { METRIC_NAMES, METRICS, type MetricRow, PREFIX } from '../../../src/metrics/metric-table.ts';
import { ROOT, read } from '../../support/machine/tools.ts';
import { anchorsOf } from '../../support/metrics/seen.ts';
import { accepted, DEFERRED, hint, ONCE, refused } from '../fixtures.ts';
import { judgedAfter } from '../health/fixtures.ts';

const pages = [
  ...['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md'],
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

test.each(pages)('%s: each internal link leads to a page and a section that exist', (page) => {
  for (const [, target = ''] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^https?:/.test(target)) continue;
    const [file = '', anchor] = target.split('#');
    const path = file === '' ? page : join(dirname(page), file);
    expect(existsSync(join(ROOT, path)), target).toBe(true);
    if (anchor !== undefined) expect(anchorsOf(read(path)), target).toContain(anchor);
  }
});

test('the README is short: at most 950 words', () => {
  expect(read('README.md').split(/\s+/).length).toBeLessThanOrEqual(950);
});

test('the README leads to the index, and the index to every page', () => {
  expect(read('README.md')).toContain('](docs/README.md)');
  const linked = [...read('docs/README.md').matchAll(/\]\(([^)#]+)/g)].map(([, target = '']) => join('docs', target));
  expect(pages.filter((page) => page !== 'docs/README.md' && !linked.includes(page))).toEqual([]);
});

test('docs/performance.md begins with figures of the run in bench/results.md', () => {
  const [summary, results] = [read('docs/performance.md'), read('bench/results.md')];
  const figures = [...summary.matchAll(/(?<=\| )[\d,.]+(?=(?: µs| MiB| ms)? \|)/g)].map(([figure]) => figure);
  expect(figures.length).toBeGreaterThan(20);
  const shown = new Set(results.match(/[\d,.]*\d/g));
  expect(figures.filter((figure) => !shown.has(figure))).toEqual([]);
  const goals = results.match(/(?<=\| )(?:met|\*\*missed\*\*)(?= \|)/g) ?? [];
  const missed = goals.filter((goal) => goal !== 'met').length;
  expect(summary).toContain(`${missed} of the ${goals.length} goals are missed`);
});

test('docs/metrics.md has an entry for each metric, label, decision and reason', () => {
  const page = read('docs/metrics.md');
  const labels = Object.values<MetricRow>(METRICS).flatMap(({ labels = [] }) => labels);
  const rows = [...METRIC_NAMES.map((name) => PREFIX + name), ...labels, ...DECISIONS, ...REASON_NAMES];
  for (const row of rows) expect(page).toMatch(new RegExp(`^(?:- \`${row}\`[:,]|\\| \`${row}\` \\|)`, 'm'));
  for (const name of PROCESS_METRICS) expect(page).toContain(`\`${name}\``);
});

describe('docs/logs.md', () => {
  const page = read('docs/logs.md');

  test('has an entry for every rule', () => {
    for (const rule of Object.keys(RULES)) expect(page).toMatch(new RegExp(`^- \`${rule}\`: `, 'm'));
  });

  test('has an entry for every field of a request', () => {
    const lines: string[] = [];
    const log = createLog('debug', (line) => lines.push(line));
    const requests = new RequestLog(log, 'all');
    requests.record(
      accepted({
        upstreamFailure: 'reset',
        upstreamError: 'ECONNRESET',
        bodySha256: '0123456789abcdef',
        traceId: 'a',
        hint: hint('another-secret', 'x'),
      }),
    );
    requests.record(refused({ rule: 'route-headers', header: 'x_a' }));
    const fields = new Set(lines.flatMap((line) => Object.keys(JSON.parse(line))));
    expect(fields.size).toBe(24);
    for (const field of fields) expect(page).toMatch(new RegExp(`^- \`${field}\`[:,] `, 'm'));
  });

  test('names the events that the program logs', () => {
    const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((f) =>
      f.endsWith('.ts'),
    );
    const events = sources
      .flatMap((file) => [...read(`src/${file}`).matchAll(/log\.(?:info|warn|error)\(\s*'([^']+)'/g)])
      .map(([, message = '']) => message);
    expect(events.length).toBeGreaterThan(15);
    const listed = [...page.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text);
    // Long messages and pairs are listed by their start, with an ellipsis.
    const isListed = (event: string) =>
      listed.some((text) => (text.endsWith('…') ? event.startsWith(text.slice(0, -1).trim()) : event === text));
    expect(events.filter((event) => !isListed(event))).toEqual([]);
  });
});

test('docs/admin.md has an entry for every field of /api/status, and each entry names the fields below it', () => {
  const facts = {
    certificates: [{ certificate: 'listen', file: 'tls.crt', notBefore: 0, notAfter: 0 }],
    lastReload: { ok: true, at: 0, error: null, refused: false },
    once: ONCE,
    deferred: DEFERRED,
  } as const;
  const came = [accepted({ status: 502, upstreamFailure: 'connect' }), accepted({ decision: 'probe' })];
  const shown = judgedAfter(came, facts);
  const status: Record<string, unknown> = shown;
  const [, section = ''] = read('docs/admin.md').split('\n## /api/status\n');
  const [list = '', requestFields = '', traffic = ''] = section.split(/\n### (?:Requests|Traffic)\n/);
  expect(
    fieldItems(traffic)
      .flatMap(({ fields }) => fields)
      .toSorted(),
  ).toEqual(Object.keys(shown.routes[0]?.traffic ?? {}).toSorted());
  const items = fieldItems(list);
  expect(items.flatMap(({ fields }) => fields).toSorted()).toEqual(Object.keys(status).toSorted());
  for (const { fields, meaning } of items) {
    for (const field of fields) {
      const value = [status[field]].flat()[0];
      const below = typeof value === 'object' && value !== null ? Object.keys(value) : [];
      const told = meaning.includes('(#requests)') ? meaning + requestFields : meaning;
      for (const name of below) expect(told, `${field}: ${name}`).toContain(`\`${name}\``);
    }
  }
});

function fieldItems(list: string) {
  return [...list.matchAll(/^- (`[^:]+`): (.+(?:\n {2}.+)*)/gm)].map(([, fields = '', meaning = '']) => ({
    fields: [...fields.matchAll(/`(\w+)(?:\[\])?`/g)].map(([, field = '']) => field),
    meaning,
  }));
}

test('no page promises that Entrupy retries', () => {
  for (const name of pages) {
    const text = read(name).replaceAll(/\s+/g, ' ');
    expect(text, name).not.toMatch(
      /Entrupy (?:retries|tries again|will (?:retry|try again))|senders? (?:retry a while|will try again)|are retried/i,
    );
  }
});
