import { beforeEach, expect, test, vi } from 'vitest';
import type { RequestRecord } from '../../../src/core/request-record.ts';
import { Health } from '../../../src/health/health.ts';
import { accepted, factsOf, hint, NOW, refused, settle } from '../fixtures.ts';
import { judgedAfter, times } from './fixtures.ts';

beforeEach(() => void vi.useFakeTimers({ now: NOW }));

/** The groups of these refusals, which come a millisecond after one another. */
const groupsOf = (...came: readonly RequestRecord[]) => judgedAfter(came.flatMap((one) => [one, 0.001])).refusals;

test('only refused, reported and upstream-failed requests are kept, newest first', () => {
  const groups = groupsOf(
    refused({ reason: 'missing_signature' }),
    accepted(),
    refused({ decision: 'reported', status: 200, upstreamStatus: 200 }),
    accepted({ status: 502, upstreamStatus: 0, upstreamFailure: 'connect' }),
  );
  expect(groups.map(({ decision, status }) => [decision, status])).toEqual([
    ['accepted', 502],
    ['reported', 200],
    ['rejected', 401],
  ]);
});

test('a known sender without its signature header has the diagnosis of the headline, in the list and in the log', () => {
  const health = new Health(() => 30_000);
  const { client, userAgent, contentType } = accepted();
  const dropped = refused({ reason: 'missing_signature', signed: false, client, userAgent, contentType });
  expect(health.record(dropped)).toBe('no-signature'); // its group shows what the last one has
  settle(health, accepted());
  for (const other of [{ contentType: 'text/plain' }, { client: '198.51.100.9' }])
    expect(health.record({ ...dropped, ...other })).toBe('no-signature');
  expect(health.record(dropped)).toBe('signature-dropped');
  const { refusals } = health.judge(factsOf());
  expect(refusals.map(({ diagnosis }) => diagnosis).toSorted()).toEqual(['no-signature', 'signature-dropped']);
});

test('a flood of one reason fills only its own places and evicts no other reason', () => {
  const flood = (nth: number) =>
    refused({ reason: 'bad_request', status: 400, path: `/${nth}`, client: `192.0.2.${nth % 1000}` });
  const list = groupsOf(
    refused({ hint: hint('expired-secret', 'the old secret') }),
    ...Array.from({ length: 10_000 }, (_, nth) => flood(nth)),
  );
  expect(list.map(({ path }) => path)).toEqual([...Array.from({ length: 10 }, (_, i) => `/${9999 - i}`), '/notify']);
  expect(list.at(-1)?.hint).toBe('the old secret');
});

test('requests with the same reason, route and client form one group, with its count and its last request', () => {
  const list = groupsOf(
    ...Array.from({ length: 5 }, (_, i) => refused({ path: `/notify/${i}` })),
    refused({ client: '192.0.2.8' }),
    refused({ route: '/other' }),
    refused({ decision: 'reported', status: 200 }),
    refused({ reason: 'bad_request', rule: 'query' }),
    refused({ reason: 'bad_request', rule: 'parser' }),
    refused({ path: '/notify/last' }),
  );
  expect(list.map(({ count }) => count)).toEqual([6, 1, 1, 1, 1, 1]);
  expect(list[0]).toMatchObject({ count: 6, path: '/notify/last', at: NOW + 10 });
});

test('headers that broke a rule form their own groups, within the places of the rule', () => {
  const gated = (header: string) => refused({ reason: 'bad_request', rule: 'route-headers', header });
  const few = ['x-forwarded-prefix', 'x_trace', 'x-forwarded-prefix'].map(gated);
  expect(groupsOf(...few).map(({ header, count }) => [header, count])).toEqual([
    ['x-forwarded-prefix', 2],
    ['x_trace', 1],
  ]);
  expect(groupsOf(...few, ...Array.from({ length: 1000 }, (_, i) => gated(`x_${i}`)))).toHaveLength(10);
});

test('a group keeps its last hint, since diagnoses are rate-limited', () => {
  const hints = ['the first', 'the second'].map((text) => refused({ hint: hint('another-secret', text) }));
  expect(groupsOf(...hints, refused(), refused())).toEqual([expect.objectContaining({ hint: 'the second', count: 4 })]);
});

