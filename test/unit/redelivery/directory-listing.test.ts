// What the directory tells of deliveries that come and go while it is listed.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as base, expect } from 'vitest';
import { openStore } from '../../../src/redelivery/open-store.ts';
import { LEAST_BYTES, type StoreOptions } from '../../../src/redelivery/store.ts';
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

interface Moments {
  /** A listing knows what was stored before it, and has read no name yet. */
  readonly onListing?: () => void;
  /** It has met a foreign file among the names. */
  readonly onForeign?: () => void;
}

function opened(directory: string, { onListing = () => {}, onForeign = () => {} }: Moments) {
  const options: StoreOptions = {
    ...{ store: directory, name: '', passwordFile: null, readPassword: async () => '' },
    ...{ mostBytes: () => 110_000, as: 'owner', onRemark: onForeign },
    // Read at that moment.
    get maxBytes() {
      onListing();
      return 2 * MANY * LEAST_BYTES;
    },
  };
  return openStore(options, () => {});
}

test('an equal event that is stored during a long first listing is no drop of the one that was removed', async ({
  directory,
  onTestFinished,
}) => {
  let onListing = (): void => {};
  const store = await opened(directory, { onListing: () => onListing() });
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

test('what is removed while its size is looked up is no drop later', async ({ directory, onTestFinished }) => {
  const remove = async (id: string) => {
    const claimed = await store.claim(id);
    if (claimed.kind === 'claimed') await store.remove(claimed.claim);
  };
  const removed = Promise.withResolvers<unknown>();
  // Once the names are read, each step of a removal comes after one of the listing.
  const onForeign = () => setImmediate(() => Promise.all(ids.map(remove)).then(removed.resolve, removed.reject));
  const store = await opened(directory, { onForeign });
  onTestFinished(() => store.close());
  const ids = Array.from({ length: 300 }, () => idOf());
  for (const id of ids) {
    await writeFile(join(directory, 'deferred', id), 'not looked at yet');
    await writeFile(join(directory, 'deferred', `${id}.progress`), 'makes the look longer');
  }
  await writeFile(join(directory, 'deferred', 'foreign'), '');
  const { dropped } = await store.list();
  await removed.promise;
  expect([...dropped, ...(await store.list()).dropped]).toEqual([]);
  expect((await store.list()).entries).toEqual([]);
});
