// What every store of deferred deliveries promises (src/redelivery/stores/store.ts), as tests that a store's own file calls with
// the means to make one. Whatever only one kind of store can show is in its own file.
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DEFERRED_STATES } from '../../../src/core/fate-by-status.ts';
import { MAX_NOTE, type Note } from '../../../src/redelivery/note.ts';
import { openStore } from '../../../src/redelivery/stores/open-store.ts';
import {
  type Change,
  type DeferredStore,
  type Entry,
  LEASE_MS,
  LEAST_BYTES,
  type Leased,
  type LeaseRequest,
  LONGEST_WAIT_MS,
  leasedId,
  MAX_OF_ONE_BODY,
  MOST_LOSSES,
  pagesOf,
  type Setting,
  type StoredEvent,
  type StoreOptions,
  type WhyRemoved,
} from '../../../src/redelivery/stores/store.ts';
import { patience } from '../runner/patience.ts';

/** One place for deliveries, which outlives the stores that are opened on it. */
export interface StorePlace {
  /** Opens a store, which is ready once it is returned. */
  open(options?: Partial<StoreOptions>): Promise<DeferredStore>;
  /** Lets every lease end, as if those who have them stood still. */
  endLeases(): Promise<void>;
  /** Replaces the text of an event's note, as whoever can write to the store may. */
  writeNote(id: string, text: string): Promise<void>;
  clean(): Promise<void>;
}

export const MANY_BYTES = 1024 * 1024;

/** Opens a store in a directory or on a server, with what it reports, in order. */
export async function openedAt(place: string, options: Partial<StoreOptions> = {}) {
  const failures: (string | null)[] = [];
  const losses: string[] = [];
  const store = await openStore({
    store: place,
    name: '',
    passwordFile: null,
    readPassword: () => Promise.reject(new Error('there is no password')),
    maxBytes: MANY_BYTES,
    largestRecord: () => 210_000,
    as: 'owner',
    onLoss: (message) => void losses.push(message),
    onProblem: (failure) => {
      if (failure !== (failures.at(-1) ?? null)) failures.push(failure);
    },
    ...options,
  });
  return { store, failures, losses };
}

let serial = 0;

/** An id of its own; equal `body` texts give ids of one body. */
export function idOf(event: string = `event ${serial++}`, body: string = event): string {
  const hex = (text: string, length: number) => Buffer.from(text.padStart(length)).toString('hex').slice(-length);
  return `${hex(body, 16)}-${hex(event, 32)}`;
}

/** Bytes that no text survives. */
export const someRecord = (length = 100): StoredEvent['record'] => [randomBytes(200), randomBytes(length)];

/** What a store gives back of an event. */
export const bytesOf = ({ record }: Pick<StoredEvent, 'record'>) => Buffer.concat(record);

export const noteOf = (given: Partial<Note> = {}): Note => ({
  ...{ came: Date.now(), route: '/notify', method: 'POST', path: '/notify', secret: 'current', key: 'a1b2' },
  ...{ attempts: 0, passed: 0, tried: 0, failure: '503' },
  ...given,
});

export const eventOf = (id = idOf(), record = someRecord(), note = noteOf()) => ({ id, record, note });

/** All that is due, unless `given` says otherwise. */
export const leasedFrom = async (store: DeferredStore, given: Partial<LeaseRequest> = {}) =>
  (await store.lease({ limit: 100, room: MANY_BYTES, leases: [], ...given })).leased.map(withBuffer);

/** Stores have their own kinds of arrays. */
const withBuffer = ({ record, ...leased }: Leased) => ({ ...leased, record: record && Buffer.from(record) });

export async function readIn(store: DeferredStore, id: string): Promise<Buffer | null> {
  const { record } = (await store.find(id)) ?? {};
  return record?.length ? Buffer.from(record) : null;
}

/** The one event that is due. */
export async function oneLeased(store: DeferredStore, limit = 100) {
  const [first, ...others] = await leasedFrom(store, { limit });
  if (first === undefined || others.length > 0) throw new Error(`${others.length} events are due, or none`);
  return first;
}

const changedIn = async (store: DeferredStore, change: Change) => (await store.change([change]))[0];

/** Ends a lease. True if that had an effect. */
export const set = async (store: DeferredStore, lease: string, to: Change['to']) =>
  (await changedIn(store, { id: leasedId(lease), lease, to })) === 'done';

