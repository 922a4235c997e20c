import fc from 'fast-check';
import { beforeEach, expect, test, vi } from 'vitest';
import { VERSION } from '../../../src/base/default-places.ts';
import { FATES } from '../../../src/core/fate-by-status.ts';
import { DECISIONS, REASON_NAMES, UPSTREAM_FAILURES } from '../../../src/core/reasons.ts';
import { accepted, metricsOf, NOW, plan, refused, route, secret, settle, UNMATCHED } from '../fixtures.ts';

beforeEach(() => void vi.useFakeTimers({ now: NOW, toFake: ['Date'] }));

/** The program's own samples by series. */
async function scrape(metrics: ReturnType<typeof metricsOf>): Promise<Map<string, number>> {
  const { body } = await metrics.expose(undefined);
  const lines = body.split('\n').filter((line) => line.startsWith('entrupy_proxy_'));
  const samples = lines.map((line): [string, number] => {
    const space = line.lastIndexOf(' ');
    return [line.slice('entrupy_proxy_'.length, space), Number(line.slice(space + 1))];
  });
  expect(new Set(samples.map(([series]) => series)).size).toBe(samples.length);
  return new Map(samples);
}

function requests(decision: string, reason: string, label = '/notify'): string {
  return `requests_total{route="${label}",decision="${decision}",reason="${reason}"}`;
}

test('gauges are read at the scrape, and the start counts as a successful reload', async () => {
  const samples = await scrape(metricsOf());
  expect(Object.fromEntries(samples)).toMatchObject({
    requests_in_flight: 3,
    connections: 4,
    buffered_bytes: 5,
    buffered_bytes_limit: 6,
    'secret_live{secret="current"}': 1,
    'secret_last_match_timestamp_seconds{secret="current"}': 15,
    log_lines_dropped_total: 9,
    last_reload_successful: 1,
    last_reload_success_timestamp_seconds: NOW / 1000,
    'config_info{sha256="c0ffee"}': 1,
    'tls_certificate_not_after_timestamp_seconds{certificate="listen"}': 14,
    [`build_info{version="${VERSION}",node_version="${process.version}"}`]: 1,
  });
  // A reading without a value has no series.
  const without = await scrape(metricsOf({}, { once_store_failures_total: () => null }));
  expect([samples, without].map((each) => each.has('once_store_failures_total'))).toEqual([true, false]);
});

test('an accepted request is counted once in each series that it touches', async () => {
  const metrics = metricsOf();
  settle(metrics, accepted());
  const samples = await scrape(metrics);
  expect(Object.fromEntries([...samples].filter(([series]) => series.includes('route=')))).toMatchObject({
    [requests('accepted', 'none')]: 1,
    'request_duration_seconds_bucket{le="0.005",route="/notify",decision="accepted"}': 0,
    'request_duration_seconds_bucket{le="0.025",route="/notify",decision="accepted"}': 1,
    'request_duration_seconds_bucket{le="+Inf",route="/notify",decision="accepted"}': 1,
    'request_duration_seconds_sum{route="/notify",decision="accepted"}': 0.0123456,
    'verification_duration_seconds_bucket{le="0.00001",route="/notify"}': 0,
    'verification_duration_seconds_bucket{le="0.000025",route="/notify"}': 1,
    'request_body_bytes_bucket{le="256",route="/notify"}': 0,
    'request_body_bytes_bucket{le="1024",route="/notify"}': 1,
    'request_body_bytes_sum{route="/notify"}': 512,
    'upstream_responses_total{route="/notify",code="2xx"}': 1,
    'upstream_duration_seconds_count{route="/notify"}': 1,
    'secret_matches_total{route="/notify",secret="current"}': 1,
  });
});

test('a request refused before its body changes neither body, verification nor upstream series', async () => {
  const metrics = metricsOf();
  settle(metrics, refused({ reason: 'missing_signature', bodyBytes: 0, verifyMs: -1 }));
  const samples = await scrape(metrics);
  const touched = [...samples].filter(([series, value]) => series.includes('route="/notify"') && value > 0);
  expect(touched.map(([series]) => series).filter((series) => !series.startsWith('request_duration'))).toEqual([
    requests('rejected', 'missing_signature'),
  ]);
});

test('a secret’s change has a timestamp, 0 before; replaced values have none', async () => {
  const secrets = [secret('old'), secret('new', { adoptedAt: NOW }), secret('new.previous')];
  const stamps = [...(await scrape(metricsOf({ secrets })))].filter(([series]) => series.startsWith('secret_changed_'));
  expect(stamps).toEqual([
    ['secret_changed_timestamp_seconds{secret="old"}', 0],
    ['secret_changed_timestamp_seconds{secret="new"}', NOW / 1000],
  ]);
});

test('the upstream is counted separately: its failures and its interim responses', async () => {
  const metrics = metricsOf();
  const failed = { status: 502, upstreamStatus: 0, upstreamMs: -1, upstreamFailure: 'connect', interims: 1 } as const;
  settle(metrics, accepted(failed));
  settle(metrics, accepted({ ...failed, route: '/nowhere' }));
  const samples = await scrape(metrics);
  expect(samples.get(requests('accepted', 'none'))).toBe(1);
  expect(samples.get('upstream_failures_total{route="/notify",cause="connect"}')).toBe(1);
  expect(samples.get('upstream_responses_total{route="/notify",code="1xx"}')).toBe(1);
  expect(samples.get('upstream_responses_total{route="/notify",code="5xx"}')).toBe(0);
  expect(samples.get('upstream_duration_seconds_count{route="/notify"}')).toBe(0);
});

