// A Redis that is full, read-only, evicts, answers nonsense, refuses us, or in which others have put something. The store
// of deferred deliveries rejects, tells why, stores nothing by half, and works again by itself.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { describe, expect } from 'vitest';
import { type DeferredStore, MAX_PROGRESS } from '../../src/redelivery/stores/store.ts';
import { replaceFile } from '../support/machine/files.ts';
import { startAnsweringStore } from '../support/once/answering-store.ts';
import { PASSWORD } from '../support/once/failing-store.ts';
import { HAS_SERVERS, REDIS_OR_VALKEY, type RedisServer, VALKEY_OR_REDIS } from '../support/once/redis.ts';
import { eventually } from '../support/proxy/proxied.ts';
import { test } from '../support/redelivery/redis-owners.ts';
import { eventKey, idsOf, opened, prefixOf } from '../support/redelivery/redis-store.ts';
import { claimedRecord, claimOf, idOf, someRecord, UNFIT } from '../support/redelivery/store-contract.ts';
import { createAuthority } from '../support/tls/certificates.ts';

const INDEX = `${prefixOf()}index`;
const indexOf = async (server: RedisServer) => (await server.ask('HGETALL', INDEX)) as string[];

/** Every method that asks the server. */
const METHODS = {
  add: (store: DeferredStore, id: string) => store.add(id, someRecord(), 'nothing'),
  list: (store: DeferredStore) => store.list(),
  claim: (store: DeferredStore, id: string) => store.claim(id),
  read: (store: DeferredStore, id: string) => store.read(id),
  drop: (store: DeferredStore, id: string) => store.drop(id),
} as const;

