// The embedded store while people, disks and other programs damage its file: what happens is told, and what comes after it
// is stored.
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  closeSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect } from 'vitest';
import type { DeferredStore } from '../../src/redelivery/stores/store.ts';
import { spawnTied } from '../support/machine/children.ts';
import { haveTools, mustRun, read } from '../support/machine/tools.ts';
import { eventually } from '../support/proxy/proxied.ts';
import { altered } from '../support/redelivery/proxy.ts';
import { storedAgain, test } from '../support/redelivery/sqlite-store.ts';
import {
  bytesOf,
  drop,
  end,
  eventOf,
  idOf,
  idsIn,
  leasedFrom,
  listed,
  MANY_BYTES,
  oneLeased,
  readIn,
  set,
  setOne,
  someRecord,
  wake,
} from '../support/redelivery/stores.ts';

const isRoot = process.geteuid?.() === 0;
const asideIn = (folder: string) => readdirSync(folder).filter((name) => /^aside-.*Z(?:-\d+)?$/.test(name));
const modeOf = (path: string) => (lstatSync(path).mode & 0o777).toString(8);

/** Closes the store, and leaves its files as a kill would. */
async function killed(store: DeferredStore, file: string): Promise<void> {
  const files = ['', '-wal', '-shm'].map((ending) => `${file}${ending}`);
  for (const each of files) copyFileSync(each, `${each}.kept`);
  await store.close();
  for (const each of files) renameSync(`${each}.kept`, each);
}

/** Events that were stored before a stop. */
async function storedBefore(open: () => Promise<{ readonly store: DeferredStore }>, amount: number) {
  const { store } = await open();
  const events = Array.from({ length: amount }, () => eventOf());
  for (const event of events) await store.add(event, 60_000);
  await store.close();
  return events;
}

/** Bytes at a place of a file, whose length stays. */
function overwrite(path: string, at: number, bytes: Uint8Array): void {
  const file = openSync(path, 'r+');
  writeSync(file, bytes, 0, bytes.length, at);
  closeSync(file);
}

/** Runs SQL as a program may that takes no care. */
function execute(file: string, sql: string): void {
  const database = new DatabaseSync(file, { defensive: false });
  database.exec(sql);
  database.close();
}

test.concurrent('the folder and its files are for its user alone', async ({ folder, file, open }) => {
  const { store, failures } = await open();
  await store.add(eventOf(), 0);
  expect(modeOf(folder)).toBe('700');
  const names = readdirSync(folder).sort();
  expect(names).toEqual(['lock', 'queue.sqlite', 'queue.sqlite-shm', 'queue.sqlite-wal']);
  for (const name of names) expect([name, modeOf(join(folder, name))]).toEqual([name, '600']);
  expect(existsSync(file)).toBe(true);
  expect(failures).toEqual([]);
});

describe.concurrent('is refused, told, and used once that is fixed:', () => {
  const FOLDER = [''];
  const FILES = ['queue.sqlite', 'queue.sqlite-wal', 'queue.sqlite-shm', 'lock'];
  const folderAt = (path: string) => mkdirSync(path, { mode: 0o700 });
  const fileAt = (path: string) => writeFileSync(path, '', { mode: 0o600 });
  const linked = (make: (path: string) => void) => (path: string, other: string) => {
    make(other);
    symlinkSync(other, path);
  };
  const writable = (path: string) => {
    fileAt(path);
    chmodSync(path, path.endsWith('lock') ? 0o602 : 0o620); // others, or the group
  };
  const given = (path: string) => {
    if (path.endsWith('deferred')) folderAt(path);
    else fileAt(path);
    chownSync(path, 12345, 12345);
  };
  const SPOILT: readonly [string, readonly string[], (path: string, other: string) => void, problem: string][] = [
    ['others may read', FOLDER, (path) => mkdirSync(path, { mode: 0o755 }), '0700'],
    ['is a file', FOLDER, fileAt, 'not a directory'],
    ['is a directory', FILES, folderAt, 'no regular file'],
    ['is a link to a folder', FOLDER, linked(folderAt), 'link'],
    ['is a link to a file', FILES, linked(fileAt), 'link'],
    ['others may write to', FILES, writable, 'others may write'],
    ['belongs to another user', [...FOLDER, 'queue.sqlite', 'lock'], given, 'belongs to another user'],
  ];
  for (const [what, names, spoil, problem] of SPOILT) {
    test.runIf(isRoot || problem !== 'belongs to another user').for(names)(
      `what ${what}: the folder or its file %j`,
      async (name, { directory, folder, open }) => {
        if (name !== '') mkdirSync(folder, { mode: 0o700 });
        const other = join(directory, 'other');
        spoil(join(folder, name), other);
        const { store, failures, losses } = await open();
        await expect(store.summary()).rejects.toThrow(problem);
        expect(failures).toEqual([expect.stringContaining(problem)]);
        rmSync(join(folder, name), { recursive: true });
        await storedAgain(store);
        expect(failures.at(-1)).toBeNull();
        expect(losses).toEqual([]);
        const target = lstatSync(other, { throwIfNoEntry: false });
        expect(target?.isDirectory() ? readdirSync(other).length : (target?.size ?? 0)).toBe(0);
      },
    );
  }
});

