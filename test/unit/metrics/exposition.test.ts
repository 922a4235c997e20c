import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { PROCESS_METRICS } from '../../../scripts/generators/process-metrics.ts';
import { prefersOpenMetrics } from '../../../src/metrics/exposition.ts';
import { METRIC_NAMES, METRICS, PREFIX, typeOf } from '../../../src/metrics/metric-table.ts';
import { haveTools } from '../../support/machine/tools.ts';
import { patience } from '../../support/runner/patience.ts';
import { accepted, metricsOf, route, settle, UNMATCHED } from '../fixtures.ts';

const TEXT = 'text/plain; version=0.0.4; charset=utf-8';
const OPEN_METRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8';
const PROMETHEUS_ACCEPT =
  'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,' +
  'text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2';

function everything() {
  const notify = route('/notify', { mode: 'report', once: 1000 });
  const metrics = metricsOf({ routes: [notify, UNMATCHED] });
  settle(metrics, accepted());
  return metrics;
}

function typesIn(body: string): Map<string, string> {
  return new Map([...body.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => [name, type]));
}

test.each([
  ['text/html,application/xhtml+xml,*/*;q=0.8', false],
  [PROMETHEUS_ACCEPT, true],
  ['text/plain;q=0.9,application/openmetrics-text;q=0.5', false],
])('Accept: %s asks for OpenMetrics: %s', (accept, expected) => {
  expect(prefersOpenMetrics(accept)).toBe(expected);
});

test('every name of the table has HELP and TYPE exactly once, with the right type', async () => {
  const { body, contentType } = await metricsOf({ routes: [UNMATCHED], secrets: [] }).expose(TEXT);
  expect(contentType).toBe(TEXT);
  const types = typesIn(body);
  for (const name of METRIC_NAMES) {
    expect(types.get(PREFIX + name), name).toBe(typeOf(name));
    expect(body.split(`# HELP ${PREFIX}${name} ${METRICS[name].help}\n`)).toHaveLength(2);
  }
});

test('metrics that could not be loaded, since no file descriptor was free, are loaded once one is', () => {
  const program = `
    import { closeSync, openSync } from 'node:fs';
    import { metricsOf, UNMATCHED } from ${JSON.stringify(import.meta.resolve('../fixtures.ts'))};
    const metrics = metricsOf({ routes: [UNMATCHED], secrets: [] });
    const full = [];
    try { for (;;) full.push(openSync('/dev/null')); } catch {}
    const lost = await metrics.expose('').catch(({ code }) => code);
    for (const descriptor of full) closeSync(descriptor);
    const { body } = await metrics.expose('');
    console.log(lost, body.includes('entrupy_proxy_build_info{'));`;
  const words = ['-c', 'ulimit -n 100 && exec "$0" --input-type=module --eval "$1"', process.execPath, program];
  const { stdout, stderr } = spawnSync('sh', words, { encoding: 'utf8', timeout: patience() });
  expect({ stdout, stderr }).toEqual({ stdout: 'EMFILE true\n', stderr: '' });
});

test('a scrape in one format does not affect the next in the other', async () => {
  const metrics = everything();
  const [text, open] = [await metrics.expose(undefined), await metrics.expose(PROMETHEUS_ACCEPT)];
  const again = await metrics.expose(undefined);
  expect(open.contentType).toBe(OPEN_METRICS);
  expect(open.body.endsWith('\n# EOF\n')).toBe(true);
  expect(typesIn(open.body).get('entrupy_proxy_requests')).toBe('counter');
  expect(open.body).toContain('\nentrupy_proxy_requests_total{route="/notify",decision="accepted",reason="none"} 1\n');
  expect(open.body).not.toContain('_total_total');
  expect([...typesIn(again.body).keys()]).toEqual([...typesIn(text.body).keys()]);
});

test.runIf(process.platform === 'linux')('process_* and nodejs_* are exactly the listed ones', async () => {
  const { body } = await everything().expose(undefined);
  const others = [...typesIn(body).keys()].filter((name) => !name.startsWith(PREFIX));
  expect(others).toEqual(PROCESS_METRICS);
});

test('an idle event loop has no lag, even right after a scrape', async () => {
  const metrics = everything();
  await metrics.expose(undefined);
  const { body } = await metrics.expose(undefined);
  const lags = [...body.matchAll(/^nodejs_eventloop_lag_\w+ (\S+)$/gm)].map(([, value]) => Number(value));
  expect(lags.length).toBe(8);
  expect(lags.every((lag) => lag >= 0 && lag < 60)).toBe(true);
});

test.skipIf(!haveTools('promtool'))('promtool check metrics finds nothing', async () => {
  const { body } = await everything().expose(undefined);
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: body, encoding: 'utf8' });
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
});
