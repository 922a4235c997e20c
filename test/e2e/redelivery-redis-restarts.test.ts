// A Redis that is killed, loses what it had, stands still, or holds as many deferred deliveries as it may.
import { mkdtemp, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type DeferredStore, LEAST_BYTES, type StoredBytes } from '../../src/redelivery/stores/store.ts';
import { HAS_SERVERS, REDIS_OR_VALKEY, type RedisProgram, startRedis, VALKEY_OR_REDIS } from '../support/once/redis.ts';
import { idsOf, opened, ready } from '../support/redelivery/redis-store.ts';
import { claimedRecord, claimOf, idOf, someRecord } from '../support/redelivery/store-contract.ts';

const MANY = 65_536;
/** At once. */
const SOME = 256;

async function startServer(program: RedisProgram, settings: readonly string[] = []) {
  const directory = await mkdtemp(join(tmpdir(), 'entrupy-test-'));
  const server = await startRedis(program, { directory, settings });
  onTestFinished(async () => {
    await server.kill();
    await rm(directory, { recursive: true, force: true });
  });
  return { server, log: join(directory, 'appendonlydir', 'appendonly.aof.1.incr.aof') };
}

async function openOn(url: string, maxBytes = 64 * 1024 * 1024) {
  const one = await opened(url, { maxBytes });
  onTestFinished(() => one.store.close());
  await ready(one.store);
  return one;
}

const idsIn = async (store: DeferredStore) => (await store.list()).entries.map(({ id }) => id).sort();