const SCHEMA = 'PRAGMA writable_schema=ON; UPDATE sqlite_schema SET';
const DUE = "(SELECT rootpage FROM sqlite_schema WHERE name = 'event_due')";

describe.concurrent('is set aside, told, and replaced by a new one:', () => {
  const LONG_NOTE = 'PRAGMA ignore_check_constraints=ON; UPDATE event SET note = hex(zeroblob(5000)) WHERE place = 1';
  const DELETES = 'ON event BEGIN DELETE FROM event; END';
  const BYTES: readonly [string, (file: string) => void][] = [
    ['what is no database', (file) => writeFileSync(file, 'x'.repeat(10_000), { mode: 0o600 })],
    ['a short text', (file) => writeFileSync(file, 'hello', { mode: 0o600 })],
    ['another database', (file) => execute(file, 'CREATE TABLE other(id TEXT)')],
    ['a file of which half is there', (file) => truncateSync(file, lstatSync(file).size / 2)],
    ['a file whose first page is of zeros', (file) => overwrite(file, 0, new Uint8Array(4096))],
    ['a header that makes it read-only', (file) => overwrite(file, 18, Uint8Array.of(3))],
    ['a header of a later format', (file) => overwrite(file, 47, Uint8Array.of(6))],
    ['a table that is of random bytes', (file) => overwrite(file, 4096, new Uint8Array(8192).fill(0xa5))],
    ['an index that lacks an event', (file) => execute(file, `${SCHEMA} rootpage = 2 WHERE name = 'event_due'`)],
    ['a note that is larger than notes are', (file) => execute(file, LONG_NOTE)],
    ['a trigger of somebody else', (file) => execute(file, `CREATE TRIGGER other AFTER INSERT ${DELETES}`)],
  ];
  test.for(BYTES)('%s, that a start finds', async ([, damage], { folder, file, open }) => {
    await storedBefore(open, 30);
    damage(file);
    const { store, losses, failures } = await open();
    const event = eventOf();
    await storedAgain(store, event);
    expect(await idsIn(store)).toEqual([event.id]);
    expect(asideIn(folder)).toHaveLength(1);
    expect(losses).toEqual([expect.stringContaining(asideIn(folder)[0] ?? 'none')]);
    expect(failures).toEqual([]);
  });

  const REFUSES = "ON event BEGIN SELECT RAISE(ABORT, 'no'); END";
  const RUNNING: readonly [string, (directory: string, file: string) => void][] = [
    ['a table was dropped', (directory) => altered(directory, 'DROP TABLE record')],
    ['a trigger refuses what comes', (directory) => altered(directory, `CREATE TRIGGER no BEFORE INSERT ${REFUSES}`)],
  ];
  test.for(RUNNING)('%s while it runs', async ([, damage], { directory, folder, file, open }) => {
    const { store, losses } = await open({ maxBytes: 2 * MANY_BYTES });
    for (let times = 0; times < 300; times++) await store.add(eventOf(idOf(), someRecord(3000)), 0);
    damage(directory, file);
    for (let times = 0; times < 10; times++) await store.lease({ limit: 100, room: 1e6, leases: [] }).catch(() => {});
    await storedAgain(store);
    await eventually(() => store.summary().then(() => asideIn(folder).length), 1);
    expect(losses).toHaveLength(1);
    await storedAgain(store);
  });

  test('and after four of them nothing more is done: the disk is to blame', async ({ folder, file, open }) => {
    for (let times = 0; times <= 4; times++) {
      const { store, losses } = await open();
      expect(losses).toHaveLength(Math.min(times, 4) && 1);
      await store.close();
      writeFileSync(file, `text ${times}`);
    }
    const { store } = await open();
    await expect(store.summary()).rejects.toThrow('move them away');
    expect(asideIn(folder)).toHaveLength(4);
    for (const name of asideIn(folder)) rmSync(join(folder, name));
    await storedAgain(store);
  });
});