/** Ends the lease of the one event that is due. It is due again now, and waits, unless `to` says otherwise. */
export const setOne = async (store: DeferredStore, to: Partial<Setting> | WhyRemoved) =>
  set(store, (await oneLeased(store)).lease, typeof to === 'string' ? to : { ...NOW, ...to });

/** Removes an event that was stored at least `age` milliseconds ago. True if there was one. */
export const end = async (store: DeferredStore, id: string, age: number) =>
  (await changedIn(store, { id, age, to: 'taken' })) === 'done';

export const drop = (store: DeferredStore, id: string) => changedIn(store, { id, to: 'dropped' });

/** Makes events due. Returns how many are stored. */
export async function wake(
  store: DeferredStore,
  ids: readonly string[],
  given: Partial<Setting> = {},
): Promise<number> {
  const changed = await store.change(ids.map((id) => ({ id, to: { pause: 0, ...given } })));
  return changed.filter((each) => each !== 'absent').length;
}

export async function listed(store: DeferredStore): Promise<Entry[]> {
  const pages: Entry[] = [];
  for await (const page of pagesOf(store)) pages.push(...page);
  return pages.sort((one, other) => (one.id < other.id ? -1 : 1));
}

export const idsIn = async (store: DeferredStore) => (await listed(store)).map(({ id }) => id);

const idsOf = (events: readonly { readonly id: string }[]) => events.map(({ id }) => id);
export const NOW: Setting = { pause: 0, state: 'waiting', asked: false };
const FAR = 1000 * LONGEST_WAIT_MS;
const NOTHING = { groups: [], soonest: [], dropped: [], losses: [], lostLately: 0, aside: [], evicts: null };

