// The embedded store keeps what every store promises, also between processes: one owner at a time, and people's commands
// beside it. Locks are those of two processes, also where one process opens both stores.
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect } from 'vitest';
import { LEASE_MS } from '../../src/redelivery/stores/store.ts';
import { makePlace, storedAgain, test } from '../support/redelivery/sqlite-store.ts';
import {
  bytesOf,
  drop,
  eventOf,
  idsIn,
  leasedFrom,
  listed,
  oneLeased,
  set,
  storeContract,
} from '../support/redelivery/stores.ts';

storeContract('SQLite', makePlace, { isShared: false });

test('a second owner stores nothing, tells, and takes over all leases in time', async ({ open }) => {
  const first = await open();
  const event = eventOf();
  await first.store.add(event, 0);
  const { lease } = await oneLeased(first.store);
  const second = await open();
  await expect(second.store.add(eventOf(), 0)).rejects.toThrow('another process uses it');
  expect(second.failures).toEqual([expect.stringContaining('another process uses it')]);
  await first.store.close();
  // Sooner than the lease would end by itself.
  await expect
    .poll(() => leasedFrom(second.store).catch(() => []), { timeout: LEASE_MS / 2 })
    .toMatchObject([{ id: event.id, record: bytesOf(event) }]);
  expect(second.failures.at(-1)).toBeNull();
  expect(await set(second.store, lease, 'taken')).toBe(false);
});

test('an owner whose lock another process has replaced gives the store up', async ({ folder, open }) => {
  const { store } = await open();
  await store.add(eventOf(), 60_000);
  const other = new DatabaseSync(join(folder, 'other'));
  other.exec('PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE');
  chmodSync(join(folder, 'other'), 0o600);
  renameSync(join(folder, 'other'), join(folder, 'lock'));
  await expect(store.add(eventOf(), 0)).rejects.toThrow('another process uses it');
  await expect(store.lease({ limit: 1, room: 1e6, leases: [] })).rejects.toThrow('another process uses it');
  other.close();
  await storedAgain(store);
  expect(await idsIn(store)).toHaveLength(2);
});

test('an owner whose lock was removed, and is held by nobody, goes on', async ({ folder, open }) => {
  const { store, losses } = await open();
  await store.add(eventOf(), 0);
  const { lease } = await oneLeased(store);
  rmSync(join(folder, 'lock'));
  expect(await store.add(eventOf(), 60_000)).toBe('stored');
  expect(await idsIn(store)).toHaveLength(2);
  expect(losses).toEqual([]);
  expect(await leasedFrom(store)).toEqual([]);
  expect(await set(store, lease, 'taken')).toBe(true);
});

test('an owner gives its lock up for no lock of somebody else on the file', async ({ file, open }) => {
  const { store } = await open();
  const event = eventOf();
  await store.add(event, 0);
  const { lease } = await oneLeased(store);
  const other = new DatabaseSync(file);
  other.exec('BEGIN IMMEDIATE');
  await expect(set(store, lease, 'taken')).rejects.toThrow('another program keeps its file locked');
  const { failures } = await open();
  expect(failures).toEqual([expect.stringContaining('another process uses it')]);
  other.exec('COMMIT; BEGIN; SELECT 1 FROM event');
  expect(await set(store, lease, 'taken')).toBe(true); // though the log cannot be emptied while another reads
  expect((await open()).failures).toEqual([expect.stringContaining('another process uses it')]);
  other.close();
});

test('a visitor leaves a damaged file where it is, and says so', async ({ folder, file, open }) => {
  mkdirSync(folder, { mode: 0o700 });
  writeFileSync(file, 'x'.repeat(5000), { mode: 0o600 });
  const { store, losses } = await open({ as: 'visitor' });
  await expect(listed(store)).rejects.toThrow('not a database');
  expect(readdirSync(folder)).toEqual(['queue.sqlite']);
  expect(losses).toEqual([]);
});

test('a visitor drops what no owner is there for, and the next owner tells it', async ({ file, open }) => {
  const [event, other] = [eventOf(), eventOf()];
  const first = await open();
  await first.store.add(event, 0);
  await first.store.add(other, 0);
  await first.store.close();
  const visitor = await open({ as: 'visitor' });
  expect(await drop(visitor.store, event.id)).toBe('done');
  await visitor.store.close();
  expect(existsSync(`${file}-wal`)).toBe(false);
  const { store } = await open();
  expect((await store.summary()).dropped).toMatchObject([{ id: event.id, note: event.note }]);
  expect(await idsIn(store)).toEqual([other.id]);
});
