// The table of reasons against a second copy.
import { describe, expect, test } from 'vitest';
import { ANSWERS } from '../../../src/core/answers.ts';
import { possibleFates } from '../../../src/core/fate-by-status.ts';
import { DECISIONS, isReportable, possibleDecisions, REASON_NAMES, REASONS } from '../../../src/core/reasons.ts';
import { type Route, UNMATCHED } from '../../../src/core/routes.ts';
import { STATUSES } from '../../conformance/wire-case.ts';
import { forward, reject, split, verify } from './fixtures.ts';

test('the reasons and their statuses are those that users depend on', () => {
  expect(Object.fromEntries(REASON_NAMES.map((reason) => [reason, REASONS[reason].status]))).toEqual(STATUSES);
  expect(DECISIONS).toEqual(['accepted', 'rejected', 'reported', 'forwarded', 'duplicate', 'deferred', 'probe']);
});

test('report mode lets through the six 401 reasons, no_live_secret and method_not_allowed', () => {
  const unauthorized = REASON_NAMES.filter((reason) => REASONS[reason].status === 401);
  expect(unauthorized).toHaveLength(6);
  expect(REASON_NAMES.filter(isReportable).sort()).toEqual(
    [...unauthorized, 'no_live_secret', 'method_not_allowed'].sort(),
  );
});

test('only a 503 says that a retry helps', () => {
  const retryable = Object.entries(ANSWERS).filter(([, { head }]) => head.includes('\r\nRetry-After: 1\r\n'));
  expect(retryable.map(([name, { status }]) => [name, status])).toEqual([
    ['no_live_secret', 503],
    ['overloaded', 503],
  ]);
});

test('a 401 never says why', () => {
  for (const reason of REASON_NAMES.filter((name) => name !== 'client_closed')) {
    const wanted = REASONS[reason].status === 401 ? { error: 'unauthorized' } : { error: reason };
    expect(ANSWERS[reason].body).toBe(JSON.stringify(wanted));
  }
});

describe('the possible outcomes of a route', () => {
  const of = (changes: Partial<Route>) => possibleDecisions(verify('/notify', changes)).map((pair) => pair.join('/'));
  const early = ['header_too_large', 'header_timeout', 'route_rejected', 'loop_detected'];
  const rejections = REASON_NAMES.filter((reason) => !early.includes(reason)).map((reason) => `rejected/${reason}`);
  const verified = [...split('accepted/none accepted/client_closed probe/none probe/client_closed'), ...rejections];
  const reported = ['client_closed', ...REASON_NAMES.filter(isReportable)].map((reason) => `reported/${reason}`);
  const refused = split('rejected/bad_request rejected/method_not_allowed rejected/overloaded rejected/body_timeout');
  const forwarded = ['forwarded/none', 'forwarded/client_closed', ...refused];
  const unrouted = split('bad_request header_too_large header_timeout loop_detected client_closed');
  const before = unrouted.map((reason) => `rejected/${reason}`);

  test.each<[Partial<Route>, readonly string[]]>([
    [{}, verified],
    [{ mode: 'report' }, [...verified, ...reported]],
    [{ once: 1000 }, [...verified, 'duplicate/none']],
    [{ redeliver: 1000 }, [...verified, 'deferred/none']],
    [{ action: 'forward' }, forwarded],
    [{ action: 'reject' }, ['rejected/route_rejected']],
    [{ path: UNMATCHED }, [...verified, ...before]],
    [{ path: UNMATCHED, action: 'forward' }, [...forwarded, ...before]],
    [{ path: UNMATCHED, action: 'reject' }, ['rejected/route_rejected', ...before]],
  ])('%j', (changes, outcomes) => {
    expect(of(changes).toSorted()).toEqual([...new Set(outcomes)].toSorted());
  });
});

test('a route that verifies has the fates that its options allow, and no other route has any', () => {
  const plain = ['taken', 'refused', 'failed', 'abandoned'];
  expect(possibleFates(verify('/notify'))).toEqual(plain);
  expect(possibleFates(verify('/notify', { once: 1, mode: 'report' }))).toEqual([...plain, 'duplicate']);
  expect(possibleFates(verify('/notify', { redeliver: 1 }))).toEqual([...plain, 'deferred']);
  for (const route of [forward('/open'), reject('/closed')]) expect(possibleFates(route)).toEqual([]);
});