/** `isShared`: several processes may have it open. */
export function storeContract(
  name: string,
  makePlace: () => Promise<StorePlace>,
  { isShared }: { readonly isShared: boolean },
): void {
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

    /** Fifty at a time: each must be answered in time, on a busy machine, too. */
    async function addAll(events: readonly StoredEvent[], pause = 600_000): Promise<void> {
      for (let at = 0; at < events.length; at += 50)
        await Promise.all(events.slice(at, at + 50).map((event) => store.add(event, pause)));
    }

    // --- what is stored

    test('gives back the bytes that it was given, whatever they are', async () => {
      for (const length of [0, 1, 100, 70_000]) {
        const { id, record, note } = eventOf(idOf(), someRecord(length));
        expect(await store.add({ id, record, note }, 0)).toBe('stored');
        expect(await readIn(store, id)).toEqual(bytesOf({ record }));
        const leased = await oneLeased(store);
        expect(leased).toMatchObject({ id, record: bytesOf({ record }), note, state: 'waiting', bytes: 200 + length });
        expect(await set(store, leased.lease, 'taken')).toBe(true);
      }
    });

    test('keeps what it has across a restart', async () => {
      const [first, second] = [eventOf(), eventOf(idOf(), someRecord(10_000))];
      await store.add(first, 0);
      await store.add(second, 60_000);
      const note = noteOf({ attempts: 3, tried: 5, failure: 'reset' });
      await setOne(store, { pause: 0.4, state: 'stopped', note });
      await reopened();
      const entries = await listed(store);
      expect(idsOf(entries)).toEqual([first.id, second.id].sort());
      const entry = (id: string) => entries.find((each) => each.id === id);
      expect(entry(first.id)).toMatchObject({ bytes: 300, state: 'stopped', note });
      expect(entry(second.id)).toMatchObject({ bytes: 10_200, state: 'waiting', note: second.note });
      for (const one of [entry(second.id), await store.find(second.id)]) expect(one?.wait).toBeGreaterThan(0);
      expect((await oneLeased(store)).record).toEqual(bytesOf(first));
    });

    test('an equal event replaces the one that is stored, whatever its state, and who had leased that has lost it', async () => {
      const id = idOf();
      for (const state of DEFERRED_STATES) {
        const [old, fresh] = [eventOf(id), eventOf(id, someRecord(5000), noteOf({ failure: '502' }))];
        const had = (await idsIn(store)).length > 0;
        expect(await store.add(old, 0)).toBe(had ? 'replaced' : 'stored');
        await setOne(store, { state, note: noteOf({ attempts: 9 }) });
        const former = await oneLeased(store);
        expect(await store.add(fresh, 0)).toBe('replaced');
        expect(await set(store, former.lease, { ...NOW, state: 'stopped', note: noteOf() })).toBe(false);
        expect(await set(store, former.lease, 'taken')).toBe(false);
        expect(await oneLeased(store)).toMatchObject({
          ...fresh,
          record: bytesOf(fresh),
          state: 'waiting',
          bytes: 5200,
        });
      }
    });

    test('what was removed is gone for good, and was not dropped: once all is, there is no next one', async () => {
      const [gone, stays] = [eventOf(), eventOf()];
      await store.add(gone, 0);
      const leased = await oneLeased(store);
      await store.add(stays, 0);
      expect(await set(store, leased.lease, 'taken')).toBe(true);
      await reopened();
      expect(await idsIn(store)).toEqual([stays.id]);
      expect(await setOne(store, 'taken')).toBe(true);
      expect(await store.summary()).toEqual(NOTHING);
      expect(await store.lease({ limit: 9, room: MANY_BYTES, leases: [] })).toEqual({ leased: [], wait: Infinity });
    });

    test('maxBytes bounds it, with 4 KiB an event at least, and what leaves makes room', async () => {
      await reopened({ maxBytes: 4 * LEAST_BYTES });
      for (let at = 0; at < 3; at++) expect(await store.add(eventOf(), 60_000)).toBe('stored');
      expect(await store.add(eventOf(idOf(), someRecord(2 * LEAST_BYTES)), 0)).toBe('full');
      const last = eventOf(idOf(), someRecord(1));
      expect(await store.add(last, 0)).toBe('stored');
      expect(await store.add(eventOf(), 0)).toBe('full');
      expect(await setOne(store, 'taken')).toBe(true);
      expect(await store.add(last, 0)).toBe('stored');
      await reopened({ maxBytes: 4 * LEAST_BYTES });
      expect(await store.add(eventOf(), 0)).toBe('full');
    });

    test('what is replaced is not counted twice, and one that would not fit leaves it as it is', async () => {
      await reopened({ maxBytes: 2 * LEAST_BYTES });
      const event = eventOf();
      await store.add(event, 0);
      for (let times = 0; times < 5; times++) expect(await store.add(event, 0)).toBe('replaced');
      expect(await store.add(eventOf(), 60_000)).toBe('stored');
      expect(await store.add(eventOf(event.id, someRecord(2 * LEAST_BYTES)), 0)).toBe('full');
      expect(await readIn(store, event.id)).toEqual(bytesOf(event));
    });

    test('at most 16 of one body are stored, also after a restart', async () => {
      const ids = Array.from({ length: MAX_OF_ONE_BODY }, (_, at) => idOf(`query ${at}`, 'body'));
      for (const id of ids) expect(await store.add(eventOf(id), 0)).toBe('stored');
      const more = eventOf(idOf('one more', 'body'));
      expect(await store.add(more, 0)).toBe('crowded');
      expect(await store.add(eventOf(ids[3]), 0)).toBe('replaced');
      expect(await store.add(eventOf(idOf('one more', 'other')), 60_000)).toBe('stored');
      await reopened();
      expect(await store.add(more, 0)).toBe('crowded');
      const [first] = await leasedFrom(store, { limit: 1 });
      expect(first !== undefined && (await set(store, first.lease, 'taken'))).toBe(true);
      expect(await store.add(more, 0)).toBe('stored');
    });

    test('a note of any characters and of the greatest length comes back, and one that is altered is none', async () => {
      const long = noteOf({ path: `/${'\u00e9"\\\u2028\ud83d\ude00'.repeat(50)}`, secret: 'k'.repeat(200) });
      const event = eventOf(idOf(), someRecord(), long);
      await store.add(event, 0);
      expect((await listed(store))[0]?.note).toEqual(long);
      for (const text of ['', '{', '7', '{"came":-1}', 'x'.repeat(MAX_NOTE)]) {
        await place.writeNote(event.id, text);
        expect(await listed(store)).toMatchObject([{ id: event.id, note: null }]);
        expect(await store.summary()).toMatchObject({ groups: [{ deliveries: 1 }], soonest: [{ note: null }] });
      }
      expect(await oneLeased(store)).toMatchObject({ id: event.id, record: bytesOf(event), note: null });
    });

    // --- leases

    test('gives what is due, the first due first, in whatever order they came, and says when the next one is', async () => {
      const ids = [];
      const step = patience() / 60; // longer than an add takes
      const began = Date.now();
      for (const steps of [3, 2, 1, 0]) {
        const event = eventOf();
        ids.unshift(event.id);
        await store.add(event, Math.max(0, began + steps * step - Date.now()));
      }
      const areDue = async () => (await listed(store)).every(({ wait }) => wait <= 0);
      await expect.poll(areDue, { timeout: patience() }).toBe(true);
      await store.add(eventOf(), 60_000);
      const { leased, wait } = await store.lease({ limit: 9, room: MANY_BYTES, leases: [] });
      expect(idsOf(leased)).toEqual(ids);
      expect(wait).toBeGreaterThan(LEASE_MS / 2);
      expect(wait).toBeLessThanOrEqual(LEASE_MS);
    });

    test('gives no more than the limit and the room allow, and says that more is due', async () => {
      const ids = [];
      for (const length of [1000, 1000, 3000, 10]) {
        const event = eventOf(idOf(), someRecord(length));
        ids.push(event.id);
        await store.add(event, 0);
      }
      const first = await store.lease({ limit: 1, room: MANY_BYTES, leases: [] });
      expect([idsOf(first.leased), first.wait]).toEqual([ids.slice(0, 1), 0]);
      const second = await store.lease({ limit: 9, room: 3000, leases: [] });
      expect([idsOf(second.leased), second.wait]).toEqual([ids.slice(1, 2), 0]);
      expect(await store.lease({ limit: 9, room: 0, leases: [] })).toEqual({ leased: [], wait: 0 });
      expect(idsOf(await leasedFrom(store))).toEqual(ids.slice(2));
    });

    test('what its owner has at work is moved on and given to nobody, even once the lease has ended', async () => {
      const [mine, other] = [eventOf(), eventOf()];
      await store.add(mine, 0);
      const { lease } = await oneLeased(store);
      const held = [lease, `${idOf()} none`];
      await place.endLeases();
      const { leased, wait } = await store.lease({ limit: 9, room: MANY_BYTES, leases: held });
      expect(leased).toEqual([]);
      expect(wait).toBeGreaterThan(LEASE_MS / 2);
      expect(await leasedFrom(store)).toEqual([]);
      await place.endLeases();
      await store.add(other, 0);
      expect(idsOf(await leasedFrom(store, { leases: held }))).toEqual([other.id]);
      expect(await set(store, lease, 'taken')).toBe(true);
    });

    test('a lease is one owner’s until it ends; who has lost it changes nothing, neither by an end nor by holding it', async () => {
      await store.add(eventOf(), 0);
      const lost = await oneLeased(store);
      expect(await leasedFrom(store)).toEqual([]);
      expect((await listed(store))[0]?.wait).toBeGreaterThan(LEASE_MS / 2);
      await place.endLeases();
      const held = await oneLeased(store);
      expect(await set(store, lost.lease, { ...NOW, state: 'stopped', note: noteOf({ attempts: 99 }) })).toBe(false);
      expect(await set(store, lost.lease, 'taken')).toBe(false);
      await place.endLeases();
      expect(await leasedFrom(store, { limit: 0, leases: [lost.lease] })).toEqual([]);
      expect(await oneLeased(store)).toMatchObject({ id: held.id, state: 'waiting', note: { attempts: 0 } });
    });

    test('a call that ended a lease may ask again, since its answer may have been lost, and changes nothing', async () => {
      await store.add(eventOf(), 0);
      const first = await oneLeased(store);
      expect(await set(store, first.lease, NOW)).toBe(true);
      expect(await set(store, first.lease, 'taken')).toBe(true);
      const second = await oneLeased(store);
      expect(await set(store, first.lease, 'taken')).toBe(true);
      expect(await set(store, second.lease, 'keep')).toBe(true);
      expect(await set(store, second.lease, 'keep')).toBe(true);
      expect(await set(store, `${second.id} none`, 'taken')).toBe(false);
      expect((await store.losses()).length).toBe(1);
    });

    test('what is larger than the limits is leased unread, needs no room, stays, and is removed as anything else', async () => {
      const [large, small] = [eventOf(idOf(), someRecord(5000)), eventOf(idOf(), someRecord(10))];
      await store.add(large, 0);
      await store.add(small, 0);
      await reopened({ largestRecord: () => 5199 });
      const leased = await leasedFrom(store, { room: 210 });
      expect(leased).toMatchObject([
        { id: large.id, record: null, bytes: 5200 },
        { id: small.id, record: bytesOf(small) },
      ]);
      expect(await readIn(store, large.id)).toBeNull();
      expect(await idsIn(store)).toEqual([large.id, small.id].sort());
      for (const each of leased) expect(await set(store, each.lease, 'taken')).toBe(true);
      expect(await idsIn(store)).toEqual([]);
    });

    test('what waits longer than anything may, as after a clock that was set back, is due once it was summed up', async () => {
      const [waits, stopped] = [eventOf(), eventOf()];
      await store.add(stopped, 0);
      await setOne(store, { pause: FAR, state: 'stopped' });
      await store.add(waits, FAR);
      await store.summary();
      expect(idsOf(await leasedFrom(store))).toEqual([waits.id]);
    });

    // --- fresh copies, and people

    test('end removes what was stored before a delivery, whoever has leased it, and leaves what came after', async () => {
      const [leased, waits, after] = [eventOf(), eventOf(), eventOf()];
      await store.add(leased, 0);
      const lease = await oneLeased(store);
      await store.add(waits, 60_000);
      await store.add(after, 60_000);
      await new Promise((resolve) => setTimeout(resolve, 20));
      for (const { id } of [leased, waits]) expect(await end(store, id, 5)).toBe(true);
      expect(await end(store, after.id, 600_000)).toBe(false);
      expect(await end(store, idOf(), 0)).toBe(false);
      expect(await set(store, lease.lease, 'taken')).toBe(false);
      expect(await idsIn(store)).toEqual([after.id]);
      expect((await store.summary()).dropped).toEqual([]);
    });

    test('wake makes due what nobody has, in the state that it is in, and tells what a person asked for', async () => {
      const states = ['stopped', 'expired', 'unverified'] as const;
      const events = states.map((state) => [eventOf(), state] as const);
      for (const [event, state] of events) {
        await store.add(event, 0);
        await setOne(store, { pause: 60_000, state });
      }
      const [leased, waits] = [eventOf(), eventOf()];
      await store.add(leased, 0);
      const lease = await oneLeased(store);
      await store.add(waits, 60_000);
      const others = events.map(([{ id }]) => id);
      expect(await wake(store, [...others, leased.id, idOf()], { asked: true })).toBe(4);
      expect(await wake(store, [waits.id])).toBe(1);
      const now = await leasedFrom(store);
      const found = (all: readonly Pick<Entry, 'id' | 'state' | 'asked'>[]) =>
        all.map(({ id, state, asked }) => [id, state, asked]).sort();
      const asked = events.map(([{ id }, state]) => [id, state, true]);
      expect(found(now)).toEqual([...asked, [waits.id, 'waiting', false]].sort());
      expect(await set(store, lease.lease, 'taken')).toBe(true);
      expect(found(await listed(store))).toEqual(found(now));
      expect(found((await store.summary()).soonest)).toEqual(found(now));
      // It stays asked for until a sending has ended, even if the process that leased it dies.
      await place.endLeases();
      for (const { lease } of await leasedFrom(store)) await set(store, lease, { pause: 0 });
      for (const each of await leasedFrom(store)) {
        expect(each.asked).toBe(each.id !== waits.id);
        await set(store, each.lease, { pause: 0, asked: false });
      }
      expect((await leasedFrom(store)).map((each) => each.asked)).toEqual(Array(4).fill(false));
    });

    test('asked for while somebody has leased it, an event is due once the lease ends, and no loss ends it', async () => {
      const event = eventOf();
      await store.add(event, 0);
      const note = noteOf({ attempts: 1 });
      const done = { pause: 60_000, state: 'stopped', note, asked: false } as const;
      const ends = [
        [done, true],
        [{ pause: 60_000 }, true],
        ['keep', false],
        ['room', false],
      ] as const;
      for (const [to, hasEffect] of ends) {
        const { lease } = await oneLeased(store);
        expect(await wake(store, [event.id], { asked: true })).toBe(1);
        expect(await leasedFrom(store)).toEqual([]);
        for (let times = 0; times < 2; times++) expect(await set(store, lease, to)).toBe(hasEffect);
        if (!hasEffect) await place.endLeases();
        const leased = await oneLeased(store);
        expect(leased).toMatchObject({ id: event.id, state: 'stopped', asked: true, note });
        // The sending that was asked for ends what was asked.
        const isListed = async () => (await listed(store)).map((one) => [one.asked, one.leased]);
        expect(await isListed()).toEqual([[true, true]]);
        expect(await set(store, leased.lease, { pause: 0, asked: false })).toBe(true);
        expect(await isListed()).toEqual([[false, false]]);
      }
      const { lease } = await oneLeased(store);
      await wake(store, [event.id], { asked: true });
      expect(await set(store, lease, 'taken')).toBe(true);
      expect([await listed(store), await store.losses()]).toEqual([[], []]);
    });

    // --- what ends without a decision

    test('what is lost is gone, and remembered with its note for a week, also by the next owner', async () => {
      const note = noteOf({ attempts: 7, failure: '503' });
      const [first, second] = [eventOf(idOf(), someRecord(), note), eventOf()];
      for (const event of [first, second]) {
        await store.add(event, 0);
        const { lease } = await oneLeased(store);
        expect(await set(store, lease, event === first ? 'keep' : 'room')).toBe(true);
      }
      await reopened();
      const losses = [
        { id: second.id, why: 'room', events: 1, note: second.note },
        { id: first.id, why: 'keep', events: 1, note },
      ];
      expect(await store.losses()).toMatchObject(losses);
      expect((await store.losses())[0]?.at).toBeGreaterThan(Date.now() - 60_000);
      expect(await store.summary()).toMatchObject({ groups: [], losses, lostLately: 2 });
      expect(await set(store, `${first.id} none`, 'keep')).toBe(false);
    });

    test('the last thousand losses are remembered, and a summary has the last twenty', async () => {
      await reopened({ maxBytes: 2000 * LEAST_BYTES });
      const ids = Array.from({ length: 1020 }, () => idOf());
      await addAll(
        ids.map((id) => eventOf(id, someRecord(1))),
        0,
      );
      const leased = await leasedFrom(store, { limit: 2000 });
      while (leased.length < 1020) leased.push(...(await leasedFrom(store, { limit: 2000 })));
      for (const { lease } of leased) await set(store, lease, 'keep');
      const lost = leased.map(({ id }) => id).reverse();
      expect((await store.losses()).map(({ id }) => id)).toEqual(lost.slice(0, MOST_LOSSES));
      const summary = await store.summary();
      expect([summary.losses.map(({ id }) => id), summary.lostLately]).toEqual([lost.slice(0, 20), MOST_LOSSES]);
    });

    test('what is not sent by itself gives way, the oldest first, if that makes room for another', async () => {
      await reopened({ maxBytes: 6 * LEAST_BYTES });
      const kept = ['expired', 'stopped', 'unverified', 'expired'] as const;
      const ids: string[] = [];
      for (const [at, state] of kept.entries()) {
        const event = eventOf(idOf(), someRecord(), noteOf({ came: 100 - at }));
        ids.unshift(event.id);
        await store.add(event, 0);
        await setOne(store, { pause: 60_000, state });
      }
      const add = (id: string, pages: number) => store.add(eventOf(id, someRecord(pages * LEAST_BYTES - 200)), 60_000);
      const [fresh, [first = '', second, third, fourth = '']] = [idOf(), ids] as const;
      for (let at = 0; at < 2; at++) expect(await add(idOf(), 1)).toBe('stored');
      expect([await add(fresh, 1), await add(fresh, 4), await add(fresh, 5)]).toEqual([
        { lacking: LEAST_BYTES },
        { lacking: 4 * LEAST_BYTES },
        'full',
      ]);
      expect(await add(first, 4)).toEqual({ lacking: 3 * LEAST_BYTES }); // it takes the place of an equal one
      expect(await add(first, 5)).toBe('full');
      expect(await store.leaseKept(first, LEAST_BYTES)).toMatchObject([{ id: second, record: null }]);
      const [oldest, next, ...others] = await store.leaseKept(fresh, LEAST_BYTES + 1);
      expect([oldest?.id, next?.id, others]).toEqual([first, third, []]);
      expect(await set(store, oldest?.lease ?? '', 'room')).toBe(true);
      expect(await add(fresh, 1)).toBe('stored');
      expect(await wake(store, [fourth], { asked: true })).toBe(1);
      expect(await store.leaseKept(fresh, 9 * LEAST_BYTES)).toEqual([]); // a person has asked for it
      // Nor does it count as room: only the two that are leased could still give way.
      expect([await add(idOf(), 2), await add(idOf(), 3), await add(fourth, 4)]).toEqual([
        { lacking: 2 * LEAST_BYTES },
        'full',
        'full',
      ]);
      await setOne(store, { pause: 60_000, state: 'expired' });
      expect(await store.leaseKept(fresh, 9 * LEAST_BYTES)).toMatchObject([{ id: fourth }]);
      expect(await store.leaseKept(fresh, 1)).toEqual([]); // all are leased
    });

    test('what stands behind hundreds that are leased, or that a person asked for, gives way all the same', async () => {
      await reopened({ maxBytes: 2000 * LEAST_BYTES });
      const events = Array.from({ length: 603 }, (_, at) => eventOf(idOf(), someRecord(1), noteOf({ came: at })));
      await addAll(events, 0);
      const ids = idsOf(events);
      await wake(store, ids, { state: 'stopped' });
      await wake(store, ids.slice(0, 300), { asked: true });
      const leased = [];
      for (let times = 0; times < 9; times++)
        leased.push(...(await store.leaseKept('', (303 - leased.length) * LEAST_BYTES)));
      expect(idsOf(leased)).toEqual(ids.slice(300));
      expect(await store.leaseKept('', 1)).toEqual([]);
    });

    test('a test event goes all the way, also where there is no room, and nobody sees it', async () => {
      await reopened({ maxBytes: LEAST_BYTES });
      const event = eventOf();
      await store.add(event, 0);
      await store.test();
      expect(await store.add(eventOf(), 0)).toBe('full');
      expect(await idsIn(store)).toEqual([event.id]);
      expect(await store.summary()).toMatchObject({ groups: [{ deliveries: 1 }], losses: [], dropped: [] });
      const { lease } = await oneLeased(store);
      await store.test();
      expect(await set(store, lease, 'taken')).toBe(true);
    });

    test('ids that nobody stored are neither dropped, woken nor ended', async () => {
      expect(await drop(store, idOf())).toBe('absent');
      expect(await wake(store, [idOf()])).toBe(0);
      expect(await end(store, idOf(), -1000)).toBe(false);
      expect(await set(store, `${idOf()} none`, 'taken')).toBe(false);
      expect(await set(store, idOf(), NOW)).toBe(false);
      expect(await listed(store)).toEqual([]);
      // Nor has an event that nobody has leased a lease that anybody could guess.
      const event = eventOf();
      await store.add(event, 0);
      for (const lease of ['', event.id, `${event.id} `, `${event.id} null`]) {
        expect(await set(store, lease, 'taken')).toBe(false);
        expect(await set(store, lease, { ...NOW, state: 'stopped' })).toBe(false);
      }
      expect(await oneLeased(store)).toMatchObject({ id: event.id, state: 'waiting' });
    });

    test('what a person drops is gone, unless somebody has leased it, and told once to an owner', async () => {
      const [first, second, stays, leased] = [eventOf(), eventOf(), eventOf(), eventOf()];
      await store.add(leased, 0);
      const lease = await oneLeased(store);
      for (const event of [first, second]) await store.add(event, 0);
      await store.add(stays, 0);
      const visitor = await place.open({ as: 'visitor' });
      expect(await idsIn(visitor)).toEqual([first.id, second.id, stays.id, leased.id].sort());
      expect(await readIn(visitor, first.id)).toEqual(bytesOf(first));
      expect(await drop(visitor, leased.id)).toBe('leased');
      expect(await drop(visitor, first.id)).toBe('done');
      expect(await drop(visitor, first.id)).toBe('absent');
      expect(await drop(visitor, second.id)).toBe('done');
      await visitor.close();
      expect(await set(store, lease.lease, 'taken')).toBe(true);
      const { dropped } = await store.summary();
      expect(dropped).toHaveLength(2);
      expect(dropped).toEqual(expect.arrayContaining([first, second].map(({ id, note }) => ({ id, note }))));
      expect((await store.summary()).dropped).toEqual([]);
      expect(idsOf(await leasedFrom(store))).toEqual([stays.id]);
      await place.endLeases();
      expect(await drop(store, stays.id)).toBe('done');
    });

    test('is summed up by state and words, with those that are due first', async () => {
      const note = noteOf({ came: 5000 });
      const ids = [];
      for (const [at, failure] of [
        [7000, '503'],
        [5000, '503'],
        [6000, 'connect'],
      ] as const) {
        const event = eventOf(idOf(), someRecord(5000), { ...note, came: at, failure });
        ids.push(event.id);
        await store.add(event, 10_000 * (ids.length + 1));
      }
      const small = eventOf(idOf(), someRecord(), { ...note, failure: '404', came: Number.MAX_SAFE_INTEGER });
      await store.add(small, 0);
      await setOne(store, { pause: 1, state: 'stopped' });
      const { groups, soonest } = await store.summary();
      const words = { secret: 'current', key: 'a1b2', route: '/notify' };
      expect(groups).toHaveLength(3);
      expect(groups).toEqual(
        expect.arrayContaining([
          { ...words, state: 'waiting', failure: '503', deliveries: 2, bytes: 10_400, oldest: 5000 },
          { ...words, state: 'waiting', failure: 'connect', deliveries: 1, bytes: 5200, oldest: 6000 },
          { ...words, state: 'stopped', failure: '404', deliveries: 1, bytes: LEAST_BYTES, oldest: 8.64e15 }, // the last date
        ]),
      );
      expect(idsOf(soonest)).toEqual([small.id, ...ids]);
      expect(soonest[1]).toMatchObject({ state: 'waiting', bytes: 5200, note: { failure: '503' } });
    });

    test('of many none is left out: of a summary, whatever their words, of a list, which begins with what came first, while others come and go, of those woken', async () => {
      await reopened({ maxBytes: 10_000 * LEAST_BYTES });
      const stay = Array.from({ length: 1100 }, () => idOf());
      const cameOf = (at: number) => ((at * 7919) % stay.length) + 1;
      await addAll(stay.map((id, at) => eventOf(id, someRecord(1), noteOf({ secret: `s${at}`, came: cameOf(at) }))));
      const { groups, soonest } = await store.summary();
      expect(groups.length).toBeLessThanOrEqual(1000);
      expect(groups.reduce((sum, { deliveries }) => sum + deliveries, 0)).toBe(1100);
      expect(groups.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(1100 * LEAST_BYTES);
      expect(Math.min(...groups.map(({ oldest }) => oldest))).toBe(1);
      expect(soonest).toHaveLength(50);
      const found: string[] = [];
      for await (const page of pagesOf(store)) {
        found.push(...idsOf(page));
        await store.add(eventOf(), 0);
        for (const leased of await leasedFrom(store)) await set(store, leased.lease, 'taken');
      }
      const kept = new Set(stay);
      const inOrder = stay.map((id, at) => [cameOf(at), id] as const).sort(([one], [other]) => one - other);
      expect(found.filter((id) => kept.has(id))).toEqual(inOrder.map(([, id]) => id));
      expect(await wake(store, stay)).toBe(1100);
      const woken = await listed(store);
      expect(idsOf(woken)).toEqual([...stay].sort());
      expect(woken.filter(({ wait }) => wait > 0)).toEqual([]);
      expect((await store.lease({ limit: 1, room: MANY_BYTES, leases: [] })).wait).toBe(0);
    });

    if (!isShared) return;
    test('of several owners one leases, and what it has the other has not', async () => {
      const other = await place.open();
      const events = [eventOf(), eventOf()];
      for (const event of events) await store.add(event, 0);
      const [mine, theirs] = [await leasedFrom(store, { limit: 1 }), await leasedFrom(other)];
      expect(idsOf([...mine, ...theirs]).sort()).toEqual(idsOf(events).sort());
      const [first] = mine;
      if (first === undefined) throw new Error('nothing was leased');
      expect(await set(other, `${first.id}${theirs[0]?.lease.slice(first.id.length)}`, NOW)).toBe(false);
      expect(await set(other, first.lease, 'taken')).toBe(true); // the lease is the right, whoever shows it
      expect(await idsIn(store)).toHaveLength(1);
      await other.close();
    });
  });
}
