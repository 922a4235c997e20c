// The store in a directory while the file system does not answer: nothing waits for longer than a second, and what comes
// through late is neither lost nor told as something else.
import { mkdtemp, readdir, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as base, expect } from 'vitest';
import { BoundedCalls } from '../../../src/redelivery/bounded-calls.ts';
import { DeferredFolder } from '../../../src/redelivery/stores/deferred-folder.ts';
import { DirectoryLock } from '../../../src/redelivery/stores/directory-lock.ts';
import { FolderReader } from '../../../src/redelivery/stores/folder-reader.ts';
import { openStore } from '../../../src/redelivery/stores/open-store.ts';
import type { DeferredStore, StoreOptions } from '../../../src/redelivery/stores/store.ts';
import { hangFiles } from '../../support/machine/hung-files.ts';
import { eventually } from '../../support/proxy/proxied.ts';
import { claimedRecord, idOf, MANY_BYTES, someRecord } from '../../support/redelivery/store-contract.ts';

interface Fixtures {
  readonly directory: string;
  readonly folder: string;
  readonly store: DeferredStore;
  /** Returns what ends it, which the end of the test does at the latest. */
  readonly hang: () => () => Promise<void>;
}

const optionsFor = (directory: string): StoreOptions => ({
  ...{ store: join(directory, 'store'), name: '', passwordFile: null, readPassword: async () => '' },
  ...{ maxBytes: MANY_BYTES, mostBytes: () => 110_000, as: 'owner', onRemark: () => {} },
});

const test = base.extend<Fixtures>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads which fixtures are wanted from the pattern
  directory: async ({}, use) => {
    const directory = await mkdtemp(join(tmpdir(), 'entrupy-hangs-'));
    await use(directory);
    await rm(directory, { recursive: true });
  },
  folder: ({ directory }, use) => use(join(directory, 'store', 'deferred')),
  store: async ({ directory }, use) => {
    const store = await openStore(optionsFor(directory), () => {});
    await use(store);
    await store.close();
  },
  // After the store, so that its end finds files that answer.
  hang: async ({ directory, store: _ }, use) => {
    const ends: (() => Promise<void>)[] = [];
    await use(() => {
      const end = hangFiles(directory);
      ends.push(end);
      return end;
    });
    for (const end of ends) await end();
  },
});

test('every call rejects in a second, and a close waits for nothing', async ({ store, hang }) => {
  const id = idOf();
  await store.add(id, someRecord(), 'nothing');
  const end = hang();
  const calls = [store.list(), store.claim(id), store.add(idOf(), someRecord(), 'nothing'), store.read(id)];
  for (const each of await Promise.allSettled(calls)) expect(each.status).toBe('rejected');
  await store.close();
  await end();
});

test('a listing that was begun rejects too', async ({ directory, folder, store: _, hang }) => {
  const calls = new BoundedCalls('the file system', () => 2);
  const run = calls.run.bind(calls);
  let begun = 0;
  calls.run = (job, size) => {
    begun++;
    if (begun === 2) hang(); // the folder is open, and is being read
    return run(job, size);
  };
  const options: StoreOptions = { ...optionsFor(directory), as: 'visitor' };
  await expect(new FolderReader(folder, calls, options).names()).rejects.toThrow('did not answer');
  expect(begun).toBe(2);
});

test('a removal that comes through late is no drop', async ({ store, folder, hang }) => {
  const [id, other] = [idOf(), idOf()];
  await store.add(id, someRecord(), 'nothing');
  await store.add(other, someRecord(), 'nothing');
  const { claim } = await claimedRecord(store, id);
  const end = hang();
  await expect(store.remove(claim)).rejects.toThrow('did not answer');
  // It would remove what is stored under the id meanwhile.
  await expect(store.add(id, someRecord(), 'nothing')).rejects.toThrow('has not answered yet');
  await end();
  await eventually(async () => (await readdir(folder)).sort(), [other, 'lock'].sort());
  expect(await store.list()).toMatchObject({ entries: [{ id: other }], dropped: [] });
  expect(await store.claim(id)).toEqual({ kind: 'removed' });
});

/** What this process has open in a folder, or the folder itself. */
async function openIn(path: string): Promise<string[]> {
  const links = (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''));
  return (await Promise.all(links)).filter((link) => link.startsWith(path));
}

// Node ends the process when a file is collected as garbage that nobody has closed.
test.runIf(process.platform === 'linux').for([1, 2, 3, 4])(
  'a folder whose opening hangs at its call %i leaves nothing open',
  async (at, { directory, onTestFinished }) => {
    const folder = join(directory, 'hung');
    const calls = new BoundedCalls('the file system', () => 2);
    const run = calls.run.bind(calls);
    const end = Promise.withResolvers<() => Promise<void>>();
    let begun = 0;
    calls.run = (job, size) => {
      begun++;
      if (begun === at) end.resolve(hangFiles(directory));
      return run(job, size);
    };
    const opening = DeferredFolder.open(folder, new DirectoryLock(join(folder, 'lock'), calls), calls);
    onTestFinished(async () => (await end.promise)());
    await expect(opening).rejects.toThrow('did not answer');
    await (await end.promise)();
    await eventually(() => openIn(folder), []);
  },
);
