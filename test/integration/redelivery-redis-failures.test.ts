// A Redis that is full, read-only, evicts, answers nonsense, refuses us, or in which others have put something. The store
// of deferred deliveries rejects, tells why, stores nothing by half, and works again by itself.
import { describe, expect } from 'vitest';
import { type Change, type DeferredStore, LEAST_BYTES } from '../../src/redelivery/stores/store.ts';
import { startAnsweringStore } from '../support/once/answering-store.ts';
import { HAS_SERVERS, type RedisServer, VALKEY_OR_REDIS } from '../support/once/redis.ts';
import { eventually } from '../support/proxy/proxied.ts';
import { idsOf, known, opened, prefixOf, recordKey, test, writeKnown } from '../support/redelivery/redis-store.ts';
import {
  bytesOf,
  drop,
  eventOf,
  idOf,
  idsIn,
  leasedFrom,
  listed,
  MANY_BYTES,
  NOW,
  noteOf,
  oneLeased,
  readIn,
  set,
  setOne,
  someRecord,
  wake,
} from '../support/redelivery/stores.ts';

const TOTALS = `${prefixOf()}totals`;
const INDEX = `${prefixOf()}index`;
const DUE = `${prefixOf()}due`;
const totalsOf = async (server: RedisServer) => ((await server.ask('HGETALL', TOTALS)) as string[]).toSorted();

/** Every method that asks the server. */
const METHODS = {
  add: (store: DeferredStore, id: string) => store.add(eventOf(id), 0),
  lease: (store: DeferredStore) => leasedFrom(store),
  hold: (store: DeferredStore, id: string) => leasedFrom(store, { limit: 0, leases: [`${id} none`] }),
  change: (store: DeferredStore, id: string) => set(store, `${id} none`, { ...NOW, note: noteOf() }),
  summary: (store: DeferredStore) => store.summary(),
  list: (store: DeferredStore) => listed(store),
  leaseKept: (store: DeferredStore, id: string) => store.leaseKept(id, 1),
  find: (store: DeferredStore, id: string) => store.find(id),
  losses: (store: DeferredStore) => store.losses(),
} as const;

const RIGHTS =
  'eval|time|info|exists|set|get|strlen|hget|hset|hsetnx|hdel|hkeys|hlen|hincrby|hscan|zadd|zrem|zremrangebyscore|zscore|zcard|zrange|zrangebyscore|zrangebylex|zlexcount|rpush|lrange|ltrim|unlink'.split(
    '|',
  );