describe.skipIf(!HAS_SERVERS)('a server', () => {
  test.for([
    [REDIS_OR_VALKEY, 'always'],
    [VALKEY_OR_REDIS, 'everysec'],
  ] as const)('%s with appendfsync %s, killed while it stores, has what it answered for', async ([program, sync]) => {
    const { server } = await startServer(program, ['--appendonly', 'yes', '--appendfsync', sync]);
    const { store, failures } = await openOn(server.url);
    const answered = new Map<string, StoredBytes>();
    const tried = new Set<string>();
    for (let kill = 1; kill <= 5; kill++) {
      const storing = idsOf(200, `kill ${kill}`).map(async (id, at) => {
        const record = someRecord(1000 * (at % 50));
        tried.add(id);
        if ((await store.add(id, record, 'nothing')) === 'stored') answered.set(id, record);
        if (answered.size === 100 * kill) await server.kill();
      });
      await Promise.allSettled(storing);
      await server.kill();
      await server.start();
      await ready(store);
    }
    expect(answered.size).toBeGreaterThanOrEqual(500);
    const { entries, dropped } = await store.list();
    expect(dropped).toEqual([]);
    for (const { id } of entries) expect(tried).toContain(id);
    expect(entries.map(({ id }) => id)).toEqual(expect.arrayContaining([...answered.keys()]));
    for (const { id } of entries) {
      const { record } = await claimedRecord(store, id);
      const { head, body } = answered.get(id) ?? record;
      expect(record.head.equals(head) && record.body.equals(body)).toBe(true);
      expect(await store.remove(claimOf(store, id))).toBe(true);
    }
    expect(await store.list()).toEqual({ entries: [], dropped: [] });
    expect(failures.length).toBeGreaterThan(0);
    expect(failures.at(-1)).toBeNull();
  });

  test('whose last writes are lost: each loss is told, once, to the one who knows', async () => {
    const { server, log } = await startServer(REDIS_OR_VALKEY, ['--appendonly', 'yes', '--appendfsync', 'always']);
    const [{ store }, { store: other }] = [await openOn(server.url), await openOn(server.url)];
    const [early = '', removed = '', ofStore = '', ofOther = '', fresh = ''] = idsOf(5, 'lost');
    for (const id of [early, removed]) await store.add(id, someRecord(), 'nothing');
    await other.list();
    await claimedRecord(other, removed);
    await other.remove(claimOf(other, removed));
    const { size } = await stat(log);
    await store.add(ofStore, someRecord(), 'nothing');
    await other.add(ofOther, someRecord(), 'nothing');
    await server.kill();
    await truncate(log, size);
    await server.start();
    for (const each of [store, other]) await ready(each);
    await store.add(fresh, someRecord(), 'nothing');
    expect(await store.claim(removed)).toEqual({ kind: 'removed' });
    expect(await other.claim(ofOther)).toEqual({ kind: 'dropped' });
    expect((await store.list()).dropped).toEqual([ofStore]);
    expect((await other.list()).dropped).toEqual([]);
    for (const each of [store, other]) {
      expect(await idsIn(each)).toEqual([early, fresh].sort());
      expect((await each.list()).dropped).toEqual([]);
    }
  });

  test('that keeps nothing on disk, started again: all is told once, and it stores again', async () => {
    const { server } = await startServer(VALKEY_OR_REDIS);
    const [{ store }, { store: other }] = [await openOn(server.url), await openOn(server.url)];
    const ids = idsOf(1000, 'gone');
    for (const id of ids) await store.add(id, someRecord(), 'nothing');
    await other.list();
    await claimedRecord(other, ids[0] ?? '');
    await server.kill();
    await expect(store.list()).rejects.toThrow();
    await server.start();
    for (const each of [store, other]) await ready(each);
    expect(await store.add(idOf('fresh'), someRecord(), 'nothing')).toBe('stored');
    expect(await other.remove(claimOf(other, ids[0] ?? ''))).toBe(false);
    const listings = await Promise.all([store.list(), other.list()]);
    expect(listings.flatMap(({ dropped }) => dropped).sort()).toEqual(ids.sort());
    for (const { entries } of listings) expect(entries).toHaveLength(1);
  });

  test('that stands still: everything rejects, and goes on when it does', async () => {
    const { server } = await startServer(REDIS_OR_VALKEY);
    const { store, failures } = await openOn(server.url);
    const [id = '', fresh = ''] = idsOf(2, 'stuck');
    await store.add(id, someRecord(), 'nothing');
    await claimedRecord(store, id);
    server.pause();
    const ask = () => [
      store.add(fresh, someRecord(), 'nothing'),
      store.list(),
      store.claim(fresh),
      store.remove(claimOf(store, id)),
      store.read(id),
      store.drop(fresh),
    ];
    const started = await Promise.allSettled(ask());
    expect(started.map(({ status }) => status)).toEqual(Array(6).fill('rejected'));
    // Nothing waits any more.
    const later = await Promise.race([Promise.allSettled(ask()), new Promise((resolve) => setImmediate(resolve))]);
    expect(later).toHaveLength(6);
    expect(failures.at(-1)).toMatch(/did not answer|timeout/i);
    server.resume();
    await ready(store);
    await expect.poll(() => failures.at(-1), { timeout: 60_000 }).toBeNull();
    // What had reached the server before it stood still was done when it woke.
    const { entries, dropped } = await store.list();
    for (const each of [...entries.map((entry) => entry.id), ...dropped]) expect([id, fresh]).toContain(each);
    await store.remove(claimOf(store, id));
    expect(await idsIn(store)).not.toContain(id);
  });

  test('that holds as many as it may is listed whole', async () => {
    const { server } = await startServer(REDIS_OR_VALKEY);
    const { store } = await openOn(server.url, MANY * LEAST_BYTES);
    const ids = idsOf(MANY, 'many');
    for (let at = 0; at < MANY; at += SOME) {
      const added = await Promise.all(ids.slice(at, at + SOME).map((id) => store.add(id, someRecord(1), 'nothing')));
      expect(new Set(added)).toEqual(new Set(['stored']));
    }
    expect(await store.add(idOf('one more'), someRecord(1), 'nothing')).toBe('full');
    for (let look = 0; look < 3; look++) {
      const { entries, dropped } = await store.list();
      expect(dropped).toEqual([]);
      expect(entries).toHaveLength(MANY);
      expect(new Set(entries.map(({ id }) => id))).toEqual(new Set(ids));
    }
    const { store: smaller } = await openOn(server.url, SOME * LEAST_BYTES);
    expect((await smaller.list()).entries).toHaveLength(SOME);
    await server.ask('FLUSHALL');
    expect([...(await store.list()).dropped].sort()).toEqual(ids.sort());
  });
});