test('deliveries that may be lost are kept apart: verified, then our own 502, 503, 504, a cut, or 5xx of the app; each for a day in the total', () => {
  const failed = { status: 502, upstreamStatus: 0, upstreamFailure: 'connect', upstreamError: 'ECONNREFUSED' } as const;
  const came = [
    accepted({ ...failed, bodySha256: '0123456789abcdef', path: '/notify?PRIVATE' }),
    refused({ reason: 'overloaded', status: 503, secret: 'current' }),
    refused({ reason: 'overloaded', status: 503 }), // before it was verified
    accepted({ ...failed, decision: 'forwarded', secret: null, client: '192.0.2.99' }),
    accepted({ status: 500, upstreamStatus: 500, bodySha256: 'fedcba9876543210' }),
    accepted({ status: 404, upstreamStatus: 404 }),
    accepted(),
  ];
  expect(judgedAfter(came).undelivered).toEqual([
    expect.objectContaining({ status: 500, cause: '500', bodySha256: 'fedcba9876543210' }),
    expect.objectContaining({ status: 503, cause: 'overloaded', bodySha256: null }),
    expect.objectContaining({
      at: NOW,
      route: '/notify',
      path: '/notify',
      status: 502,
      fate: 'failed',
      diagnosis: 'app-down',
      cause: 'connect',
      upstreamError: 'ECONNREFUSED',
      hint: null,
      bodySha256: '0123456789abcdef',
      client: '192.0.2.7',
    }),
  ]);
  const more = [...came, ...times(100, accepted(failed))];
  expect(judgedAfter(more).undelivered).toHaveLength(20);
  expect(judgedAfter(more).lost).toEqual({ failed: 103, abandoned: 0, refused: 2, turnedAway: 0 });
  expect(judgedAfter([...more, 25 * 3600]).lost).toEqual({ failed: 0, abandoned: 0, refused: 0, turnedAway: 0 });
});

test('a lost delivery is shown until the app takes its event, however many others the app does not take meanwhile', () => {
  const failed = { status: 502, upstreamStatus: 0, upstreamFailure: 'connect' } as const;
  const ids = ['fresh', 'again', 'lost'];
  const lost = ids.map((event) => accepted({ ...failed, event }));
  const stored = (nth: number) => accepted({ fate: 'deferred', decision: 'deferred', event: `stored ${nth}` });
  const came = [...lost, ...Array.from({ length: 4100 }, (_, nth) => stored(nth))];
  const shown = (...later: Parameters<typeof judgedAfter>[0]) => judgedAfter([...came, ...later]).undelivered.length;
  const fresh = accepted({ event: 'fresh' });
  const again = { route: '/notify', event: 'again' };
  expect(shown()).toBe(3);
  expect(shown(fresh, { ...again, fate: 'failed' })).toBe(2);
  expect(shown(fresh, { ...again, fate: 'failed' }, { ...again, fate: 'taken' })).toBe(1);
});

test('kept texts are truncated and have no query', () => {
  const long = 'x'.repeat(5000);
  const texts = { path: `/a?MARKER${long}`, method: long, hint: hint('another-secret', long), client: long };
  const shown = JSON.stringify(groupsOf(refused(texts)));
  expect(shown).not.toContain('MARKER');
  expect(shown.length).toBeLessThan(1300);
});

test('the background noise of a public port is in the list of refusals, and told nowhere else', () => {
  const told = (...came: Parameters<typeof judgedAfter>[0]) => judgedAfter(came).advice.map(({ id }) => id);
  const unsigned = (changes: Partial<RequestRecord>) => refused({ ...changes, signed: false });
  const scans = [
    unsigned({ reason: 'method_not_allowed', method: 'GET' }),
    unsigned({ reason: 'route_rejected' }),
    unsigned({ reason: 'client_closed' }),
    unsigned({ reason: 'missing_signature', method: 'HEAD' }),
    unsigned({ reason: 'bad_request', method: 'GET' }),
    accepted({ reason: 'client_closed' }),
    accepted({ decision: 'forwarded', fate: 'none', signed: false, event: '' }),
  ];
  expect(told(...scans)).toEqual(['all-is-well']);
  // A refused request with a signature may be a delivery.
  const [bare, signed] = [unsigned({ reason: 'missing_signature' }), refused({ reason: 'route_rejected' })];
  const others = [bare, signed].map((one) => ({ ...one, userAgent: 'curl/8' }));
  expect(told(...scans, ...others)).toEqual(['nothing-proven', 'other-address', 'no-signature']);
});