describe.concurrent('sets no intact file aside:', () => {
  const LOCK = /lock: .*: nothing is lost, and it is emptied/;
  const DAMAGED = 'PRAGMA journal_mode=DELETE; CREATE TABLE other(id TEXT)';
  const halved = (path: string) => {
    execute(path, DAMAGED);
    truncateSync(path, 3000);
  };
  const written = (content: string | Buffer) => (path: string) => writeFileSync(path, content, { mode: 0o600 });
  const BESIDE: readonly [string, name: string, (path: string) => void, problem: RegExp | null][] = [
    ['a lock of a short text', 'lock', written('123\n'), LOCK],
    ['a lock of zeros', 'lock', written(Buffer.alloc(4096)), LOCK],
    ['a lock of a long text', 'lock', written('x'.repeat(10_000)), LOCK],
    ['a lock that is half a database', 'lock', halved, LOCK],
    ['an empty log', 'queue.sqlite-wal', written(''), null],
    ['a log of text', 'queue.sqlite-wal', written('x'.repeat(10_000)), null],
    ['an index that is empty, and a log of zeros', 'queue.sqlite-shm', written(''), null],
    ['an index of text', 'queue.sqlite-shm', written('x'.repeat(40_000)), null],
  ];
  test.for(BESIDE)('%s', async ([, name, damage, problem], { folder, open }) => {
    const events = await storedBefore(open, 3);
    const path = join(folder, name);
    if (name.endsWith('-shm')) written(Buffer.alloc(100))(path.replace('-shm', '-wal'));
    damage(path);
    const { ino } = lstatSync(path);
    const { store, losses, failures } = await open();
    expect(await idsIn(store)).toEqual(events.map(({ id }) => id).sort());
    await storedAgain(store);
    expect([asideIn(folder), losses]).toEqual([[], []]);
    expect(failures).toEqual(problem === null ? [] : [expect.stringMatching(problem), null]);
    if (name !== 'lock') return;
    expect(failures[0]).toContain(path);
    expect(lstatSync(path)).toMatchObject({ ino, size: 0 }); // another file could be locked beside the first
    expect((await open()).failures).toEqual([expect.stringContaining('another process uses it')]);
  });

  test('a damaged lock that another process holds stays as it is', async ({ folder, open }) => {
    const events = await storedBefore(open, 1);
    const path = join(folder, 'lock');
    const holds = `const lock = new (require('node:sqlite').DatabaseSync)(process.argv[1]);
      lock.exec('PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE');
      console.log('held'); setInterval(() => lock, 1e6)`;
    const other = spawnTied(process.execPath, ['-e', holds, path], {});
    await once(other.stdout, 'data');
    writeFileSync(path, '123\n');
    const { store, failures, losses } = await open();
    await expect(store.summary()).rejects.toThrow('another process uses it');
    expect(readFileSync(path, 'utf8')).toBe('123\n');
    other.kill('SIGKILL');
    await once(other, 'exit');
    await expect(store.summary()).rejects.toThrow(LOCK);
    expect(await idsIn(store)).toEqual(events.map(({ id }) => id));
    expect(failures).toEqual([expect.stringContaining('another process'), expect.stringMatching(LOCK), null]);
    expect([asideIn(folder), losses]).toEqual([[], []]);
  });

  test('a log that is gone is told once, though the file cannot be opened', async ({ file, folder, open }) => {
    const { store } = await open();
    await store.add(eventOf(), 60_000);
    await killed(store, file);
    rmSync(`${file}-wal`);
    const other = new DatabaseSync(file);
    other.exec('PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE');
    written(Buffer.alloc(100))(`${file}-shm`);
    rmSync(`${file}-wal`, { force: true });
    const again = await open();
    for (let times = 0; times < 3; times++) await again.store.summary().catch(() => {});
    expect([again.losses.length, asideIn(folder)]).toEqual([1, []]);
    other.close();
  });
});

