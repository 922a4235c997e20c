// The facts of deferred deliveries: as the store last told, with the time of each next try.
import { expect, test } from 'vitest';
import { deferredStatus } from '../../../src/facts.ts';
import type { Queue } from '../../../src/redelivery/queue.ts';
import { keyTag } from '../../../src/redelivery/record.ts';
import { StoreState } from '../../../src/redelivery/store-state.ts';
import type { DeferredStore, Entry, Group } from '../../../src/redelivery/stores/store.ts';
import { needsOf } from '../../support/redelivery/proxy.ts';
import { noteOf } from '../../support/redelivery/stores.ts';
import { policyOf, secret, verify } from '../core/fixtures.ts';

const entry = (id: string, changes: Partial<Entry> = {}): Entry => {
  return { id, bytes: 300, state: 'waiting', wait: 0, asked: false, leased: false, note: noteOf(), ...changes };
};

const group = (changes: Partial<Group> = {}): Group => {
  const words = { failure: '503', secret: 'current', key: 'a1b2', route: '/notify' };
  return { state: 'waiting', ...words, deliveries: 1, bytes: 4096, oldest: 7, ...changes };
};

async function statusOf(
  groups: readonly Group[],
  soonest: readonly Entry[],
  { policy = policyOf([], []), sends = true, answers = true } = {},
) {
  // Nothing else of a store is asked.
  const summary = { groups, soonest, dropped: [], losses: [], lostLately: 0, aside: [], evicts: null };
  const look = async () => (answers ? summary : Promise.reject(new Error('EROFS')));
  const store = { test: look, summary: look } as unknown as DeferredStore;
  const log = { info: () => {}, warn: () => {}, error: () => {} };
  const storeState = new StoreState(needsOf(log), async () => store);
  await storeState.refresh();
  return deferredStatus({ location: '/store', sends, storeState } as Queue, policy);
}

test('what waits has the time of its next try, and what has no readable note is shown', async () => {
  const before = Date.now();
  const status = await statusOf(
    [],
    [entry('soon', { wait: 60_000 }), entry('odd', { wait: 90_000, note: null }), entry('rests', { state: 'stopped' })],
  );
  const [soon, odd, rests] = status.deliveries ?? [];
  expect(soon?.nextTry).toBeGreaterThanOrEqual(before + 59_000);
  expect(rests).toMatchObject({ state: 'stopped', nextTry: null, keptUntil: expect.any(Number), lastFailure: '503' });
  expect(odd).toMatchObject({ id: 'odd', lastFailure: 'unreadable', route: null });
  // Due now, since a person asked for it: that is no end of `keep`.
  const { deliveries } = await statusOf([], [entry('asked', { state: 'expired', asked: true })]);
  expect(deliveries).toMatchObject([{ state: 'expired', nextTry: expect.any(Number), keptUntil: null }]);
  expect((await statusOf([], [entry('idle')], { sends: false })).deliveries).toMatchObject([{ nextTry: null }]);
});

test('what was never counted is not known, not 0', async () => {
  const unknown = { waiting: null, stopped: null, expired: null, unverified: null, bytes: null, lostLately: null };
  expect(await statusOf([], [], { answers: false })).toMatchObject({ ...unknown, state: 'failing', problem: 'EROFS' });
});

test('the first end is by the window of the route, else by the longest of all', async () => {
  const policy = policyOf([verify('/short', { redeliver: 1000 }), verify('/long', { redeliver: 9000 })], []);
  const groups = [
    group({ route: '/long', oldest: 100 }),
    group({ route: '/gone', oldest: 200 }),
    group({ route: '/short', oldest: 8500 }),
    group({ route: '/short', state: 'stopped', oldest: 1 }),
  ];
  const { firstEnd, waits } = await statusOf([...groups, group({ route: '/long', oldest: 50 })], [], { policy });
  expect(firstEnd).toEqual({ at: 9050, came: 50 });
  expect(waits.map(({ route, end }) => [route, end])).toEqual([
    ...[
      ['/long', 9050],
      ['/gone', 9200],
      ['/short', 9500],
    ],
  ]);
  expect((await statusOf(groups.slice(1), [], { policy })).firstEnd).toEqual({ at: 9200, came: 200 });
  expect((await statusOf(groups, [])).firstEnd).toBeNull();
});

test('of what is unverified the wanting secret is told by its name now, and whether the route lists it', async () => {
  const [now, old] = [
    secret('renamed', 'secret-of-now-0123456789abcdef01'),
    secret('old.previous', 'older-0123456789abcdef0123456789'),
  ];
  const policy = policyOf([verify('/notify', { secrets: ['other'] }), verify('/all')], [now, old]);
  const routes = ['/notify', '/all', '/gone'].map((route) => ({ route }));
  const changes = [...routes, { key: keyTag(old.key) }, { key: 'another' }, { failure: 'altered' }];
  const refused = { state: 'unverified', failure: 'secret_gone', key: keyTag(now.key) } as const;
  const groups = changes.map((one) => group({ ...refused, ...one }));
  const { whys } = await statusOf(groups, [], { policy });
  expect(whys.map(({ why, secret: id, route }) => `${why} ${id} ${route}`)).toEqual([
    'secret_unlisted renamed /notify',
    'elsewhere renamed /all',
    'route_gone current /gone',
    'secret_unlisted old /notify',
    'secret_gone current /notify',
    'altered current /notify',
  ]);
});