describe.skipIf(!HAS_SERVERS).concurrent('a server', () => {
  test('that is full refuses what is new, stores no half, and delivers the rest', async ({ redis, open, server }) => {
    for (const full of [server, await redis(VALKEY_OR_REDIS)]) {
      const { store, failures, losses } = await open({ store: full.url });
      const [kept, fresh] = [eventOf(), eventOf()];
      await store.add(kept, 0);
      await store.add(eventOf(), 600_000);
      const before = await totalsOf(full);
      await full.ask('CONFIG', 'SET', 'maxmemory', '1');
      await expect(store.add(fresh, 0)).rejects.toThrow(/^OOM /);
      await expect(store.add(kept, 0)).rejects.toThrow(/^OOM /);
      expect(await full.ask('EXISTS', recordKey(fresh.id))).toBe(0);
      expect(await totalsOf(full)).toEqual(before);
      await full.ask('DEL', TOTALS); // the test event comes first, and must not keep the others from what is left
      await expect(store.test()).rejects.toThrow(/^OOM /);
      expect(await readIn(store, kept.id)).toEqual(bytesOf(kept));
      const note = noteOf({ attempts: 7 });
      expect(await setOne(store, { note })).toBe(true);
      const taken = await oneLeased(store);
      expect(taken.note).toEqual(note);
      await leasedFrom(store, { limit: 0, leases: [taken.lease] });
      expect(await set(store, taken.lease, 'taken')).toBe(true);
      const [rest = ''] = await idsIn(store);
      expect(await wake(store, [rest])).toBe(1);
      expect(await drop(store, rest)).toBe('done');
      expect((await store.summary()).dropped).toMatchObject([{ id: rest }]);
      expect([failures, losses]).toEqual([[expect.stringMatching(/^OOM /)], []]);
      await full.ask('CONFIG', 'SET', 'maxmemory', '0');
      await eventually(() => failures.at(-1), null);
      expect(await store.add(fresh, 0)).toBe('stored');
    }
  });

  test('that evicts what has a time to live evicts nothing of ours', async ({ server, open }) => {
    await server.ask('CONFIG', 'SET', 'maxmemory-policy', 'volatile-lru');
    const { store } = await open();
    const ids = idsOf(20, 'kept');
    for (const id of ids) await store.add(eventOf(id, someRecord(5000)), 0);
    await server.ask('CONFIG', 'SET', 'maxmemory', '1');
    await expect(store.add(eventOf(), 0)).rejects.toThrow(/^OOM /);
    expect(await idsIn(store)).toEqual(ids.sort());
    expect((await store.summary()).evicts).toBeNull();
  });

  test('that becomes read-only fails until it is none', async ({ server, open }) => {
    const { store, failures } = await open();
    const [id = '', fresh = ''] = idsOf(2, 'read-only');
    await store.add(eventOf(id), 0);
    await server.ask('REPLICAOF', '127.0.0.1', '1');
    await expect(store.add(eventOf(fresh), 0)).rejects.toThrow(/READONLY|MASTERDOWN/);
    expect(failures).toContainEqual(expect.stringMatching(/READONLY|MASTERDOWN/));
    await server.ask('REPLICAOF', 'NO', 'ONE');
    await eventually(() => failures.at(-1), null);
    expect(await idsIn(store)).toEqual([id]);
  });

  test.for([TOTALS, INDEX, DUE])(
    'in which another has the key %s fails until it is gone',
    async (key, { server, open }) => {
      const { store, failures } = await open();
      await server.ask('SET', key, 'of another');
      for (const method of ['add', 'lease', 'summary'] as const)
        await expect(METHODS[method](store, idOf())).rejects.toThrow(/WRONGTYPE/);
      expect(failures).toContainEqual(expect.stringMatching(/WRONGTYPE/));
      expect(await server.ask('GET', key)).toBe('of another');
      expect(await server.ask('KEYS', recordKey('?*'))).toEqual([]);
      await server.ask('DEL', key);
      await eventually(() => failures.at(-1), null);
      expect(await store.add(eventOf(), 0)).toBe('stored');
    },
  );

  test('in which others wrote to events: what is not whole is not read, and stays', async ({ server, open }) => {
    const { store } = await open();
    const [bare = '', long = ''] = idsOf(2, 'unfit');
    for (const id of [bare, long]) await store.add(eventOf(id), 0);
    await server.ask('DEL', recordKey(bare));
    await server.ask('SET', recordKey(long), 'x'.repeat(300_000));
    for (const id of [bare, long]) expect(await readIn(store, id)).toBeNull();
    const leased = await leasedFrom(store);
    expect(leased.map(({ record }) => record)).toEqual([Buffer.alloc(0), null]);
    expect(await idsIn(store)).toEqual([bare, long].sort());
    for (const { lease } of leased) expect(await set(store, lease, 'taken')).toBe(true);
    expect(await totalsOf(server)).not.toContain(bare);
  });

  test('in which others wrote over records: these are lost, and hold up nothing', async ({ server, open }) => {
    const { store } = await open();
    const ids = idsOf(3, 'over');
    for (const id of ids) await store.add(eventOf(id), 0);
    for (const id of ids.slice(0, 2)) {
      await server.ask('DEL', recordKey(id));
      await server.ask('RPUSH', recordKey(id), 'of another');
      expect(await readIn(store, id)).toBeNull();
    }
    expect(await drop(store, ids[0] ?? '')).toBe('done');
    expect((await leasedFrom(store)).map(({ record }) => record?.length)).toEqual([0, 300]);
    expect(await store.add(eventOf(ids[1]), 0)).toBe('replaced');
  });

  test('that evicted records: an event without one is due first', async ({ server, open }) => {
    const { store } = await open();
    const ids = idsOf(20, 'evicted');
    for (const id of ids) await store.add(eventOf(id), 600_000); // longer than all this takes
    for (const id of ids.slice(0, -1)) await server.ask('DEL', recordKey(id));
    await store.summary();
    const lost = await leasedFrom(store);
    expect(lost.map(({ id }) => id).sort()).toEqual(ids.slice(0, -1).sort());
    for (const { lease, record, note } of lost) {
      expect([record?.length, note?.failure]).toEqual([0, '503']);
      expect(await set(store, lease, 'record')).toBe(true);
    }
    expect(await store.summary()).toMatchObject({ groups: [{ deliveries: 1 }], lostLately: 19 });
  });

  test.for(['due', 'index', 'totals'])('that lost the key %j counts what is there', async (name, { server, open }) => {
    const { store } = await open({ maxBytes: 3 * LEAST_BYTES });
    const ids = idsOf(3, name);
    for (const id of ids) await store.add(eventOf(id, someRecord(), noteOf({ came: 7 })), 0);
    const before = await store.summary();
    expect(await server.ask('DEL', `${prefixOf()}${name}`)).toBe(1);
    const { groups } = await store.summary();
    expect(groups).toEqual(before.groups);
    expect(await store.add(eventOf(), 0)).toBe('full');
    expect(await idsIn(store)).toEqual(ids.toSorted());
    expect(await leasedFrom(store)).toHaveLength(3);
  });

  test('that lost what is known of all events has their records, states and routes', async ({ server, open }) => {
    const { store, losses } = await open();
    const [whole, gone] = [eventOf(), eventOf()];
    for (const event of [gone, whole]) {
      await store.add(event, 0);
      await setOne(store, { pause: 60_000, state: 'expired' });
    }
    const before = await store.summary();
    await server.ask('DEL', `${prefixOf()}entries`, recordKey(gone.id));
    expect(await leasedFrom(store), 'none is due earlier').toEqual([]);
    const { groups } = await store.summary();
    expect(groups).toEqual(before.groups);
    expect((await store.find(gone.id))?.note).toMatchObject({ route: '/notify', came: gone.note.came, failure: '503' });
    expect(await wake(store, [whole.id])).toBe(1);
    const records = new Map((await leasedFrom(store)).map(({ id, record }) => [id, record]));
    expect(records).toEqual(
      new Map([
        [whole.id, bytesOf(whole)],
        [gone.id, Buffer.alloc(0)],
      ]),
    );
    expect(losses).toEqual([]);
  });

  test('that lost all but the number of its events tells an owner, after a visitor asked', async ({ server, open }) => {
    const { store, losses } = await open();
    const visitor = await open({ as: 'visitor' });
    for (let nth = 0; nth < 3; nth++) await store.add(eventOf(), 60_000);
    await server.ask('DEL', ...['entries', 'due', 'index'].map((name) => `${prefixOf()}${name}`));
    expect(await listed(visitor.store)).toEqual([]);
    await visitor.store.close();
    await store.summary();
    expect([losses, visitor.losses]).toEqual([[expect.stringContaining('no longer has what it had at')], []]);
    expect((await store.summary()).losses).toMatchObject([{ id: '', events: 3 }]);
  });

  test('in which others wrote over what is known of an event', async ({ server, open }) => {
    const { store } = await open();
    const ids = idsOf(3, 'known').sort();
    for (const [at, field] of ['note', 'state', 'stored'].entries()) {
      await store.add(eventOf(ids[at]), 0);
      await writeKnown(server, ids[at] ?? '', { [field]: at === 2 ? [] : '[' });
    }
    const all = await listed(store);
    expect(all).toMatchObject(ids.map((id, at) => ({ id, state: 'waiting', ...(at === 0 && { note: null }) })));
    expect((await store.summary()).soonest).toHaveLength(3);
    const [first, second] = await leasedFrom(store, { limit: 2 });
    for (const each of [first, second])
      expect(each !== undefined && (await set(store, each.lease, 'taken'))).toBe(true);
    const [last = ''] = await idsIn(store);
    expect(await known(server, last)).toMatchObject({ bytes: 300 });
    await server.ask('HSET', `${prefixOf()}entries`, last, '[');
    expect(await drop(store, last)).toBe('done');
    expect(await idsIn(store)).toEqual([]);
    // What is no number that could be written again holds up no other one, in a lease or a call with many changes.
    for (const id of ids) await store.add(eventOf(id), 0);
    await server.ask('HSET', `${prefixOf()}entries`, ids[1] ?? '', '{"bytes":-1,"stored":1e999,"other":1e999}');
    const leased = await leasedFrom(store);
    expect(leased).toHaveLength(3);
    expect(await store.change(leased.map(({ id, lease }) => ({ id, lease, to: 'taken' })))).toEqual(
      Array(3).fill('done'),
    );
    expect(await store.summary()).toMatchObject({ groups: [], losses: [] });
  });

  test('that gives its user no more rights than the docs name', async ({ server, open }) => {
    const rights = ['~entrupy-deferred:{orders}:*', '+select', ...RIGHTS.map((name) => `+${name}`)];
    await server.ask('ACL', 'SETUSER', 'hooks', 'on', 'nopass', ...rights);
    const { store, failures } = await open({ store: server.url.replace('//', '//hooks@') });
    for (const method of Object.values(METHODS)) await method(store, idOf('rights'));
    const taken = eventOf(idOf('taken'));
    await store.add(taken, 0);
    const leased = await leasedFrom(store);
    await leasedFrom(store, { limit: 0, leases: leased.map(({ lease }) => lease) });
    for (const each of leased) await set(store, each.lease, { ...NOW, state: 'stopped', note: noteOf() });
    expect(await wake(store, [taken.id])).toBe(1);
    expect(await setOne(store, 'taken')).toBe(true);
    await store.add(taken, 0);
    expect(await drop(store, taken.id)).toBe('done');
    expect((await store.summary()).dropped).toMatchObject([{ id: taken.id }]);
    expect(failures).toEqual([]);
  });

  test('that refuses its user one of the commands names it, until it no longer does', async ({ server, attempt }) => {
    for (const name of RIGHTS) {
      const rights = RIGHTS.map((each) => `${each === name ? '-' : '+'}${each}`);
      await server.ask('ACL', 'SETUSER', name, 'on', 'nopass', '~entrupy-deferred:{orders}:*', ...rights);
      const { store, failures } = await attempt({ store: server.url.replace('//', `//${name}@`) });
      await eventually(() => failures.at(-1) ?? '', expect.stringMatching(new RegExp(`'${name}|\\(${name}`, 'i')));
      await expect(store.add(eventOf(), 0)).rejects.toThrow(/permission/);
      if (name !== 'unlink') continue;
      await server.ask('ACL', 'SETUSER', name, `+${name}`);
      await eventually(() => failures.at(-1), null);
      expect(await store.add(eventOf(), 0)).toBe('stored');
    }
  });
});