test('a file that is damaged at each call is set aside, and told, once a second', async ({ file, folder, open }) => {
  const { store, losses } = await open();
  const began = performance.now();
  for (let times = 0; times < 200; times++) {
    if (times % 2 === 0) rmSync(file, { force: true });
    else written(file);
    await store.summary().catch(() => {});
  }
  const most = 1 + Math.floor((performance.now() - began) / 1000);
  expect(losses.length).toBeGreaterThan(0);
  expect(losses.length).toBeLessThanOrEqual(most);
  expect(asideIn(folder).length).toBeLessThanOrEqual(most);

  function written(path: string) {
    rmSync(path, { force: true });
    writeFileSync(path, 'text', { mode: 0o600 });
  }
});

test.concurrent('whichever bit flips, what comes is stored', async ({ directory, file, folder, open }) => {
  const first = await open();
  const events = new Map(
    Array.from({ length: 40 }, () => eventOf(idOf(), someRecord(500))).map((event) => [event.id, event]),
  );
  for (const event of events.values()) await first.store.add(event, 60_000);
  await first.store.close();
  const copy = join(directory, 'copy');
  copyFileSync(file, copy);
  const size = lstatSync(file).size;
  for (let times = 0; times < 15; times++) {
    copyFileSync(copy, file);
    const at = randomInt(size);
    overwrite(file, at, Uint8Array.of((readFileSync(file)[at] ?? 0) ^ (1 << randomInt(8))));
    const { store, losses } = await open();
    const entries = await listed(store);
    await wake(store, [...events.keys()]);
    const leased = await leasedFrom(store);
    // A flip in the tree of the records may hide a page of them: they come empty, which is told, and the others are sent.
    const changed = leased.filter(({ id, record }) => {
      const was = events.get(id);
      return was === undefined || (record?.length !== 0 && !bytesOf(was).equals(record ?? Buffer.alloc(0)));
    });
    // A flip within a record is found by its MAC, and one within an id makes it another event.
    if (losses.length === 0) expect(leased.length, `bit at ${at}`).toBeGreaterThanOrEqual(entries.length - 1);
    expect(changed.length, `bit at ${at}`).toBeLessThanOrEqual(1);
    await storedAgain(store);
    await store.close();
    for (const name of asideIn(folder)) rmSync(join(folder, name)); // the fifth would stop it
  }
});

describe.concurrent('a start', () => {
  const GONE: readonly [string, (file: string) => void][] = [
    ['removed', rmSync],
    ['cut to nothing', (file) => truncateSync(file, 0)],
  ];
  for (const end of ['stop', 'kill'] as const) {
    test.for(GONE)(
      `tells that its file was %s after a ${end}, and begins a new one`,
      async ([, lose], { file, folder, open }) => {
        const { store } = await open();
        await store.add(eventOf(), 60_000);
        await (end === 'stop' ? store.close() : killed(store, file));
        lose(file);
        const again = await open();
        const event = eventOf();
        await storedAgain(again.store, event);
        expect(again.losses).toEqual([expect.stringContaining('it is empty, or was removed')]);
        expect(await idsIn(again.store)).toEqual([event.id]);
        // What the log holds may be all that there is.
        const logs = readdirSync(folder).filter((name) => name.startsWith('aside-') && name.endsWith('-wal'));
        expect(logs).toHaveLength(end === 'kill' ? 1 : 0);
        await again.store.close();
        expect((await open()).losses).toEqual([]);
      },
    );
  }

  test('tells that its log was removed after a kill, and keeps what came before', async ({ file, folder, open }) => {
    const before = await storedBefore(open, 1);
    const { store } = await open();
    await store.add(eventOf(), 60_000);
    await killed(store, file);
    rmSync(`${file}-wal`);
    const again = await open();
    expect(again.losses).toEqual([expect.stringContaining('-wal was removed')]);
    expect(await idsIn(again.store)).toEqual(before.map(({ id }) => id));
    expect(asideIn(folder)).toEqual([]);
  });

  test('with the file of a later version sets it aside', async ({ directory, folder, open }) => {
    const { store } = await open();
    await store.close();
    altered(directory, 'ALTER TABLE event ADD COLUMN later TEXT');
    const again = await open();
    await storedAgain(again.store);
    expect(again.losses).toEqual([expect.stringContaining('it holds no events of this version')]);
    expect(again.losses.join()).not.toContain('damage');
    expect(asideIn(folder)).toHaveLength(1);
  });
});

