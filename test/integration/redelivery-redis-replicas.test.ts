// Stores of deferred deliveries in Redis and Valkey. Replicas share one: one of them gets an event, the limits hold for all of
// them together, and a drop is told once, to one of them.
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { LEASE_MS, LEAST_BYTES, MAX_OF_ONE_BODY } from '../../src/redelivery/stores/store.ts';
import { HAS_SERVERS, type RedisServer, SERVERS, startRedis } from '../support/once/redis.ts';
import { eventually } from '../support/proxy/proxied.ts';
import { endLease, idsOf, placeOn, prefixOf, recordKey, test } from '../support/redelivery/redis-store.ts';
import {
  drop,
  eventOf,
  idOf,
  idsIn,
  leasedFrom,
  listed,
  NOW,
  oneLeased,
  set,
  storeContract,
} from '../support/redelivery/stores.ts';

const keysIn = async (server: RedisServer) => (await server.ask('KEYS', '*')) as string[];

describe.skipIf(!HAS_SERVERS).concurrent('replicas with one Redis', () => {
  test('whose keys share one hash tag; another name is another store', async ({ server, open }) => {
    const [{ store }, { store: other }] = await Promise.all([open(), open({ name: 'shop' })]);
    const id = idOf();
    await store.add(eventOf(id), 0);
    expect(await other.add(eventOf(id), 0)).toBe('stored');
    expect(await set(other, (await oneLeased(other)).lease, 'taken')).toBe(true);
    expect(await idsIn(store)).toEqual([id]);
    const keys = await keysIn(server);
    expect(keys.filter((key) => key.startsWith(prefixOf()) || key.startsWith(prefixOf('shop')))).toEqual(keys);
    expect(keys).toContain(recordKey(id));
  });

  test('keep the limits together, lease each event to one of them, and hear of a drop once', async ({ open }) => {
    const options = { maxBytes: 30 * LEAST_BYTES };
    const [one, two, visitor] = [await open(options), await open(options), await open({ as: 'visitor' })];
    const stores = [one.store, two.store];
    const addedBy = async (idsFor: (of: number) => readonly string[]) => {
      const adds = stores.map((store, of) => idsFor(of).map((id) => store.add(eventOf(id), 0)));
      const added = Map.groupBy(await Promise.all(adds.flat()), (each) => each);
      return Object.fromEntries([...added].map(([end, all]) => [end, all.length]));
    };
    const twins = (of: number) => Array.from({ length: 20 }, (_, at) => idOf(`query ${of} ${at}`, 'body'));
    expect(await addedBy(twins)).toEqual({ stored: MAX_OF_ONE_BODY, crowded: 40 - MAX_OF_ONE_BODY });
    const room = 30 - MAX_OF_ONE_BODY;
    expect(await addedBy((of) => idsOf(20, `of ${of}`))).toEqual({ stored: room, full: 40 - room });
    const ids = await idsIn(two.store);
    expect(ids).toHaveLength(30);
    const takes = Array.from({ length: 20 }, (_, at) => leasedFrom(stores[at % 2] ?? one.store, { limit: 2 }));
    const leased = (await Promise.all(takes)).flat();
    expect(leased.map(({ id }) => id).sort()).toEqual(ids);
    for (const { lease } of leased) expect(await set(one.store, lease, NOW)).toBe(true);
    for (const id of ids) expect(await drop(visitor.store, id)).toBe('done');
    const told = (await Promise.all(stores.map(async (each) => (await each.summary()).dropped))).flat();
    expect(told.map(({ id }) => id).sort()).toEqual(ids);
    expect((await one.store.summary()).dropped).toEqual([]);
  });

  test.for(['FLUSHALL', 'DEL'])(
    'each tell what they stored, once a person emptied it by %s; one what a stopped one did',
    async (how, { server, open }) => {
      const told: (number | null)[] = [];
      const onLoss = (_why: string, events: number | null) => void told.push(events);
      const stopped = await open({ onLoss });
      for (let nth = 0; nth < 100; nth++) await stopped.store.add(eventOf(), 0);
      await stopped.store.close();
      await server.ask('DEL', `${prefixOf()}proxies`); // a busy server may not have heard within a second that it leaves
      const [one, two] = [await open({ onLoss }), await open({ onLoss })];
      for (const [at, { store }] of [one, two].entries())
        for (let nth = 0; nth < 10 ** at; nth++) await store.add(eventOf(), 0);
      await server.ask('ZADD', `${prefixOf()}proxies`, '-1', ''); // as if it had been made long ago
      for (const each of [one, two]) expect((await each.store.summary()).groups).toMatchObject([{ deliveries: 111 }]);
      const [taken] = await leasedFrom(one.store);
      await (how === 'FLUSHALL' ? server.ask(how) : server.ask('DEL', ...(await keysIn(server))));
      expect(taken !== undefined && (await set(one.store, taken.lease, 'taken'))).toBe(false);
      expect(await two.store.add(eventOf(), 0)).toBe('stored');
      expect(await listed(one.store)).toHaveLength(1);
      expect(told.map(Number).reduce((sum, events) => sum + events)).toBe(111);
      expect(told).toHaveLength(2);
      // Both show it, and so does one that starts later.
      for (const { store } of [one, two, await open()]) {
        const { losses } = await store.summary();
        expect(losses.map(({ events }) => events).sort()).toEqual(told.toSorted());
        for (const { id, why } of losses)
          expect([id, why]).toEqual(['', expect.stringMatching(/no longer has what it had at 20/)]);
      }
    },
  );

  test.for(['FLUSHALL', 'a restart'])(
    'hear that it was emptied by %s right after their first delivery, and remember it there',
    async (how, { server, open }) => {
      const { store, losses } = await open();
      await store.add(eventOf(), 0);
      await store.summary(); // by now it has looked
      if (how === 'FLUSHALL') await server.ask(how);
      else await server.kill().then(server.start);
      await eventually(() => losses.length, 1);
      await eventually(async () => (await store.losses().catch(() => [])).map(({ events }) => events), [1]);
    },
  );

  test('a lease is of 30 s by the clock of the server, and renewed from when it is asked', async ({ server, open }) => {
    const { store } = await open();
    await store.add(eventOf(), 0);
    const taken = await oneLeased(store);
    const [due = ''] = (await server.ask('ZRANGE', `${prefixOf()}due`, '0', '0')) as string[];
    const left = async () => {
      const [seconds = '0', micros = '0'] = (await server.ask('TIME')) as string[];
      const ends = Number(await server.ask('ZSCORE', `${prefixOf()}due`, due));
      return ends - Number(seconds) * 1000 - Number(micros) / 1000;
    };
    expect(await left()).toBeGreaterThan(LEASE_MS / 2);
    expect(await left()).toBeLessThanOrEqual(LEASE_MS);
    await endLease(server, due);
    await leasedFrom(store, { limit: 0, leases: [taken.lease] });
    expect(await left()).toBeGreaterThan(LEASE_MS / 2);
  });
});

describe.skipIf(!HAS_SERVERS).each(SERVERS)('with %s', (program) => {
  let server: RedisServer;

  beforeAll(async () => {
    server = await startRedis(program);
  });

  afterAll(() => server.kill());

  storeContract('a store in Redis', async () => placeOn(server), { isShared: true });
});
