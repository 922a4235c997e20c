// A Redis that is killed, loses its last writes, or stands still.
import { stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { StoredEvent } from '../../src/redelivery/stores/store.ts';
import { testDirectory } from '../support/machine/files.ts';
import { HAS_SERVERS, REDIS_OR_VALKEY, type RedisProgram, startRedis, VALKEY_OR_REDIS } from '../support/once/redis.ts';
import { idsOf, opened, ready } from '../support/redelivery/redis-store.ts';
import {
  bytesOf,
  drop,
  eventOf,
  idsIn,
  leasedFrom,
  listed,
  oneLeased,
  set,
  someRecord,
} from '../support/redelivery/stores.ts';

async function startServer(program: RedisProgram, settings: readonly string[] = []) {
  const directory = await testDirectory();
  const server = await startRedis(program, { directory, settings });
  onTestFinished(() => server.kill());
  return { server, log: join(directory, 'appendonlydir', 'appendonly.aof.1.incr.aof') };
}

async function openOn(url: string) {
  const one = await opened(url, { maxBytes: 64 * 1024 * 1024 });
  onTestFinished(() => one.store.close());
  await ready(one.store);
  return one;
}

describe.skipIf(!HAS_SERVERS)('a server', () => {
  // With `everysec` a server answers before it writes while an fsync is slow: a kill can lose what it answered for.
  test.for([REDIS_OR_VALKEY, VALKEY_OR_REDIS])(
    '%s, killed while it stores, has what it answered for',
    async (program) => {
      const { server } = await startServer(program, ['--appendonly', 'yes', '--appendfsync', 'always']);
      const { store, failures } = await openOn(server.url);
      const answered = new Map<string, StoredEvent['record']>();
      const tried = new Set<string>();
      for (let kill = 1; kill <= 5; kill++) {
        const storing = idsOf(200, `kill ${kill}`).map(async (id, at) => {
          const record = someRecord(1000 * (at % 50));
          tried.add(id);
          if ((await store.add(eventOf(id, record), 0)) === 'stored') answered.set(id, record);
          if (answered.size === 100 * kill) await server.kill();
        });
        await Promise.allSettled(storing);
        await server.kill();
        await server.start();
        await ready(store);
      }
      expect(answered.size).toBeGreaterThanOrEqual(500);
      const ids = await idsIn(store);
      for (const id of ids) expect(tried).toContain(id);
      expect(ids).toEqual(expect.arrayContaining([...answered.keys()]));
      for (let taken = await leasedFrom(store); taken.length > 0; taken = await leasedFrom(store)) {
        for (const each of taken) {
          const record = answered.get(each.id);
          if (record !== undefined) expect(each.record).toEqual(bytesOf({ record }));
          expect(await set(store, each.lease, 'taken')).toBe(true);
        }
      }
      expect(await listed(store)).toEqual([]);
      expect(failures.length).toBeGreaterThan(0);
      expect(failures.at(-1)).toBeNull();
    },
  );

  test('whose last writes are lost has the rest, goes on, and whoever stored them tells it', async () => {
    const { server, log } = await startServer(REDIS_OR_VALKEY, ['--appendonly', 'yes', '--appendfsync', 'always']);
    const [{ store, losses }, { store: other, losses: told }] = [await openOn(server.url), await openOn(server.url)];
    const [early = '', lost = '', fresh = '', late = ''] = idsOf(4, 'lost');
    await store.add(eventOf(early), 0);
    const { size } = await stat(log);
    await other.add(eventOf(lost), 0);
    const young = await openOn(server.url); // of which the copy knows nothing
    await young.store.add(eventOf(late), 0);
    const [, ofLost] = await leasedFrom(other);
    await server.kill();
    await truncate(log, size);
    await server.start();
    for (const each of [store, other, young.store]) await ready(each);
    expect(await store.add(eventOf(fresh), 0)).toBe('stored');
    expect(ofLost !== undefined && (await set(other, ofLost.lease, 'taken'))).toBe(false);
    for (const each of [store, other]) expect(await idsIn(each)).toEqual([early, fresh].sort());
    const gone = expect.stringContaining('no longer has what it had at');
    expect([losses, told, young.losses]).toEqual([[], [gone], [gone]]);
    expect((await store.summary()).losses).toMatchObject([{ id: '', events: 1 }, { events: 1 }]);
  });

  test('that stands still: everything rejects, and goes on when it does', async () => {
    const { server } = await startServer(REDIS_OR_VALKEY);
    const { store, failures } = await openOn(server.url);
    const [id = '', fresh = ''] = idsOf(2, 'stuck');
    await store.add(eventOf(id), 0);
    const taken = await oneLeased(store);
    server.pause();
    const ask = () => [
      store.add(eventOf(fresh), 0),
      store.summary(),
      listed(store),
      leasedFrom(store),
      set(store, taken.lease, 'taken'),
      store.find(id),
      drop(store, fresh),
    ];
    const started = await Promise.allSettled(ask());
    expect(started.map(({ status }) => status)).toEqual(Array(7).fill('rejected'));
    // Nothing waits any more.
    const later = await Promise.race([Promise.allSettled(ask()), new Promise((resolve) => setImmediate(resolve))]);
    expect(later).toHaveLength(7);
    expect(failures.at(-1)).toMatch(/did not answer|timeout/i);
    server.resume();
    await ready(store);
    await expect.poll(() => failures.at(-1), { timeout: 60_000 }).toBeNull();
    // What had reached the server before it stood still was done when it woke.
    for (const each of await idsIn(store)) expect([id, fresh]).toContain(each);
    await set(store, taken.lease, 'taken');
    expect(await idsIn(store)).not.toContain(id);
  });
});