test('a reported request, a duplicate, notAfter and report mode have their series when they are on', async () => {
  const reporter = route('/new', { mode: 'report', reportUntil: NOW + 500, once: 1000 });
  const secrets = [secret('old', { key: null, notAfter: NOW + 1000 })];
  const metrics = metricsOf({ routes: [reporter, UNMATCHED], secrets });
  settle(metrics, refused({ route: '/new', decision: 'reported' }));
  settle(metrics, accepted({ route: '/new', decision: 'duplicate', upstreamStatus: 0, upstreamMs: -1 }));
  expect(Object.fromEntries(await scrape(metrics))).toMatchObject({
    'secret_live{secret="old"}': 0,
    'secret_not_after_timestamp_seconds{secret="old"}': NOW / 1000 + 1,
    'route_report_mode{route="/new"}': 1,
    [requests('reported', 'signature_mismatch', '/new')]: 1,
    [requests('duplicate', 'none', '/new')]: 1,
  });
  vi.setSystemTime(NOW + 500);
  expect((await scrape(metrics)).get('route_report_mode{route="/new"}')).toBe(0);
});

test('a reload adds new series at 0, keeps existing ones, and removes those that are gone', async () => {
  const metrics = metricsOf({ routes: [route('/notify'), route('/old'), UNMATCHED] });
  settle(metrics, accepted());
  settle(metrics, accepted({ route: '/old' }));
  metrics.replan(
    plan({
      routes: [route('/notify', { secrets: ['next'] }), route('/new'), UNMATCHED],
      secrets: [secret('next')],
    }),
  );
  const samples = await scrape(metrics);
  expect(samples.get(requests('accepted', 'none'))).toBe(1);
  expect(samples.get(requests('accepted', 'none', '/new'))).toBe(0);
  expect(samples.get('secret_matches_total{route="/notify",secret="next"}')).toBe(0);
  const gone = [...samples.keys()].filter((series) => /"\/old"|secret="current"/.test(series));
  expect(gone.filter((series) => !/route="(?:unmatched|\/new)"/.test(series))).toEqual([]);
});

test('requests that started before a reload still count, under their former mode or under unmatched', async () => {
  const reporting = route('/notify', { mode: 'report' });
  const metrics = metricsOf({ routes: [reporting, route('/old'), UNMATCHED] });
  metrics.replan(plan());
  settle(metrics, refused({ decision: 'reported' }));
  settle(metrics, accepted({ route: '/old' }));
  metrics.redelivered({ route: '/old', result: 'expired' });
  const samples = await scrape(metrics);
  expect(samples.get(requests('reported', 'signature_mismatch'))).toBe(1);
  expect(samples.get(requests('accepted', 'none', 'unmatched'))).toBe(1);
  expect(samples.get('redelivered_total{route="unmatched",result="expired"}')).toBe(1);
});

test('whatever is recorded, the set of series does not grow and no label comes from a request', async () => {
  const routes = Array.from({ length: 50 }, (_, i) => route(`/r${i}`, { secrets: ['a', 'b', 'c'] }));
  const secrets = ['a', 'b', 'c'].map((id) => secret(id));
  const metrics = metricsOf({ routes: [...routes, UNMATCHED], secrets });
  const before = await scrape(metrics);
  const read = fc.record({
    route: fc.oneof(fc.constantFrom('/r0', '/r49', 'unmatched', '__proto__', 'constructor'), fc.string()),
    decision: fc.constantFrom(...DECISIONS),
    reason: fc.constantFrom(...REASON_NAMES, 'none' as const),
    fate: fc.constantFrom(...FATES, 'pending' as const, 'none' as const),
    signed: fc.boolean(),
    secret: fc.option(fc.oneof(fc.constantFrom('a', '__proto__'), fc.string())),
    bodyBytes: fc.integer({ min: -1, max: 1e9 }),
    durationMs: fc.double(),
    verifyMs: fc.double(),
    upstreamMs: fc.double(),
    upstreamStatus: fc.integer({ min: -1, max: 1000 }),
    interims: fc.integer({ min: 0, max: 100 }),
    upstreamFailure: fc.option(fc.constantFrom(...UPSTREAM_FAILURES)),
  });
  const record = read.map((random) => accepted(random));
  const delivery = fc.tuple(record, fc.constantFrom(...FATES)).map(([random, fate]) => ({ ...random, fate }));
  fc.assert(fc.property(record, (random) => metrics.record(random)));
  fc.assert(fc.property(delivery, (random) => metrics.deliver(random)));
  const after = await scrape(metrics);
  expect([...after.keys()]).toEqual([...before.keys()]);
  // Nor does a time that only a broken clock gives spoil a sum.
  expect([...after.values()].every((value) => Number.isFinite(value) && value >= 0)).toBe(true);
});

test('a label with quotes, backslashes and line breaks is escaped', async () => {
  const metrics = metricsOf({ routes: [route('/a"b\\c\nd'), UNMATCHED] });
  const { body } = await metrics.expose(undefined);
  expect(body).toContain(String.raw`requests_total{route="/a\"b\\c\nd",decision="accepted",reason="none"} 0`);
});
