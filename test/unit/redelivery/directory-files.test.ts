// What only the directory promises: modes, links, leftovers of a crash, foreign files, and one process at a time.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmod,
  chown,
  link,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openStore } from '../../../src/redelivery/stores/open-store.ts';
import type { DeferredStore, StoreOptions } from '../../../src/redelivery/stores/store.ts';
import { eventually } from '../../support/proxy/proxied.ts';
import {
  claimedRecord,
  claimOf,
  idOf,
  MANY_BYTES,
  someRecord,
  UNFIT,
} from '../../support/redelivery/store-contract.ts';

let directory: string;
let folder: string;
let remarks: string[];
let failures: (string | null)[];
const opened: DeferredStore[] = [];
const children: ChildProcess[] = [];

async function open(options: Partial<StoreOptions> = {}): Promise<DeferredStore> {
  const store = await openStore(
    {
      ...{ store: directory, name: '', passwordFile: null, readPassword: async () => '', maxBytes: MANY_BYTES },
      mostBytes: () => 110_000,
      as: 'owner',
      onRemark: (message, { file }) => remarks.push(`${message}: ${file}`),
      ...options,
    },
    (failure) => failures.push(failure),
  );
  opened.push(store);
  return store;
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'entrupy-files-'));
  folder = join(directory, 'deferred');
  [remarks, failures] = [[], []];
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const store of opened.splice(0)) await store.close();
  await rm(directory, { recursive: true });
});

const NOBODY = 65_534;

/** Runs a job without root's rights, which open every file. */
async function unprivileged<T>(job: () => Promise<T>): Promise<T> {
  if (process.geteuid?.() !== 0) return await job();
  for (const path of [directory, folder]) await chown(path, NOBODY, NOBODY);
  process.seteuid?.(NOBODY);
  try {
    return await job();
  } finally {
    process.seteuid?.(0);
  }
}

const FOREIGN = 'a file is not one of ours, and is left alone';
const HALF = 'a file that a crash left half-written was removed';

test('the folder and its files are for its user alone', async () => {
  const store = await open();
  const id = idOf();
  await store.add(id, someRecord(), 'nothing');
  await claimedRecord(store, id);
  await store.release(claimOf(store, id), Buffer.from('progress'));
  expect((await lstat(folder)).mode & 0o777).toBe(0o700);
  const names = await readdir(folder);
  expect(names.sort()).toEqual([id, `${id}.progress`, 'lock'].sort());
  for (const name of names) expect((await lstat(join(folder, name))).mode & 0o777, name).toBe(0o600);
});

test('what a crash left half-written is removed and told at the start; whole records stay', async () => {
  const store = await open();
  const [whole, half] = [idOf(), idOf()];
  await store.add(whole, someRecord(), 'nothing');
  await store.close();
  opened.pop();
  for (const name of [`${half}.new`, `${half}.progress`, `${whole}.progress.new`]) {
    await writeFile(join(folder, name), 'half');
  }
  const next = await open();
  expect(remarks.sort()).toEqual(
    [`${HALF}: ${half}.new`, `${HALF}: ${half}.progress`, `${HALF}: ${whole}.progress.new`].sort(),
  );
  expect((await readdir(folder)).sort()).toEqual([whole, 'lock'].sort());
  expect((await next.list()).entries.map(({ id }) => id)).toEqual([whole]);
});

test('takes deliveries before it knows the sizes of what a start found, which count 4 KiB until they are listed', async () => {
  await mkdir(folder, { mode: 0o700 });
  await writeFile(join(folder, idOf()), Buffer.alloc(60_000));
  const store = await open({ maxBytes: 65_536 });
  expect(await store.add(idOf(), someRecord(10_000), 'nothing')).toBe('stored');
  expect((await store.list()).entries.map(({ bytes }) => bytes).sort()).toEqual([10_200, 59_991]);
  expect(await store.add(idOf(), someRecord(), 'nothing')).toBe('full');
});

test('what is dropped before it was listed once is told', async () => {
  const gone = idOf();
  await mkdir(folder, { mode: 0o700 });
  await writeFile(join(folder, gone), 'unfit');
  const store = await open();
  await rm(join(folder, gone));
  expect(await store.list()).toEqual({ entries: [], dropped: [gone] });
  expect(await store.list()).toEqual({ entries: [], dropped: [] });
});

