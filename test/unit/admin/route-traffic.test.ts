import { beforeEach, expect, test } from 'vitest';
import { TrafficByRoute } from '../../../src/admin/route-traffic.ts';
import type { RequestRecord } from '../../../src/core/request-record.ts';
import { accepted, NOW, refused, settle } from '../metrics/fixtures.ts';

let traffic: TrafficByRoute;
beforeEach(() => {
  traffic = new TrafficByRoute();
});

function record(seconds: number, request: RequestRecord): void {
  const at = NOW + seconds * 1000;
  settle({ record: (each) => traffic.record(each, at), deliver: (each) => traffic.deliver(each, at, 30_000) }, request);
}

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
    notTaken: 6,
    notTakenSince: NOW + 2000,
    lastNotTaken: { at: NOW + 7000, fate: 'abandoned', diagnosis: 'sender-leaves' },
    lastRefused: { at: NOW + 6000, upstreamStatus: 404, diagnosis: 'app-refuses' },
    fates: { taken: 1, failed: 4, refused: 1, abandoned: 1 },
  });
  record(8, accepted({ decision: 'duplicate', upstreamStatus: 0 }));
  expect(traffic.of('/notify')).toMatchObject({
    lastTaken: NOW + 8000,
    notTaken: 0,
    notTakenSince: null,
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
  record(4, refused({ reason: 'missing_signature', signed: false }));
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
