// What every store of deferred deliveries promises (src/redelivery/stores/store.ts), as tests that a store's own file calls with
// the means to make one. Whatever only one kind of store can show is in its own file.
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type Claim,
  type DeferredStore,
  LEAST_BYTES,
  MAX_OF_ONE_BODY,
  type StoredBytes,
  type StoreOptions,
} from '../../../src/redelivery/stores/store.ts';

/** One place for deliveries, which outlives the stores that are opened on it. */
export interface StorePlace {
  /** Opens a store, which is ready once it is returned. */
  open(options?: Partial<StoreOptions>): Promise<DeferredStore>;
  /** Lets every lease of the open stores end, as if their processes stood still. Null: the store has none. */
  readonly endLeases: (() => Promise<void>) | null;
  /** True if several processes may have it open. */
  readonly shared: boolean;
  clean(): Promise<void>;
}

/** A claim on what is not given. */
export const UNFIT = { kind: 'claimed', record: 'unfit', progress: null };

export const MANY_BYTES = 1024 * 1024;

let serial = 0;

/** An id of its own; equal `body` texts give ids of one body. */
export function idOf(event: string = `event ${serial++}`, body: string = event): string {
  const hex = (text: string, length: number) => Buffer.from(text.padStart(length)).toString('hex').slice(-length);
  return `${hex(body, 16)}-${hex(event, 32)}`;
}

/** Bytes that no text survives. */
export const someRecord = (length = 100): StoredBytes => ({ head: randomBytes(200), body: randomBytes(length) });

export async function claimedRecord(store: DeferredStore, id: string) {
  const claimed = await store.claim(id);
  if (claimed.kind !== 'claimed') throw new Error(`the claim is ${claimed.kind}`);
  const { claim, record, progress } = claimed;
  if (record === 'unfit') throw new Error('it is unfit');
  claims.set(store, new Map(claims.get(store)).set(id, claim));
  return { claim, record, progress };
}

/** The last claim that `claimedRecord` made of it; one that nobody has made if there is none. */
export const claimOf = (store: DeferredStore, id: string): Claim => claims.get(store)?.get(id) ?? { id, token: 'none' };

const claims = new WeakMap<DeferredStore, ReadonlyMap<string, Claim>>();

const idsIn = async (store: DeferredStore) => (await store.list()).entries.map(({ id }) => id).sort();