describe.concurrent('what others wrote to its tables:', () => {
  test('an event without a record is unreadable', async ({ directory, open }) => {
    const { store } = await open();
    const event = eventOf();
    await store.add(event, 0);
    altered(directory, 'DELETE FROM record');
    expect(await oneLeased(store)).toMatchObject({ id: event.id, record: Buffer.alloc(0) });
    expect(await readIn(store, event.id)).toBeNull();
  });

  test('no values where there must be some are no notes', async ({ directory, file, open }) => {
    const { store } = await open();
    const [stays, dropped] = [eventOf(), eventOf()];
    await store.add(stays, 60_000);
    await store.add(dropped, 60_000);
    await drop(store, dropped.id);
    const change = (from: string, to: string) =>
      execute(file, `PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = replace(sql, '${from}', '${to}')`);
    change('TEXT NOT NULL', 'TEXT DEFAULT ""');
    for (const table of ['event', 'dropped']) altered(directory, `UPDATE ${table} SET note = NULL`);
    change('TEXT DEFAULT ""', 'TEXT NOT NULL');
    const { soonest, dropped: told } = await store.summary();
    expect([soonest, told]).toMatchObject([[{ id: stays.id, note: null }], [{ id: dropped.id, note: null }]]);
    expect(await listed(store)).toMatchObject([{ id: stays.id, note: null }]);
  });

  test('without the sum of its bytes it is full', async ({ directory, open }) => {
    const { store } = await open();
    altered(directory, 'DELETE FROM total');
    expect(await store.add(eventOf(), 0)).toBe('full');
  });
});

test.concurrent('a log that lost its end keeps what came before', async ({ file, folder, open }) => {
  const { store } = await open();
  const [first, second] = [eventOf(), eventOf()];
  await store.add(first, 60_000);
  copyFileSync(file, `${file}.kept`);
  await store.add(second, 60_000);
  const log = readFileSync(`${file}-wal`);
  await store.close();
  copyFileSync(`${file}.kept`, file);
  writeFileSync(`${file}-wal`, log.subarray(0, log.length - 100), { mode: 0o600 });
  const again = await open();
  expect(await idsIn(again.store)).toEqual([first.id]);
  expect(asideIn(folder)).toEqual([]);
});

