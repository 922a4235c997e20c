// Replicas that share a store of deferred deliveries in Redis: one of them gets an event, the limits hold for all of
// them together, and a loss is told once, to one of them.
import { describe, expect } from 'vitest';
import { LEAST_BYTES, type Listing, MAX_OF_ONE_BODY } from '../../src/redelivery/stores/store.ts';
import { HAS_SERVERS, type RedisServer } from '../support/once/redis.ts';
import { eventually } from '../support/proxy/proxied.ts';
import { test } from '../support/redelivery/redis-owners.ts';
import { eventKey, idsOf, prefixOf } from '../support/redelivery/redis-store.ts';
import { claimedRecord, claimOf, idOf, someRecord } from '../support/redelivery/store-contract.ts';

const keysIn = async (server: RedisServer) => (await server.ask('KEYS', '*')) as string[];
const droppedIn = (listings: readonly Listing[]) => listings.flatMap(({ dropped }) => dropped).sort();

describe.skipIf(!HAS_SERVERS).concurrent('replicas with one Redis', () => {
  test('whose keys share one hash tag; another name is another store', async ({ server, open }) => {
    const [{ store }, { store: other }] = await Promise.all([open(), open({ name: 'shop' })]);
    const id = idOf();
    await store.add(id, someRecord(), 'nothing');
    expect(await other.add(id, someRecord(), 'nothing')).toBe('stored');
    await claimedRecord(store, id);
    await claimedRecord(other, id);
    expect(await other.remove(claimOf(other, id))).toBe(true);
    expect((await store.list()).entries).toMatchObject([{ id }]);
    const keys = await keysIn(server);
    expect(keys.filter((key) => key.startsWith(prefixOf()) || key.startsWith(prefixOf('shop')))).toEqual(keys);
    expect(keys).toContain(eventKey(id));
  });

  test('together store 16 of one body', async ({ open }) => {
    const stores = [(await open()).store, (await open()).store];
    const adds = Array.from({ length: 20 }, (_, at) =>
      stores.map((store, of) => store.add(idOf(`query ${of} ${at}`, 'body'), someRecord(), 'nothing')),
    );
    const added = await Promise.all(adds.flat());
    expect(added.filter((each) => each === 'stored')).toHaveLength(MAX_OF_ONE_BODY);
    expect(added.filter((each) => each === 'crowded')).toHaveLength(40 - MAX_OF_ONE_BODY);
  });

  test('together store maxBytes', async ({ open }) => {
    const options = { maxBytes: 10 * LEAST_BYTES };
    const stores = [(await open(options)).store, (await open(options)).store];
    const adds = stores.map((store, of) => idsOf(20, `of ${of}`).map((id) => store.add(id, someRecord(), 'nothing')));
    const added = await Promise.all(adds.flat());
    expect(added.filter((each) => each === 'stored')).toHaveLength(10);
    expect(added.filter((each) => each === 'full')).toHaveLength(30);
    for (const store of stores) expect((await store.list()).entries).toHaveLength(10);
  });

  test('hear of a drop once, from a listing or from a claim', async ({ open }) => {
    const [{ store }, { store: other }, { store: visitor }] = [
      await open(),
      await open(),
      await open({ as: 'visitor' }),
    ];
    const ids = idsOf(20, 'drop');
    for (const id of ids) await store.add(id, someRecord(), 'nothing');
    for (const id of ids) expect(await visitor.drop(id)).toBe(true);
    expect(await visitor.list()).toEqual({ entries: [], dropped: [] });
    const claimed = ids.slice(0, 5);
    const claims = await Promise.all(claimed.flatMap((id) => [store.claim(id), other.claim(id)]));
    expect(claims.map(({ kind }) => kind).sort()).toEqual([...Array(5).fill('dropped'), ...Array(5).fill('removed')]);
    expect(droppedIn(await Promise.all([store.list(), other.list()]))).toEqual(ids.slice(5).sort());
    expect(droppedIn([await store.list(), await other.list()])).toEqual([]);
  });

  test('hear of what the server evicted once, and it makes room', async ({ server, open }) => {
    const options = { maxBytes: 3 * LEAST_BYTES };
    const [{ store }, { store: other }] = [await open(options), await open(options)];
    const [first = '', second = '', third = ''] = idsOf(3, 'evicted');
    for (const id of [first, second, third]) await store.add(id, someRecord(), 'nothing');
    await server.ask('DEL', eventKey(first), eventKey(second), eventKey(third));
    expect(await other.claim(first)).toEqual({ kind: 'dropped' });
    expect(await store.add(second, someRecord(), 'nothing')).toBe('stored');
    expect(droppedIn(await Promise.all([store.list(), other.list()]))).toEqual([second, third].sort());
    expect(droppedIn([await store.list(), await other.list()])).toEqual([]);
    expect((await other.list()).entries).toMatchObject([{ id: second }]);
    for (const id of [first, third]) expect(await store.add(id, someRecord(), 'nothing')).toBe('stored');
    expect(await store.add(idOf(), someRecord(), 'nothing')).toBe('full');
  });

  test.for(['FLUSHALL', 'DEL index'])('hear once of what a person emptied by %s', async (how, { server, open }) => {
    const [{ store }, { store: other }, { store: third }] = [await open(), await open(), await open()];
    const [removed = '', shared = '', ofStore = '', ofOther = '', claimed = ''] = idsOf(5, 'flushed');
    for (const id of [removed, shared, claimed]) await store.add(id, someRecord(), 'nothing');
    for (const each of [other, third]) await each.list();
    await claimedRecord(other, removed);
    await other.remove(claimOf(other, removed));
    await store.add(ofStore, someRecord(), 'nothing');
    await other.add(ofOther, someRecord(), 'nothing');
    await (how === 'FLUSHALL' ? server.ask(how) : server.ask('DEL', `${prefixOf()}index`));
    // What is stored since is another history, whose numbers begin anew.
    const [fresh = '', again = ''] = idsOf(2, 'fresh');
    await third.add(fresh, someRecord(), 'nothing');
    await third.add(again, someRecord(), 'nothing');
    await claimedRecord(third, again);
    await third.remove(claimOf(third, again));
    expect(await other.claim(claimed)).toEqual({ kind: 'dropped' });
    const told = droppedIn(await Promise.all([store.list(), other.list(), third.list()]));
    // The server no longer knows who removed what: `removed` may be among them, for the one who had not heard of it.
    expect(told.filter((id) => id !== removed)).toEqual([shared, ofStore, ofOther].sort());
    expect(droppedIn(await Promise.all([store.list(), other.list(), third.list()]))).toEqual([]);
    for (const each of [store, other, third]) expect((await each.list()).entries).toMatchObject([{ id: fresh }]);
  });

  test('share the claims: a lease is of 30 s, and one that ended is free', async ({ server, open }) => {
    const { store } = await open();
    const id = idOf();
    await store.add(id, someRecord(), 'nothing');
    const now = async () => Number(((await server.ask('TIME')) as string[])[0]) * 1000;
    const until = async () => Number(await server.ask('HGET', eventKey(id), 'until'));
    const lease = async (end: number) => {
      await server.ask('HSET', eventKey(id), 'claim', 'of another process', 'until', String(end));
    };
    await lease((await now()) + 25_000);
    expect(await store.claim(id)).toEqual({ kind: 'busy' });
    await lease((await now()) - 1000);
    await claimedRecord(store, id);
    expect(await until()).toBeGreaterThan((await now()) + 15_000);
    expect(await until()).toBeLessThanOrEqual((await now()) + 31_000);
    // The server's clock was wrong, and is right again.
    await lease((await now()) + 3_600_000);
    await claimedRecord(store, id);
  });

  test('a lease is renewed until it is released', async ({ server, open }) => {
    const { store } = await open();
    const [id = '', free = ''] = idsOf(2, 'renewed');
    for (const each of [id, free]) {
      await store.add(each, someRecord(), 'nothing');
      await claimedRecord(store, each);
    }
    await store.release(claimOf(store, free), null);
    // It has ended, and nobody has claimed the event since.
    await server.ask('HSET', eventKey(id), 'until', '1');
    await eventually(async () => Number(await server.ask('HGET', eventKey(id), 'until')) > 1, true);
    expect(await server.ask('HEXISTS', eventKey(free), 'until')).toBe(0);
    expect(await store.remove(claimOf(store, id))).toBe(true);
  });

  test('a process that closes ends its claims', async ({ server, open }) => {
    const [{ store }, { store: other }] = [await open(), await open()];
    const id = idOf();
    await store.add(id, someRecord(), 'nothing');
    await claimedRecord(store, id);
    expect(await other.claim(id)).toEqual({ kind: 'busy' });
    await store.close();
    await claimedRecord(other, id);
    expect(await server.ask('HEXISTS', eventKey(id), 'claim')).toBe(1);
  });

  test('a listing carries no bodies', async ({ server, open }) => {
    const { store } = await open({ maxBytes: 100 * 1024 * 1024 });
    for (const id of idsOf(50, 'large')) await store.add(id, someRecord(200_000), 'nothing');
    const sent = async () => {
      const info = String(await server.ask('INFO', 'stats'));
      return Number(/total_net_output_bytes:(\d+)/.exec(info)?.[1]);
    };
    const before = await sent();
    expect((await store.list()).entries).toHaveLength(50);
    expect((await sent()) - before).toBeLessThan(50_000);
  });
});