describe.skipIf(!HAS_SERVERS).concurrent('a server', () => {
  test('that is full refuses what is new, stores no half of it, and lets the rest be delivered', async ({
    redis,
    open,
    server,
  }) => {
    for (const full of [server, await redis(VALKEY_OR_REDIS)]) {
      const { store, failures } = await open({ store: full.url });
      const [kept = '', taken = '', fresh = ''] = idsOf(3, 'full');
      await store.add(kept, someRecord(), 'nothing');
      await store.add(taken, someRecord(), 'nothing');
      const before = await indexOf(full);
      await full.ask('CONFIG', 'SET', 'maxmemory', '1');
      await expect(store.add(fresh, someRecord(), 'nothing')).rejects.toThrow(/^OOM /);
      await expect(store.add(kept, someRecord(), 'existing')).rejects.toThrow(/^OOM /);
      expect(await full.ask('EXISTS', eventKey(fresh))).toBe(0);
      expect(await indexOf(full)).toEqual(before);
      await claimedRecord(store, kept);
      await store.release(claimOf(store, kept), Buffer.from('progress'));
      expect((await claimedRecord(store, kept)).progress?.toString()).toBe('progress');
      await claimedRecord(store, taken);
      expect(await store.remove(claimOf(store, taken))).toBe(true);
      expect((await store.list()).entries).toMatchObject([{ id: kept }]);
      expect(await store.drop(kept)).toBe(true);
      expect((await store.list()).dropped).toEqual([kept]);
      expect(failures).toEqual([expect.stringMatching(/^OOM /)]);
      await full.ask('CONFIG', 'SET', 'maxmemory', '0');
      await eventually(() => failures.at(-1), null);
      expect(await store.add(fresh, someRecord(), 'nothing')).toBe('stored');
    }
  });

  test('whose policy evicts any key is remarked upon', async ({ server, open }) => {
    const { store, remarks } = await open();
    expect(remarks).toEqual([]);
    await server.ask('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
    const { remarks: later } = await open();
    await eventually(() => later, [expect.stringMatching(/maxmemory-policy/)]);
    await server.ask('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    await store.list();
  });

  test('that evicts what has a time to live evicts nothing of ours', async ({ server, open }) => {
    await server.ask('CONFIG', 'SET', 'maxmemory-policy', 'volatile-lru');
    const { store, remarks } = await open();
    const ids = idsOf(20, 'kept');
    for (const id of ids) await store.add(id, someRecord(5000), 'nothing');
    await server.ask('CONFIG', 'SET', 'maxmemory', '1');
    await expect(store.add(idOf(), someRecord(), 'nothing')).rejects.toThrow(/^OOM /);
    const { entries, dropped } = await store.list();
    expect(entries.map(({ id }) => id).sort()).toEqual(ids.sort());
    expect([dropped, remarks]).toEqual([[], []]);
  });

  test('that becomes read-only fails until it is none', async ({ server, open }) => {
    const { store, failures } = await open();
    const [id = '', fresh = ''] = idsOf(2, 'read-only');
    await store.add(id, someRecord(), 'nothing');
    await server.ask('REPLICAOF', '127.0.0.1', '1');
    await expect(store.add(fresh, someRecord(), 'nothing')).rejects.toThrow(/READONLY|MASTERDOWN/);
    expect(failures[0]).toMatch(/READONLY|MASTERDOWN/);
    await server.ask('REPLICAOF', 'NO', 'ONE');
    await eventually(() => failures.at(-1), null);
    expect((await store.list()).entries).toMatchObject([{ id }]);
  });

  test('in which another has an index of that name fails until it is gone', async ({ server, open }) => {
    const { store, failures } = await open();
    await server.ask('SET', INDEX, 'of another');
    for (const method of Object.values(METHODS)) {
      await expect(method(store, idOf())).rejects.toThrow(/WRONGTYPE/);
    }
    expect(failures).toContainEqual(expect.stringMatching(/WRONGTYPE/));
    expect(await server.ask('GET', INDEX)).toBe('of another');
    await server.ask('DEL', INDEX);
    await eventually(() => failures.at(-1), null);
    expect(await store.add(idOf(), someRecord(), 'nothing')).toBe('stored');
  });

  test('in which others wrote to events: they are not read, and stay', async ({ server, open }) => {
    const { store } = await open();
    const [bare = '', long = ''] = idsOf(2, 'unfit');
    for (const id of [bare, long]) await store.add(id, someRecord(), 'nothing');
    await server.ask('HDEL', eventKey(bare), 'body');
    await server.ask('HSET', eventKey(long), 'progress', 'x'.repeat(MAX_PROGRESS + 1));
    for (const id of [bare, long]) {
      expect(await store.claim(id)).toMatchObject(UNFIT);
      expect(await store.read(id)).toBeNull();
    }
    const { entries, dropped } = await store.list();
    expect(entries.map(({ progress }) => progress)).toEqual([null, null]);
    expect(dropped).toEqual([]);
  });

  test('in which others wrote over events: these are gone, and what they wrote is left alone', async ({
    server,
    open,
  }) => {
    const { store } = await open();
    const [claimed = '', listed = ''] = idsOf(2, 'over');
    for (const id of [claimed, listed]) {
      await store.add(id, someRecord(), 'nothing');
      await server.ask('SET', eventKey(id), 'of another');
      expect(await store.read(id)).toBeNull();
    }
    expect(await store.claim(claimed)).toEqual({ kind: 'dropped' });
    expect(await store.list()).toEqual({ entries: [], dropped: [listed] });
    const before = await indexOf(server);
    const taken = idOf('taken by another');
    await server.ask('SET', eventKey(taken), 'of another');
    await expect(store.add(taken, someRecord(), 'nothing')).rejects.toThrow(/WRONGTYPE/);
    expect(await indexOf(server)).toEqual(before);
    for (const id of [claimed, listed, taken]) expect(await server.ask('GET', eventKey(id))).toBe('of another');
  });

  test('with a password that changes', async ({ redis, directory, open, attempt }) => {
    const server = await redis(REDIS_OR_VALKEY, { password: PASSWORD });
    const passwordFile = join(directory, 'password');
    await writeFile(passwordFile, PASSWORD);
    const options = { store: server.url, passwordFile, readPassword: (file: string) => readFile(file, 'utf8') };
    const { store, failures } = await open(options);
    const id = idOf();
    await store.add(id, someRecord(), 'nothing');
    await server.ask('CONFIG', 'SET', 'requirepass', `new ${PASSWORD}`);
    await claimedRecord(store, id); // whoever is connected stays so
    const wrong = await attempt(options);
    await eventually(() => /WRONGPASS/.test(String(wrong.failures.at(-1))), true);
    await expect(wrong.store.list()).rejects.toThrow(/WRONGPASS/);
    await replaceFile(passwordFile, `new ${PASSWORD}`);
    await eventually(() => wrong.failures.at(-1), null);
    expect((await wrong.store.list()).entries).toMatchObject([{ id }]);
    expect([...failures, ...wrong.failures].join()).not.toContain(PASSWORD);
  });

  test('with TLS, once its authority is trusted', async ({ redis, directory, attempt, onTestFinished }) => {
    const authority = createAuthority(directory, 'ca');
    const server = await redis(REDIS_OR_VALKEY, { tls: authority.issue('store', { names: ['IP:127.0.0.1'] }) });
    const { store, failures } = await attempt({ store: server.url });
    await eventually(() => /certificate/.test(String(failures.at(-1))), true);
    await expect(METHODS.add(store, idOf())).rejects.toThrow(/certificate/);
    const trusted = getCACertificates('default');
    onTestFinished(() => setDefaultCACertificates(trusted));
    setDefaultCACertificates([...trusted, await readFile(authority.caFile, 'utf8')]);
    await eventually(() => failures.at(-1), null);
    expect(await METHODS.add(store, idOf())).toBe('stored');
  });

  test('that gives its user no more rights than the docs name', async ({ server, open }) => {
    const rights = ['~entrupy-deferred:{orders}:*', ...RIGHTS.map((name) => `+${name}`)];
    await server.ask('ACL', 'SETUSER', 'hooks', 'on', 'nopass', ...rights);
    const { store, failures, remarks } = await open({ store: server.url.replace('//', '//hooks@') });
    const [id = '', other = ''] = idsOf(2, 'rights');
    for (const each of [id, other]) expect(await store.add(each, someRecord(), 'nothing')).toBe('stored');
    await claimedRecord(store, id);
    await store.release(claimOf(store, id), Buffer.from('progress'));
    await claimedRecord(store, id);
    expect(await store.remove(claimOf(store, id))).toBe(true);
    expect(await store.drop(other)).toBe(true);
    expect(await store.list()).toEqual({ entries: [], dropped: [other] });
    const lost = idOf('lost');
    await store.add(lost, someRecord(), 'nothing');
    const { store: refiller } = await open();
    await server.ask('FLUSHALL');
    await METHODS.add(refiller, idOf('since'));
    expect((await store.list()).dropped).toEqual([lost]);
    expect([failures, remarks]).toEqual([[], []]);
  });
});

const RIGHTS =
  'select|eval|time|info|type|set|hget|hmget|hset|hdel|hexists|hstrlen|hincrby|hscan|unlink|sadd|pexpire'.split('|');

const SOUND = '*2\r\n$0\r\n\r\n$0\r\n\r\n';
const isProbe = (script: string) => script.includes('maxmemory_policy');

describe.concurrent.for([
  '+OK\r\n',
  '$-1\r\n',
  ':7\r\n',
  '*1\r\n$3\r\nyes\r\n',
  '*3\r\n$7\r\nclaimed\r\n$1\r\nx\r\n$-1\r\n',
])('a server that answers scripts with %j', (answer) => {
  test.for(Object.keys(METHODS) as (keyof typeof METHODS)[])('makes %s reject', async (name, { onTestFinished }) => {
    const server = await startAnsweringStore((script) => (isProbe(script) ? SOUND : answer));
    onTestFinished(() => server.close());
    const { store, failures } = await opened(server.url);
    onTestFinished(() => store.close());
    const answered = () => METHODS[name](store, idOf()).then(String, String);
    await eventually(async () => /makes no sense/.test(await answered()), true);
    expect(failures).toContainEqual(expect.stringMatching(/makes no sense/));
  });
});
