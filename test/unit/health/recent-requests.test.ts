import { beforeEach, expect, test, vi } from 'vitest';
import type { DeliveryRecord, RequestRecord } from '../../../src/core/request-record.ts';
import { Health } from '../../../src/health/health.ts';
import { accepted, factsOf, hint, NOW, refused, settle } from '../fixtures.ts';

beforeEach(() => void vi.useFakeTimers({ now: NOW }));

class Requests {
  readonly #health = new Health(() => 30_000);
  deliver(record: DeliveryRecord): void {
    this.#health.deliver(record);
  }
  /** A millisecond passes after each. */
  record(record: RequestRecord): void {
    this.#health.record(record);
    vi.advanceTimersByTime(1);
  }
  view() {
    return this.#health.judge(factsOf());
  }
}

test('only refused, reported and upstream-failed requests are kept, newest first', () => {
  const refusals = new Requests();
  settle(refusals, refused({ reason: 'missing_signature' }));
  settle(refusals, accepted());
  settle(refusals, refused({ decision: 'reported', status: 200, upstreamStatus: 200 }));
  settle(refusals, accepted({ status: 502, upstreamStatus: 0, upstreamFailure: 'connect' }));
  expect(refusals.view().refusals.map(({ decision, status }) => [decision, status])).toEqual([
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
  expect(health.record(dropped)).toBe('signature-dropped');
  expect(health.record({ ...dropped, client: '198.51.100.9' })).toBe('no-signature');
  const { refusals } = health.judge(factsOf());
  expect(refusals.map(({ diagnosis }) => diagnosis).toSorted()).toEqual(['no-signature', 'signature-dropped']);
});

test('a flood of one reason fills only its own places and evicts no other reason', () => {
  const refusals = new Requests();
  settle(refusals, refused({ hint: hint('expired-secret', 'the old secret') }));
  for (let i = 0; i < 10_000; i++)
    settle(refusals, refused({ reason: 'bad_request', status: 400, path: `/${i}`, client: `192.0.2.${i % 1000}` }));
  const list = refusals.view().refusals;
  expect(list.map(({ path }) => path)).toEqual([...Array.from({ length: 10 }, (_, i) => `/${9999 - i}`), '/notify']);
  expect(list.at(-1)?.hint).toBe('the old secret');
});

test('requests with the same reason, route and client form one group, with its count and its last request', () => {
  const refusals = new Requests();
  for (let i = 0; i < 5; i++) settle(refusals, refused({ path: `/notify/${i}` }));
  settle(refusals, refused({ client: '192.0.2.8' }));
  settle(refusals, refused({ route: '/other' }));
  settle(refusals, refused({ decision: 'reported', status: 200 }));
  settle(refusals, refused({ reason: 'bad_request', rule: 'query' }));
  settle(refusals, refused({ reason: 'bad_request', rule: 'parser' }));
  settle(refusals, refused({ path: '/notify/last' }));
  const list = refusals.view().refusals;
  expect(list.map(({ count }) => count)).toEqual([6, 1, 1, 1, 1, 1]);
  expect(list[0]).toMatchObject({ count: 6, path: '/notify/last', at: NOW + 10 });
});

test('headers that broke a rule form their own groups, within the places of the rule', () => {
  const refusals = new Requests();
  const gated = (header: string) => settle(refusals, refused({ reason: 'bad_request', rule: 'route-headers', header }));
  for (const header of ['x-forwarded-prefix', 'x_trace', 'x-forwarded-prefix']) gated(header);
  expect(refusals.view().refusals.map(({ header, count }) => [header, count])).toEqual([
    ['x-forwarded-prefix', 2],
    ['x_trace', 1],
  ]);
  for (let i = 0; i < 1000; i++) gated(`x_${i}`);
  expect(refusals.view().refusals).toHaveLength(10);
});

test('a group keeps its last hint, since diagnoses are rate-limited', () => {
  const refusals = new Requests();
  for (const text of ['the first', 'the second', null, null])
    settle(refusals, refused({ hint: text === null ? null : hint('another-secret', text) }));
  expect(refusals.view().refusals).toEqual([expect.objectContaining({ hint: 'the second', count: 4 })]);
});

test('deliveries that may be lost are kept apart: verified, then our own 502, 503, 504, a cut, or 5xx of the app; each for a day in the total', () => {
  const refusals = new Requests();
  const failed = { status: 502, upstreamStatus: 0, upstreamFailure: 'connect', upstreamError: 'ECONNREFUSED' } as const;
  settle(refusals, accepted({ ...failed, bodySha256: '0123456789abcdef', path: '/notify?PRIVATE' }));
  settle(refusals, refused({ reason: 'overloaded', status: 503, secret: 'current' }));
  settle(refusals, refused({ reason: 'overloaded', status: 503 })); // before it was verified
  settle(refusals, accepted({ ...failed, decision: 'forwarded', secret: null }));
  settle(refusals, accepted({ status: 500, upstreamStatus: 500, bodySha256: 'fedcba9876543210' }));
  settle(refusals, accepted({ status: 404, upstreamStatus: 404 }));
  settle(refusals, accepted());
  expect(refusals.view().undelivered).toEqual([
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
  for (let i = 0; i < 100; i++) settle(refusals, accepted(failed));
  expect(refusals.view().undelivered).toHaveLength(20);
  expect(refusals.view().lost).toEqual({ failed: 103, abandoned: 0, refused: 2, turnedAway: 0 });
  vi.advanceTimersByTime(25 * 3_600_000);
  expect(refusals.view().lost).toEqual({ failed: 0, abandoned: 0, refused: 0, turnedAway: 0 });
});

test('a lost delivery is shown until the app takes its event, however many others the app does not take meanwhile', () => {
  const health = new Health(() => 30_000);
  const failed = { status: 502, upstreamStatus: 0, upstreamFailure: 'connect', fate: 'failed' } as const;
  const ids = ['SHA256:fresh', 'SHA256:again', 'SHA256:lost'];
  for (const event of ids) health.deliver({ ...accepted(failed), fate: 'failed', event });
  for (let nth = 0; nth < 4100; nth++)
    health.deliver({ ...accepted(), fate: 'deferred', decision: 'deferred', event: `SHA256:stored ${nth}` });
  const shown = () => health.judge(factsOf()).undelivered.length;
  expect(shown()).toBe(3);
  health.deliver({ ...accepted(), fate: 'taken', event: 'SHA256:fresh' });
  health.sentAgain({ route: '/notify', event: 'SHA256:again', fate: 'failed' });
  expect(shown()).toBe(2);
  health.sentAgain({ route: '/notify', event: 'SHA256:again', fate: 'taken' });
  expect(shown()).toBe(1);
});

test('kept texts are truncated and have no query', () => {
  const refusals = new Requests();
  const long = 'x'.repeat(5000);
  settle(
    refusals,
    refused({ path: `/a?MARKER${long}`, method: long, hint: hint('another-secret', long), client: long }),
  );
  expect(JSON.stringify(refusals.view().refusals)).not.toContain('MARKER');
  expect(JSON.stringify(refusals.view().refusals).length).toBeLessThan(1300);
});

test('the background noise of a public port is in the list of refusals, and told nowhere else', () => {
  const recent = new Requests();
  const told = () => recent.view().advice.map(({ id }) => id);
  const unsigned = (changes: Partial<RequestRecord>) => settle(recent, refused({ ...changes, signed: false }));
  unsigned({ reason: 'method_not_allowed', method: 'GET' });
  unsigned({ reason: 'route_rejected' });
  unsigned({ reason: 'client_closed' });
  unsigned({ reason: 'missing_signature', method: 'HEAD' });
  unsigned({ reason: 'bad_request', method: 'GET' });
  settle(recent, accepted({ reason: 'client_closed' }));
  expect(told()).toEqual(['all-is-well']);
  unsigned({ reason: 'missing_signature', userAgent: 'curl/8' });
  // A refused request with a signature may be a delivery.
  settle(recent, refused({ reason: 'route_rejected', userAgent: 'curl/8' }));
  expect(told()).toEqual(['nothing-proven', 'other-address', 'no-signature']);
});