// One after the other, beside nothing else of this file: a server that is asked late would be waited for in vain.
describe.skipIf(!HAS_SERVERS)('a server that evicts', () => {
  // Everything may go, what the store knows of its events as well: 10 bursts of 25, of which the memory holds about 70.
  test.for(['allkeys-lru', 'allkeys-random'])(
    'by %s has a line for each loss, of one of two proxies: what was stored adds up',
    async (policy, { server, open }) => {
      let gone = 0;
      const onLoss = (_why: string, events: number | null) => {
        gone += events ?? Number.NaN;
      };
      const options = { maxBytes: 64 * MANY_BYTES, onLoss };
      const [one, two] = [(await open(options)).store, (await open(options)).store];
      const used = /used_memory:(\d+)/.exec(String(await server.ask('INFO', 'memory')))?.[1];
      await server.ask('CONFIG', 'SET', 'maxmemory-policy', policy);
      await server.ask('CONFIG', 'SET', 'maxmemory', `${Number(used) + 750_000}`);
      const ends = { stored: 0, taken: 0, lost: 0 };
      const storedBy = new Map<string, DeferredStore>();
      /** How many events the proxy has ended that had not stored them: the other one may not have heard that. */
      let ofOthers = 0;
      /** Takes so many, ends what has lost its record, and gives the rest back. Returns how many had lost it. */
      const turns = async (store: DeferredStore, taken: number) => {
        const leased = await leasedFrom(store, { limit: 500, room: 64 * MANY_BYTES });
        const empty = leased.filter(({ record }) => record?.length === 0);
        const endAll = async (all: typeof leased, what: Change['to']) => {
          if (typeof what === 'string') ofOthers += all.filter(({ id }) => storedBy.get(id) !== store).length;
          return (await Promise.all(all.map(({ lease }) => set(store, lease, what)))).filter(Boolean).length;
        };
        const others = leased.filter((each) => !empty.includes(each));
        ends.lost += await endAll(empty, 'record');
        ends.taken += await endAll(others.slice(0, taken), 'taken');
        await endAll(others.slice(taken), { pause: 0 });
        return empty.length;
      };
      for (let burst = 0; burst < 10; burst++) {
        const events = idsOf(25, `burst ${burst}`).map((id) => eventOf(id, someRecord(10_000)));
        for (const [at, { id }] of events.entries()) storedBy.set(id, at % 2 === 0 ? one : two);
        const added = await Promise.all(events.map((event) => (storedBy.get(event.id) ?? one).add(event, 0)));
        ends.stored += added.filter((each) => each === 'stored').length;
        if (burst % 2 === 1) await turns(burst % 4 === 1 ? one : two, 5);
        for (const each of [one, two]) await each.summary();
      }
      const missing = async () => {
        while ((await turns(one, 0)) + (await turns(two, 0)) > 0);
        const { groups } = await one.summary();
        const there = groups.reduce((sum, { deliveries }) => sum + deliveries, 0);
        return ends.stored - ends.taken - ends.lost - gone - there;
      };
      await eventually(async () => Math.max(0, await missing()), 0);
      expect(-(await missing())).toBeLessThanOrEqual(ofOthers);
      expect(ends.lost + gone).toBeGreaterThan(50);
    },
  );
});

/** An answer of the script, with what comes beside it: no life, and nothing of ours is there. */
const answerOf = (answer: string) => `*3\r\n${answer}$0\r\n\r\n:0\r\n`;
const TESTED = answerOf('*2\r\n$0\r\n\r\n$0\r\n\r\n');

// What is no answer of the script at all, and for each method one whose own part is none.
const NONSENSE = [
  ...['+OK\r\n', '$-1\r\n', '*1\r\n:1\r\n'].map((answer) => ['add', answer] as const),
  ...(Object.keys(METHODS) as (keyof typeof METHODS)[]).map((name) => [name, answerOf('$-1\r\n')] as const),
];

test.concurrent.for(NONSENSE)('%s rejects what a server answers: %j', async ([name, answer], { onTestFinished }) => {
  const server = await startAnsweringStore((_script, args) => (args.includes('test') ? TESTED : answer));
  onTestFinished(() => server.close());
  const { store, failures } = await opened(server.url);
  onTestFinished(() => store.close());
  const answered = () => METHODS[name](store, idOf()).then(String, String);
  await eventually(async () => /makes no sense/.test(await answered()), true);
  expect(failures).toContainEqual(expect.stringMatching(/makes no sense/));
});