export function storeContract(name: string, makePlace: () => Promise<StorePlace>): void {
  describe(`${name}, as every store`, () => {
    let place: StorePlace;
    let store: DeferredStore;

    beforeEach(async () => {
      place = await makePlace();
      store = await place.open();
    });

    afterEach(async () => {
      await store.close();
      await place.clean();
    });

    async function reopened(options: Partial<StoreOptions> = {}): Promise<DeferredStore> {
      await store.close();
      store = await place.open(options);
      return store;
    }

    test('gives back the bytes that it was given, whatever they are', async () => {
      for (const length of [0, 1, 100, 70_000]) {
        const id = idOf();
        const record = someRecord(length);
        expect(await store.add(id, record, 'nothing')).toBe('stored');
        const claimed = await claimedRecord(store, id);
        expect(claimed.record.head.equals(record.head)).toBe(true);
        expect(claimed.record.body.equals(record.body)).toBe(true);
        expect(claimed.progress).toBeNull();
        expect(await store.read(id)).toEqual({ head: record.head, body: record.body });
      }
    });

    test('keeps what it has across a restart, with its progress', async () => {
      const [first, second] = [idOf(), idOf()];
      const record = someRecord();
      await store.add(first, record, 'nothing');
      await store.add(second, someRecord(10_000), 'nothing');
      await claimedRecord(store, first);
      await store.release(claimOf(store, first), Buffer.from('progress'));
      await reopened();
      const { entries, dropped } = await store.list();
      expect(dropped).toEqual([]);
      expect(entries.map(({ id }) => id).sort()).toEqual([first, second].sort());
      const listed = entries.find(({ id }) => id === first);
      expect(listed?.progress?.toString()).toBe('progress');
      expect(listed?.bytes).toBe(LEAST_BYTES);
      expect(Math.abs((listed?.at ?? 0) - Date.now())).toBeLessThan(600_000);
      expect(entries.find(({ id }) => id === second)?.bytes).toBe(10_200);
      const claimed = await claimedRecord(store, first);
      expect(claimed.record.body.equals(record.body)).toBe(true);
      expect(claimed.progress?.toString()).toBe('progress');
    });

    test('leaves what it has under an id alone, unless told to replace it', async () => {
      const id = idOf();
      const [old, fresh] = [someRecord(), someRecord()];
      await store.add(id, old, 'nothing');
      expect(await store.add(id, fresh, 'nothing')).toBe('known');
      await claimedRecord(store, id);
      await store.release(claimOf(store, id), Buffer.from('progress'));
      expect((await claimedRecord(store, id)).record.body.equals(old.body)).toBe(true);
      await store.release(claimOf(store, id), null);
      expect(await store.add(id, fresh, 'existing')).toBe('stored');
      const claimed = await claimedRecord(store, id);
      expect(claimed.record.body.equals(fresh.body)).toBe(true);
      expect(claimed.progress).toBeNull();
      expect(await idsIn(store)).toEqual([id]);
    });

    test('a claim on what was replaced removes nothing', async () => {
      const id = idOf();
      await store.add(id, someRecord(), 'nothing');
      await claimedRecord(store, id);
      await store.add(id, someRecord(), 'existing');
      expect(await store.remove(claimOf(store, id))).toBe(false);
      expect(await idsIn(store)).toEqual([id]);
    });

    test('a claim on what was replaced is none on what replaces it, also once that is claimed', async () => {
      const id = idOf();
      await store.add(id, someRecord(), 'nothing');
      const { claim: old } = await claimedRecord(store, id);
      await store.add(id, someRecord(), 'existing');
      const { claim } = await claimedRecord(store, id);
      await store.release(old, Buffer.from('of the old one'));
      expect(await store.remove(old)).toBe(false);
      await store.release(claim, null);
      expect((await claimedRecord(store, id)).progress).toBeNull();
      expect(await store.remove(claim)).toBe(false);
      expect(await store.remove(claimOf(store, id))).toBe(true);
      expect(await idsIn(store)).toEqual([]);
    });

    test('what replaces a delivery outlives the removal of the old one, whichever comes first', async () => {
      for (let times = 0; times < 30; times++) {
        const id = idOf();
        const fresh = someRecord();
        await store.add(id, someRecord(), 'nothing');
        await claimedRecord(store, id);
        const remove = () => store.remove(claimOf(store, id));
        const add = () => store.add(id, fresh, 'existing');
        const both = times % 2 === 0 ? [remove(), add()] : [add(), remove()];
        expect(await Promise.all(both)).toContain('stored');
        expect((await store.read(id))?.body.equals(fresh.body)).toBe(true);
      }
    });

    test('one of many adds of one id is stored', async () => {
      const id = idOf();
      const added = await Promise.all(Array.from({ length: 20 }, () => store.add(id, someRecord(), 'nothing')));
      expect(added.filter((each) => each === 'stored')).toHaveLength(1);
      expect(added.filter((each) => each === 'known')).toHaveLength(19);
    });

    test('release without progress keeps the last', async () => {
      const id = idOf();
      await store.add(id, someRecord(), 'nothing');
      await claimedRecord(store, id);
      await store.release(claimOf(store, id), Buffer.from('one'));
      await claimedRecord(store, id);
      await store.release(claimOf(store, id), null);
      expect((await claimedRecord(store, id)).progress?.toString()).toBe('one');
    });

    test('what was removed is gone for good, and is no drop', async () => {
      const [gone, stays] = [idOf(), idOf()];
      await store.add(gone, someRecord(), 'nothing');
      await store.add(stays, someRecord(), 'nothing');
      await claimedRecord(store, gone);
      expect(await store.remove(claimOf(store, gone))).toBe(true);
      expect(await store.list()).toMatchObject({ entries: [{ id: stays }], dropped: [] });
      expect(['removed', 'dropped']).toContain((await store.claim(gone)).kind);
      await reopened();
      expect(await idsIn(store)).toEqual([stays]);
    });

    test('what is stored while it is listed is no drop', async () => {
      const dropped: string[] = [];
      let adding = true;
      const listing = (async () => {
        while (adding) dropped.push(...(await store.list()).dropped);
      })();
      const add = async () => {
        for (let times = 0; times < 10; times++)
          expect(await store.add(idOf(), someRecord(), 'nothing')).toBe('stored');
      };
      await Promise.all(Array.from({ length: 20 }, add)).finally(() => {
        adding = false;
      });
      await listing;
      expect(dropped).toEqual([]);
      expect((await store.list()).entries).toHaveLength(200);
    });

    test('what a person drops is told once', async () => {
      const [first, second] = [idOf(), idOf()];
      await store.add(first, someRecord(), 'nothing');
      await store.add(second, someRecord(), 'nothing');
      const visitor = await place.open({ as: 'visitor' });
      expect(await idsIn(visitor)).toEqual([first, second].sort());
      expect(await visitor.drop(first)).toBe(true);
      expect(await visitor.drop(first)).toBe(false);
      expect(await visitor.drop(second)).toBe(true);
      await visitor.close();
      expect(await store.claim(second)).toEqual({ kind: 'dropped' });
      expect((await store.list()).dropped).toEqual([first]);
      expect(await store.list()).toEqual({ entries: [], dropped: [] });
    });

    test('maxBytes bounds it, with 4 KiB an event at least, and what leaves makes room', async () => {
      await reopened({ maxBytes: 4 * LEAST_BYTES });
      const ids = [idOf(), idOf(), idOf()];
      for (const id of ids) expect(await store.add(id, someRecord(1), 'nothing')).toBe('stored');
      expect(await store.add(idOf(), someRecord(2 * LEAST_BYTES), 'nothing')).toBe('full');
      const last = idOf();
      expect(await store.add(last, someRecord(1), 'nothing')).toBe('stored');
      expect(await store.add(idOf(), someRecord(1), 'nothing')).toBe('full');
      expect(await store.add(last, someRecord(1), 'nothing')).toBe('known');
      await claimedRecord(store, last);
      await store.remove(claimOf(store, last));
      expect(await store.add(last, someRecord(1), 'nothing')).toBe('stored');
      await reopened({ maxBytes: 4 * LEAST_BYTES });
      await store.list();
      expect(await store.add(idOf(), someRecord(1), 'nothing')).toBe('full');
    });

    test('what is replaced is not counted twice', async () => {
      await reopened({ maxBytes: 2 * LEAST_BYTES });
      const id = idOf();
      await store.add(id, someRecord(1), 'nothing');
      for (let times = 0; times < 5; times++) expect(await store.add(id, someRecord(1), 'existing')).toBe('stored');
      expect(await store.add(idOf(), someRecord(1), 'nothing')).toBe('stored');
      expect(await store.add(idOf(), someRecord(1), 'nothing')).toBe('full');
    });

    test('at most 16 of one body are stored, also after a restart', async () => {
      const all = Array.from({ length: MAX_OF_ONE_BODY }, (_, at) => idOf(`query ${at}`, 'body'));
      for (const id of all) expect(await store.add(id, someRecord(), 'nothing')).toBe('stored');
      expect(await store.add(idOf('one more', 'body'), someRecord(), 'nothing')).toBe('crowded');
      expect(await store.add(idOf('one more', 'other'), someRecord(), 'nothing')).toBe('stored');
      await reopened();
      expect(await store.add(idOf('one more', 'body'), someRecord(), 'nothing')).toBe('crowded');
      await claimedRecord(store, all[0] ?? '');
      await store.remove(claimOf(store, all[0] ?? ''));
      expect(await store.add(idOf('one more', 'body'), someRecord(), 'nothing')).toBe('stored');
    });

    test('what is larger than the limits is not read, and stays', async () => {
      const id = idOf();
      await store.add(id, someRecord(5000), 'nothing');
      await reopened({ mostBytes: () => 5199 });
      await store.list();
      expect(await store.claim(id)).toMatchObject(UNFIT);
      expect(await store.read(id)).toBeNull();
      expect(await idsIn(store)).toEqual([id]);
    });

    test('what is not read is removed by its claim as anything else, which is no drop', async () => {
      const [unfit, fit] = [idOf(), idOf()];
      await store.add(unfit, someRecord(5000), 'nothing');
      await store.add(fit, someRecord(10), 'nothing');
      await reopened({ mostBytes: () => 5199 });
      await store.list();
      const claimed = await store.claim(unfit);
      if (claimed.kind !== 'claimed') throw new Error(`the claim is ${claimed.kind}`);
      expect(await store.remove(claimed.claim)).toBe(true);
      expect(await store.remove(claimed.claim)).toBe(false);
      expect(await store.list()).toMatchObject({ entries: [{ id: fit }], dropped: [] });
    });

    test('ids that nobody stored are neither claimed, read nor dropped', async () => {
      expect((await store.claim(idOf())).kind).not.toBe('claimed');
      expect(await store.read(idOf())).toBeNull();
      expect(await store.drop(idOf())).toBe(false);
      expect(await store.remove(claimOf(store, idOf()))).toBe(false);
      await store.release(claimOf(store, idOf()), Buffer.from('progress'));
      expect(await store.list()).toEqual({ entries: [], dropped: [] });
    });

    test('claims of many at once each get their own bytes', async () => {
      const stored = new Map(Array.from({ length: 50 }, () => [idOf(), someRecord(2000)] as const));
      await Promise.all([...stored].map(([id, record]) => store.add(id, record, 'nothing')));
      await Promise.all(
        [...stored].map(async ([id, { body }]) => {
          expect((await claimedRecord(store, id)).record.body.equals(body)).toBe(true);
          expect(await store.remove(claimOf(store, id))).toBe(true);
        }),
      );
      expect(await store.list()).toEqual({ entries: [], dropped: [] });
    });

    test('of several owners one claims, and a removal by one is no drop for the other', async (context) => {
      if (!place.shared) return context.skip();
      const other = await place.open();
      const [first, second] = [idOf(), idOf()];
      await store.add(first, someRecord(), 'nothing');
      await store.add(second, someRecord(), 'nothing');
      await other.list();
      const claims = await Promise.all([store.claim(first), other.claim(first)]);
      expect(claims.map(({ kind }) => kind).sort()).toEqual(['busy', 'claimed']);
      const [holder, loser] = claims[0].kind === 'claimed' ? [store, other] : [other, store];
      for (const each of claims) if (each.kind === 'claimed') expect(await holder.remove(each.claim)).toBe(true);
      expect(await loser.claim(first)).toEqual({ kind: 'removed' });
      expect(await loser.list()).toMatchObject({ entries: [{ id: second }], dropped: [] });
      expect(await loser.add(second, someRecord(), 'nothing')).toBe('known');
      await other.close();
    });

    test('of one that is over the limits of one owner alone, the claim of another is as good as any', async (context) => {
      if (!place.shared) return context.skip();
      const id = idOf();
      await store.add(id, someRecord(5000), 'nothing');
      const narrow = await place.open({ mostBytes: () => 5199 });
      await narrow.list();
      await claimedRecord(store, id);
      expect(await narrow.claim(id)).toEqual({ kind: 'busy' });
      await store.release(claimOf(store, id), null);
      expect(await narrow.claim(id)).toMatchObject(UNFIT);
      expect(await store.claim(id)).toEqual({ kind: 'busy' });
      await narrow.close();
      await claimedRecord(store, id);
    });

    test('a claim that its process lost removes and changes nothing', async (context) => {
      const { endLeases } = place;
      if (endLeases === null) return context.skip();
      const id = idOf();
      await store.add(id, someRecord(), 'nothing');
      await claimedRecord(store, id);
      await endLeases();
      const other = await place.open();
      await claimedRecord(other, id);
      expect(await store.remove(claimOf(store, id))).toBe(false);
      await store.release(claimOf(store, id), Buffer.from('late'));
      expect(await store.claim(id)).toEqual({ kind: 'busy' });
      await other.release(claimOf(other, id), null);
      expect((await claimedRecord(store, id)).progress).toBeNull();
      await other.close();
    });
  });
}