test('foreign files and folders are left alone, and told once', async () => {
  await mkdir(folder, { mode: 0o700 });
  await writeFile(join(folder, 'notes.txt'), 'mine');
  await mkdir(join(folder, idOf('a folder')));
  const store = await open();
  for (let times = 0; times < 3; times++) expect(await store.list()).toEqual({ entries: [], dropped: [] });
  expect(remarks.sort()).toEqual([`${FOREIGN}: ${idOf('a folder')}`, `${FOREIGN}: notes.txt`].sort());
  expect(await readdir(folder)).toContain('notes.txt');
});

describe('a record that', () => {
  let store: DeferredStore;
  let id: string;
  let file: string;
  beforeEach(async () => {
    store = await open();
    id = idOf();
    file = join(folder, id);
    await store.add(id, someRecord(), 'nothing');
  });

  test('is a link to another file is not read', async () => {
    await rename(file, join(directory, 'elsewhere'));
    await symlink(join(directory, 'elsewhere'), file);
    expect(await store.claim(id)).toMatchObject(UNFIT);
    expect(await store.read(id)).toBeNull();
    await store.close();
    opened.pop();
    expect((await (await open()).list()).entries).toEqual([]);
  });

  test('has a second name is not read', async () => {
    await link(file, join(directory, 'elsewhere'));
    expect(await store.claim(id)).toMatchObject(UNFIT);
  });

  test('is huge is measured, not read', async () => {
    await truncate(file, 2 ** 40);
    expect(await store.claim(id)).toMatchObject(UNFIT);
  });

  test('is cut is unfit, and leaves the others alone', async () => {
    await truncate(file, 20);
    expect(await store.claim(id)).toMatchObject(UNFIT);
    const other = idOf();
    await store.add(other, someRecord(), 'nothing');
    expect((await claimedRecord(store, other)).progress).toBeNull();
  });

  test('its user may not open is unfit, and goes with its claim as any other', async () => {
    await chmod(file, 0);
    const claimed = await unprivileged(() => store.claim(id));
    expect(claimed).toMatchObject(UNFIT);
    if (claimed.kind === 'claimed') expect(await unprivileged(() => store.remove(claimed.claim))).toBe(true);
    expect(await readdir(folder)).toEqual(['lock']);
  });

  test('has progress that is a link: it is not read, so nothing verifies it', async () => {
    await writeFile(join(directory, 'elsewhere'), 'progress');
    await symlink(join(directory, 'elsewhere'), `${file}.progress`);
    expect((await claimedRecord(store, id)).progress?.length).toBe(0);
  });
});

test('a folder that is a link, belongs to all, or is a file is refused', async () => {
  await mkdir(join(directory, 'elsewhere'), { mode: 0o700 });
  await symlink(join(directory, 'elsewhere'), folder);
  const store = await open();
  await expect(store.add(idOf(), someRecord(), 'nothing')).rejects.toThrow('it is a link or a file');
  await store.close();
  opened.pop();
  await rm(folder);
  await mkdir(folder, { mode: 0o755 });
  await expect((await open()).list()).rejects.toThrow('others may use it; allowed is mode 0700');
  expect(failures.at(-1)).toContain(folder);
});

test.runIf(process.platform === 'linux')('a place where nothing can be made is told as such', async () => {
  // As in a bind mount whose source was removed: it is there, and mkdir says ENOENT. Node's recursive one then never ends.
  const store = await open({ store: '/proc/self/store' });
  await expect(store.list()).rejects.toThrow('ENOENT');
});

test('a disk that can still be read, but not written, works again only once it can be written', async () => {
  const store = await open();
  const id = idOf();
  await store.add(id, someRecord(), 'nothing');
  // No file can be written there while a folder has its name.
  const names = [`${id}.progress.new`, `${'0'.repeat(16)}-${'0'.repeat(32)}.new`].map((name) => join(folder, name));
  for (const name of names) await mkdir(name);
  await claimedRecord(store, id);
  await expect(store.release(claimOf(store, id), Buffer.from('progress'))).rejects.toThrow();
  await claimedRecord(store, id);
  expect((await store.list()).entries).toHaveLength(1);
  expect(failures.at(-1)).not.toBeNull();
  for (const name of names) await rm(name, { recursive: true });
  expect((await store.list()).entries).toHaveLength(1);
  expect(failures.at(-1)).toBeNull();
  expect((await readdir(folder)).sort()).toEqual([id, 'lock'].sort());
});