describe.concurrent('while it runs', () => {
  const SPOILT: readonly [string, (file: string, other: string) => void][] = [
    ['written over', (file) => overwrite(file, 0, Buffer.alloc(40_000, 'text'))],
    ['cut to nothing', (file) => truncateSync(file, 0)],
    ['deleted', (file) => rmSync(file)],
    [
      'copied over by another database',
      (file, other) => {
        execute(other, 'CREATE TABLE other(id TEXT)');
        writeFileSync(file, readFileSync(other));
      },
    ],
  ];
  test.for(SPOILT)(
    'a file of few events that is %s is told, though nothing comes',
    async ([, spoil], { directory, file, open }) => {
      const { store, losses } = await open();
      await store.summary();
      const [again = eventOf(), ended = again, ...others] = Array.from({ length: 4 }, () => eventOf());
      for (const event of [again, ended, ...others, again]) await store.add(event, 60_000);
      await end(store, ended.id, -1000);
      spoil(file, join(directory, 'other'));
      await store.summary().catch(() => {});
      await storedAgain(store);
      expect(losses).toHaveLength(1);
      expect(await store.losses()).toMatchObject([{ id: '', events: 3 }]);
      expect(await idsIn(store)).toHaveLength(1);
    },
  );

  test('a folder that is deleted or moved is told, and made again', async ({ directory, folder, open }) => {
    const { store, losses } = await open();
    await store.add(eventOf(), 0);
    renameSync(folder, join(directory, 'elsewhere'));
    const event = eventOf();
    expect(await store.add(event, 0)).toBe('stored');
    rmSync(folder, { recursive: true });
    expect(await store.add(event, 0)).toBe('stored');
    await eventually(() => idsIn(store).then((ids) => [ids, losses.length]), [[event.id], 2]); // one a second
  });

  test('an older file that is put in its place is told, and used from then on', async ({ directory, file, open }) => {
    const { store, losses } = await open();
    const [old, lost, fresh] = [eventOf(), eventOf(), eventOf()];
    await store.add(old, 60_000);
    const older = join(directory, 'older');
    altered(directory, `VACUUM INTO '${older}'`);
    chmodSync(older, 0o600);
    await store.add(lost, 60_000);
    renameSync(older, file);
    rmSync(`${file}-wal`);
    writeFileSync(`${older}-shm`, '', { mode: 0o600 });
    renameSync(`${older}-shm`, `${file}-shm`);
    expect(await store.add(fresh, 60_000)).toBe('stored');
    expect(losses).toHaveLength(1);
    rmSync(`${file}-wal`); // so it is opened again, and remembers what is not told yet
    expect(await store.losses()).toMatchObject([{ events: 1 }]);
    expect(await idsIn(store)).toEqual([old.id, fresh.id].sort());
  });

  const VIEW = 'CREATE VIEW event AS WITH RECURSIVE c(id) AS (SELECT 1 UNION ALL SELECT id FROM c) SELECT id FROM c';
  const MANY = `INSERT INTO event(id, due, stored, state, bytes, note) WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL
    SELECT n + 1 FROM n LIMIT 20000) SELECT printf('%049d', n), due, stored, state, bytes, note FROM n, event WHERE place = 1`;
  const USELESS: readonly [string, (copy: string, directory: string) => void, events?: number][] = [
    ['others may write to', (copy) => chmodSync(copy, 0o666)],
    ['fails once it was compared', (copy) => execute(copy, `${SCHEMA} rootpage = ${DUE} WHERE name = 'lost'`)],
    ['lacks more than are compared', (_, directory) => altered(directory, MANY), 20_002],
    ['has a view without end', (copy) => execute(copy, `DROP TABLE event; ${VIEW}`)],
  ];
  test.for(USELESS)('a copy in its place that %s saves none', async ([, spoil, all = 2], { directory, file, open }) => {
    const told: number[] = [];
    const { store } = await open({ onLoss: (_, events) => void told.push(events ?? 0) });
    await store.add(eventOf(), 60_000);
    const copy = join(directory, 'copy');
    altered(directory, `VACUUM INTO '${copy}'`);
    await store.add(eventOf(), 60_000);
    chmodSync(copy, 0o600);
    spoil(copy, directory);
    await store.summary();
    renameSync(copy, file);
    const sum = () => told.reduce((some, more) => some + more, 0);
    await eventually(() => store.summary().then(sum, sum), all); // one loss a second is told
  });

  test.for(['-wal', '-shm'])('a queue.sqlite%s that is deleted costs nothing', async (ending, { file, open }) => {
    const { store, losses } = await open();
    const events = [eventOf(), eventOf(), eventOf()];
    for (const event of events) {
      expect(await store.add(event, 60_000)).toBe('stored');
      rmSync(`${file}${ending}`);
    }
    expect(await idsIn(store)).toEqual(events.map(({ id }) => id).sort());
    expect(losses).toEqual([]);
    await store.close();
    expect(await idsIn((await open()).store)).toEqual(events.map(({ id }) => id).sort());
  });

  test('one that locks the file holds up each call for less than a second', async ({ file, open }) => {
    const { store, failures } = await open();
    await store.add(eventOf(), 0);
    const other = new DatabaseSync(file);
    other.exec('BEGIN IMMEDIATE');
    const calls = Array.from({ length: 30 }, () => store.add(eventOf(), 0));
    for (const call of calls) await expect(call).rejects.toThrow('another program keeps its file locked');
    expect(failures.at(-1)).toContain('another program');
    other.exec('COMMIT');
    expect(await store.add(eventOf(), 60_000)).toBe('stored');
    expect(failures.at(-1)).toBeNull();
    other.close();
  });

  test('a program that reads on and on holds up nothing', async ({ file, open }) => {
    const { store } = await open({ maxBytes: 1000 * MANY_BYTES });
    await store.add(eventOf(), 0);
    const other = new DatabaseSync(file);
    other.exec('BEGIN');
    other.prepare('SELECT count(*) FROM event').get();
    const record = someRecord(100_000);
    const stored = () => store.add(eventOf(idOf(), record), 60_000);
    for (let times = 0; times < 100; times++) expect(await stored()).toBe('stored');
    expect(lstatSync(`${file}-wal`).size).toBeGreaterThan(8 * MANY_BYTES);
    expect(await setOne(store, 'taken')).toBe(true);
    other.close();
    const sizeAfterOneMore = async () => (await stored()) && lstatSync(`${file}-wal`).size < 6 * MANY_BYTES;
    await eventually(sizeAfterOneMore, true);
  });

  test('what was delivered is neither in the file nor in its log', async ({ file, open }) => {
    const { store } = await open({ maxBytes: 64 * 1024 * 1024 });
    const text = 'personal data of somebody';
    const record = [Buffer.from('head'), Buffer.from(text.repeat(400))] as const;
    for (let times = 0; times < 200; times++) await store.add(eventOf(idOf(), record), 0);
    expect(readFileSync(`${file}-wal`).includes(text) || readFileSync(file).includes(text)).toBe(true);
    for (let left = 200; left > 0; ) {
      const leased = await leasedFrom(store, { room: 8 * 1024 * 1024 });
      left -= leased.length;
      await Promise.all(leased.map(({ lease }) => set(store, lease, 'taken')));
    }
    await eventually(() => lstatSync(`${file}-wal`).size, 0);
    expect(readFileSync(file).includes(text)).toBe(false);
    expect(lstatSync(file).size).toBeLessThan(100_000);
  });

  test('a thread whose memory is used up fails its calls, and another one takes its place', async ({ open }) => {
    const { store, failures, losses } = await open();
    const [event, leased] = [eventOf(), eventOf()];
    await store.add(leased, 0);
    const { lease } = await oneLeased(store);
    await store.add(event, 60_000);
    const much = Array.from({ length: 60_000 }, (_, at) => `${at}`.padEnd(1000));
    await expect(wake(store, much)).rejects.toThrow();
    const again = async () => {
      await store.summary().catch(() => {});
      return failures.join();
    };
    await eventually(async () => (await again()).includes('its thread has ended'), true);
    await storedAgain(store);
    expect(await readIn(store, event.id)).toEqual(bytesOf(event));
    expect(await leasedFrom(store)).toEqual([]);
    expect(await set(store, lease, 'taken')).toBe(true);
    expect(failures.at(-1)).toBeNull();
    expect(losses).toEqual([]);
  });
});

