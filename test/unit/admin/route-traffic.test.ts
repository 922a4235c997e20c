import { beforeEach, expect, test } from 'vitest';
import { TrafficByRoute } from '../../../src/admin/route-traffic.ts';
import type { RequestRecord } from '../../../src/core/request-record.ts';
import { accepted, NOW, refused } from '../metrics/fixtures.ts';

let traffic: TrafficByRoute;
beforeEach(() => {
  traffic = new TrafficByRoute();
});

const record = (seconds: number, request: RequestRecord) => traffic.record(request, NOW + seconds * 1000);

test('a route has the answers of the app by class, since the start', () => {
  for (const upstreamStatus of [200, 204, 302, 404, 500, 503]) record(0, accepted({ upstreamStatus, interims: 1 }));
  record(0, accepted({ upstreamStatus: 0, upstreamFailure: 'connect' }));
  record(0, accepted({ route: '/other' }));
  expect(traffic.of('/notify').answers).toEqual({ '1xx': 6, '2xx': 2, '3xx': 1, '4xx': 1, '5xx': 2 });
  expect(traffic.of('/none').answers).toEqual({ '1xx': 0, '2xx': 0, '3xx': 0, '4xx': 0, '5xx': 0 });
});

test('it counts the deliveries since the app last took one, by what happened to them', () => {
  record(1, accepted());
  record(2, accepted({ upstreamStatus: 500 }));
  record(3, accepted({ upstreamStatus: 0, upstreamFailure: 'timeout' }));
  record(4, accepted({ upstreamStatus: 200, upstreamFailure: 'reset' })); // cut
  record(5, refused({ secret: 'current', reason: 'overloaded' }));
  record(6, accepted({ upstreamStatus: 404 }));
  record(7, accepted({ upstreamStatus: 0, reason: 'client_closed' }));
  expect(traffic.of('/notify')).toMatchObject({
    lastTaken: NOW + 1000,
    notTaken: { failed: 4, clientError: 1, departed: 1 },
    lastNotTaken: NOW + 7000,
  });
  record(8, accepted({ decision: 'duplicate', upstreamStatus: 0 }));
  expect(traffic.of('/notify')).toMatchObject({
    lastTaken: NOW + 8000,
    notTaken: { failed: 0, clientError: 0, departed: 0 },
  });
});

test('requests that are no deliveries do not count as such', () => {
  record(1, accepted({ decision: 'forwarded', secret: null, upstreamStatus: 500 }));
  record(2, refused({ reason: 'overloaded' })); // before it was verified
  record(3, refused({ decision: 'reported', upstreamStatus: 500 }));
  expect(traffic.of('/notify')).toMatchObject({ lastTaken: null, lastNotTaken: null });
});

test('it counts the refused signatures since one was accepted', () => {
  record(1, accepted());
  record(2, refused());
  record(3, refused({ reason: 'expired_secret', secret: 'old' }));
  record(4, refused({ reason: 'missing_signature' }));
  expect(traffic.of('/notify')).toMatchObject({
    lastAccepted: NOW + 1000,
    refusedSignatures: 2,
    lastRefusedSignature: NOW + 3000,
  });
  record(5, accepted());
  expect(traffic.of('/notify')).toMatchObject({ lastAccepted: NOW + 5000, refusedSignatures: 0 });
});

test('a route that a reload removed is forgotten', () => {
  record(1, accepted());
  record(2, accepted({ route: '/removed' }));
  traffic.keepOnly(['/notify']);
  expect([traffic.of('/notify').lastTaken, traffic.of('/removed').lastTaken]).toEqual([NOW + 1000, null]);
});
