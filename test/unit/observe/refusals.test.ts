import { expect, test } from 'vitest';
import { createRecentRequests } from '../../../src/observe/recent-counts.ts';
import { createRefusals } from '../../../src/observe/refusals.ts';
import { accepted, NOW, refused } from './fixtures.ts';

test('refused, reported and upstream-failed requests are kept, newest first, the others not', () => {
  let now = NOW;
  const refusals = createRefusals(() => now++);
  refusals.record(refused({ reason: 'missing_signature' }));
  refusals.record(accepted());
  refusals.record(refused({ decision: 'reported', status: 200, upstreamStatus: 200 }));
  refusals.record(accepted({ status: 502, upstreamStatus: 0, upstreamFailure: 'connect' }));
  expect(refusals.list().map(({ decision, status }) => [decision, status])).toEqual([
    ['accepted', 502],
    ['reported', 200],
    ['rejected', 401],
  ]);
});

test('a flood of one reason stays within its places and does not push another out', () => {
  let now = NOW;
  const refusals = createRefusals(() => now++);
  refusals.record(refused({ hint: 'the old secret' }));
  for (let i = 0; i < 10_000; i++) refusals.record(refused({ reason: 'bad_request', status: 400, path: `/${i}` }));
  const list = refusals.list();
  expect(list.map(({ path }) => path)).toEqual([...Array.from({ length: 10 }, (_, i) => `/${9999 - i}`), '/notify']);
  expect(list.at(-1)?.hint).toBe('the old secret');
});

test('what is kept is cut, and has no query', () => {
  const refusals = createRefusals(() => NOW);
  const long = 'x'.repeat(5000);
  refusals.record(refused({ path: `/a?MARKER${long}`, method: long, hint: long, client: long }));
  expect(JSON.stringify(refusals.list())).not.toContain('MARKER');
  expect(JSON.stringify(refusals.list()).length).toBeLessThan(1200);
});

test('the counts reach back five minutes and no further', () => {
  let now = NOW;
  const recent = createRecentRequests(() => now);
  recent.record(accepted());
  recent.record(refused());
  recent.record(refused());
  recent.record(refused({ reason: 'missing_signature' }));
  recent.record(accepted({ upstreamFailure: 'reset' }));
  expect(recent.counts()).toEqual({
    windowSeconds: 300,
    accepted: 2,
    rejected: 3,
    reported: 0,
    forwarded: 0,
    duplicate: 0,
    upstreamFailures: 1,
    topReason: 'signature_mismatch',
  });
  now += 200_000;
  recent.record(refused({ decision: 'reported' }));
  expect(recent.counts()).toMatchObject({ rejected: 3, reported: 1 });
  now += 150_000;
  expect(recent.counts()).toMatchObject({ accepted: 0, rejected: 0, reported: 1 });
  now += 3_600_000;
  expect(recent.counts()).toMatchObject({ reported: 0, topReason: null });
});