test.runIf(haveTools('sqlite3'))(
  'what was set aside is put back beside what came since, as the docs say',
  async ({ folder, file, open }) => {
    const events = await storedBefore(open, 20);
    const database = new DatabaseSync(file);
    const root = database.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'event_due'").get()?.rootpage;
    database.close();
    const bytes = readFileSync(file);
    bytes.fill(0xa5, 4096 * (Number(root) - 1), 4096 * Number(root));
    writeFileSync(file, bytes);
    const { store, losses } = await open();
    const since = [eventOf(), events[3] ?? eventOf()];
    for (const event of since) await storedAgain(store, event);
    expect(losses).toHaveLength(1);
    const page = read('docs/redelivery.md');
    const [, recipe = ''] = /```sh\n(cd [^`]*\.recover[^`]*)```/.exec(page) ?? [];
    const [aside = ''] = readdirSync(folder).filter((name) => name.startsWith('aside-'));
    const safe = join(folder, '..', 'safe');
    mkdirSync(safe);
    const script = recipe
      .replace('/var/lib/entrupy-signature-proxy/deferred', folder)
      .replace(/aside-queue\.sqlite-2\S+/, aside)
      .replace('/somewhere/safe', safe);
    execute(file, 'UPDATE lost SET events = 21'); // one more than can be read
    await expect(mustRun('sh', ['-c', script.replace(aside, 'unreadable')])).rejects.toThrow();
    expect(readdirSync(safe)).toEqual([]);
    await mustRun('sh', ['-c', script]);
    expect(readdirSync(safe)).toContain(aside);
    const all = new Map([...events, ...since].map((event) => [event.id, event]));
    expect(await idsIn(store)).toEqual([...all.keys()].sort());
    expect(await store.summary()).toMatchObject({ aside: [], lostLately: 1 });
    await wake(store, [...all.keys()]);
    const leased = await leasedFrom(store);
    expect(leased).toHaveLength(all.size);
    for (const { id, record } of leased) expect(record).toEqual(bytesOf(all.get(id) ?? eventOf()));
  },
);
