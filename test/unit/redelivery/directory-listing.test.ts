// What the directory tells of deliveries that come and go while it is listed.
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as base, expect } from 'vitest';
import { BoundedCalls } from '../../../src/redelivery/bounded-calls.ts';
import { FolderReader } from '../../../src/redelivery/stores/folder-reader.ts';
import { openStore } from '../../../src/redelivery/stores/open-store.ts';
import { LEAST_BYTES, type StoreOptions } from '../../../src/redelivery/stores/store.ts';
import { claimedRecord, idOf, someRecord } from '../../support/redelivery/store-contract.ts';

/** Enough for several reads of the folder, and for many lookups of sizes. */
const MANY = 1500;

const test = base.extend<{ readonly directory: string }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads which fixtures are wanted from the pattern
  directory: async ({}, use) => {
    const directory = await mkdtemp(join(tmpdir(), 'entrupy-listing-'));
    await use(directory);
    await rm(directory, { recursive: true });
  },
});

const opened = (directory: string, onListing = () => {}) => openStore(optionsOf(directory, onListing), () => {});

/** `onListing`: a listing knows what was stored before it, and has read no name yet. */
function optionsOf(directory: string, onListing: () => void): StoreOptions {
  return {
    ...{ store: directory, name: '', passwordFile: null, readPassword: async () => '' },
    ...{ mostBytes: () => 110_000, as: 'owner', onRemark: () => {} },
    // Read at that moment.
    get maxBytes() {
      onListing();
      return 2 * MANY * LEAST_BYTES;
    },
  };
}

test('an equal event that is stored during a long first listing is no drop of the one that was removed', async ({
  directory,
  onTestFinished,
}) => {
  let onListing = (): void => {};
  const store = await opened(directory, () => onListing());
  onTestFinished(() => store.close());
  const id = idOf();
  await store.add(id, someRecord(), 'nothing');
  const { claim } = await claimedRecord(store, id);
  for (let at = 0; at < MANY; at++) await writeFile(join(directory, 'deferred', idOf()), 'not looked at yet');
  const again = Promise.withResolvers<string>();
  onListing = () => {
    onListing = () => {};
    store
      .remove(claim)
      .then(() => store.add(id, someRecord(), 'nothing'))
      .then(again.resolve, again.reject);
  };
  const { dropped } = await store.list();
  expect(await again.promise).toBe('stored');
  expect(dropped).toEqual([]);
  const next = await store.list();
  expect(next.dropped).toEqual([]);
  expect(next.entries).toHaveLength(MANY + 1);
});

test('what is removed between two looks at it is gone, and not one that was never tried', async ({
  directory,
  onTestFinished,
}) => {
  const store = await opened(directory);
  onTestFinished(() => store.close());
  const id = idOf();
  await store.add(id, someRecord(), 'nothing');
  await store.release((await claimedRecord(store, id)).claim, Buffer.from('progress'));
  const { claim } = await claimedRecord(store, id);
  const calls = new BoundedCalls('the file system', () => 2);
  const run = calls.run.bind(calls);
  let looks = 0;
  calls.run = async (job, size) => {
    if (looks++ === 1) await store.remove(claim);
    return await run(job, size);
  };
  const folder = join(directory, 'deferred');
  const reader = new FolderReader(
    folder,
    calls,
    optionsOf(directory, () => {}),
  );
  expect(await reader.entry(id, new Set([id, `${id}.progress`]))).toBe('gone');
  expect(await readdir(folder)).toEqual(['lock']);
});

test('what a listing has no room for is no drop, and its progress stays', async ({ directory }) => {
  const options = { ...optionsOf(directory, () => {}), maxBytes: LEAST_BYTES }; // of some thousand names
  const folder = join(directory, 'deferred');
  const first = await openStore(options, () => {});
  await first.list();
  await first.close();
  const ids = Array.from({ length: 2 * MANY }, () => idOf());
  for (const id of ids) {
    await writeFile(join(folder, id), 'not looked at yet');
    await writeFile(join(folder, `${id}.progress`), 'not looked at yet');
  }
  const store = await openStore(options, () => {});
  expect((await store.list()).dropped).toEqual([]);
  expect((await store.list()).dropped).toEqual([]);
  await store.close();
  expect((await readdir(folder)).length).toBe(2 * ids.length + 1);
});