test('a lock that is not empty is not ours', async () => {
  await mkdir(folder, { mode: 0o700 });
  await writeFile(join(folder, 'lock'), 'a database');
  await expect((await open()).list()).rejects.toThrow('is not an empty regular file');
});

test('a folder that vanishes is a failure, and comes back; what it held was dropped', async () => {
  const store = await open();
  const id = idOf();
  await store.add(id, someRecord(), 'nothing');
  await rm(folder, { recursive: true });
  await expect(store.add(idOf(), someRecord(), 'nothing')).rejects.toThrow();
  await expect(store.list()).rejects.toThrow();
  await eventually(() => store.list().catch(() => null), { entries: [], dropped: [id] });
  expect(await store.add(idOf(), someRecord(), 'nothing')).toBe('stored');
  expect(failures.at(-1)).toBeNull();
});

describe('one process', () => {
  /** Another process that locks the folder, and tells so. */
  async function holder() {
    const code = `import { openStore } from '${new URL('../../../src/redelivery/stores/open-store.ts', import.meta.url)}';
      await openStore({ store: ${JSON.stringify(directory)}, name: '', maxBytes: 65536, as: 'owner', onRemark() {},
        mostBytes: () => 1 }, (failure) => console.log(failure ?? 'holds'));
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    const [said] = (await once(child.stdout, 'data')) as [Buffer];
    return { child, said: said.toString().trim() };
  }

  test('alone uses it: a second one stores nothing, tells, and has it once the first is killed', async () => {
    const { child, said } = await holder();
    expect(said).toBe('holds');
    const store = await open();
    await expect(store.add(idOf(), someRecord(), 'nothing')).rejects.toThrow('another process uses it');
    expect(failures).toEqual([`${folder}: another process uses it`]);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await eventually(() => store.add(idOf(), someRecord(), 'nothing').catch(() => 'not yet'), 'stored');
    const next = await holder();
    expect(next.said).toContain('another process uses it');
    next.child.kill('SIGKILL');
  });

  test('gives it up once its lock is removed, and another process has taken it', async () => {
    const store = await open();
    await rm(join(folder, 'lock'));
    const { said } = await holder();
    expect(said).toBe('holds');
    await expect(store.add(idOf(), someRecord(), 'nothing')).rejects.toThrow('it was removed or replaced');
    await expect(store.list()).rejects.toThrow();
    expect(failures.at(-1)).not.toBeNull();
  });

  test('claims nothing once its lock is removed', async () => {
    const store = await open();
    const id = idOf();
    await store.add(id, someRecord(), 'nothing');
    await rm(join(folder, 'lock'));
    await expect(store.claim(id)).rejects.toThrow('it was removed or replaced');
    await eventually(async () => (await store.claim(id).catch(() => null))?.kind, 'claimed');
  });

  test('keeps it while a command lists, reads and drops beside it', async () => {
    const store = await open();
    const id = idOf();
    await store.add(id, someRecord(), 'nothing');
    const visitor = await open({ as: 'visitor' });
    expect((await visitor.list()).entries).toHaveLength(1);
    await visitor.close();
    opened.pop();
    const { child, said } = await holder();
    expect(said).toContain('another process uses it');
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
});

test('a file system that hangs holds two calls, and each add fails in a second', async () => {
  const { BoundedCalls } = await import('../../../src/redelivery/bounded-calls.ts');
  const calls = new BoundedCalls('the file system', () => 2);
  const begun: number[] = [];
  const hung = Promise.withResolvers<void>();
  const hang = (at: number) => async () => {
    begun.push(at);
    await hung.promise;
  };
  const ended = await Promise.allSettled([1, 2, 3, 4].map((at) => calls.run(hang(at))));
  expect(ended.map(({ status }) => status)).toEqual(Array(4).fill('rejected'));
  expect(begun).toEqual([1, 2]);
  await expect(calls.run(async () => 'next')).rejects.toThrow('did not answer');
  hung.resolve();
  await eventually(() => calls.run(async () => 'again').catch(() => null), 'again');
});
