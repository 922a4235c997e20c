// Redelivery: deliveries that the app did not take are stored, and sent again until it takes them or their window is over.
// The store is the schedule. This file leases what is due, as much at once as the pace allows, and within a quarter of the
// budget; arrivals.ts has what is to be stored, turn.ts says what happens to each, standing.ts how the store stands.
//
//   defer -> stored -> due: leased -> checked by every rule -> (once) -> sent -> taken by the app, or over: removed
//                                              |                          |-> refused: stopped
//                                              `-> unverified: stays      `-> failed: waits
import { stat } from 'node:fs/promises';
import { onePerTurn } from '../base/deadline.ts';
import { isDirectory, STATE_DIRECTORY } from '../base/default-places.ts';
import { ignore } from '../base/errors.ts';
import { Arrivals } from './arrivals.ts';
import type { Fields, Needs } from './needs.ts';
import { SendingPace } from './pace.ts';
import { mostSendable } from './record.ts';
import { Standing } from './standing.ts';
import { openStore } from './stores/open-store.ts';
import { type DeferredStore, type Entry, fileIn, LEAST_BYTES, type Leased, pagesOf } from './stores/store.ts';
import { takeTurn, windowOf } from './turn.ts';

/** The most at work at once: a quarter of the slots, so that fresh deliveries find one. */
const MOST_AT_WORK = 8;
/** Milliseconds: the longest that it sleeps, since other processes store, too; what is at work is renewed as often. */
const LOOK_EVERY_MS = 10_000;
/** Milliseconds after a failure of the store, or where the budget has no room. */
const PAUSE_MS = 1000;

export class Queue {
  readonly #needs: Needs;
  readonly #openStore: typeof openStore;
  readonly #pace: SendingPace;
  readonly #stopped = new AbortController();
  /** Null until a route asks for it, or something waits: most proxies never need it. */
  #opened: Promise<DeferredStore> | null = null;
  /** Leased, and not yet set or removed, each with the end of that. */
  readonly #atWork = new Map<Leased, Promise<void>>();
  #nextLease: NodeJS.Timeout | undefined;
  #looks: NodeJS.Timeout | undefined;
  readonly standing: Standing;
  readonly arrivals: Arrivals;
  /** A directory, or a URL. */
  readonly place: string;

  /** `open` is given by tests. */
  constructor(needs: Needs, open = openStore) {
    this.#needs = needs;
    this.place = needs.store.store;
    this.#openStore = open;
    const quarter = Math.floor(needs.upstream.options.connections / 4);
    this.#pace = new SendingPace(Math.max(1, Math.min(MOST_AT_WORK, quarter)));
    this.standing = new Standing(needs, () => this.#open());
    this.standing.onChange = this.#leaseDue;
    this.arrivals = new Arrivals(needs, this.standing);
  }

  // --- for people

  /**
   * Makes what is deferred due now, also what the app refused; `id`: this one alone. Returns how many there are. Their pace
   * stays: one at a time until the app takes one. Null: nothing is sent, since no route has `redeliver`.
   */
  async deliverNow(id: string | null): Promise<number | null> {
    if (!this.sends) return null;
    const count = id === null ? await this.#wake(() => true) : await (await this.#open()).wake([id]);
    this.#pace.now();
    this.standing.changed();
    return count;
  }

  get isOpen(): boolean {
    return this.#opened !== null;
  }

  /** True if a route has `redeliver` now. */
  get sends(): boolean {
    return windowOf(this.#needs.policy(), null) !== null;
  }

  /** False where redelivery is not configured, and nothing is stored. */
  get isShown(): boolean {
    return this.isOpen || this.place !== STATE_DIRECTORY;
  }

  // --- life

  /** Secrets and routes have changed: something may have to be sent, or what nothing verified may be sendable now. */
  async adopt(): Promise<void> {
    const isStored = async () => (await stat(fileIn(this.place)).catch(() => null)) !== null; // and ours to read
    if (!this.isOpen) {
      if (this.sends || !isDirectory(this.place) || (await isStored())) await this.#open().catch(this.standing.failed);
    } else if (!this.standing.isEmpty) {
      await this.#wake(({ state }) => state === 'unverified').catch(this.standing.failed);
      this.standing.changed();
    }
  }

  /** Takes nothing from now on; what is at work goes on. Deliveries are still stored. */
  stopSending(): void {
    this.#stopped.abort();
  }

  /** Resolves when nothing is at work. */
  async settled(): Promise<void> {
    await Promise.all(this.#atWork.values());
  }

  /** Gives back the events that are still at work. */
  async close(): Promise<void> {
    this.stopSending();
    clearInterval(this.#looks);
    this.standing.close();
    const store = await this.#opened?.catch(() => null); // it was never opened
    await Promise.allSettled(
      [...this.#atWork.keys()].map(({ lease, state }) => store?.set(lease, { state, pause: 0, note: null })),
    );
    await store?.close().catch(ignore); // it hangs, as its thread will tell
  }

  #open(): Promise<DeferredStore> {
    if (this.#opened !== null) return this.#opened;
    const { standing } = this;
    const onRemark = (message: string, fields: Fields) => standing.tell('warn', message, fields);
    const rules = { as: 'owner', mostBytes: () => mostSendable(this.#needs), onRemark } as const;
    this.#opened = this.#openStore({ ...this.#needs.store, ...rules, onLoss: standing.lost, onChange: standing.set });
    standing.changed();
    const look = () => {
      void standing.look();
      const held = this.#held;
      if (held.length > 0) void standing.ask((store) => store.lease({ limit: 0, room: 0, held }));
    };
    this.#looks = setInterval(look, LOOK_EVERY_MS).unref();
    look();
    return this.#opened;
  }

  async #wake(asked: (entry: Entry) => boolean): Promise<number> {
    const store = await this.#open();
    let count = 0;
    for await (const page of pagesOf(store)) {
      const ids = page.filter(asked).map(({ id }) => id);
      if (ids.length > 0) count += await store.wake(ids);
    }
    return count;
  }

  // --- leasing

  /** Takes what is due, and looks again once there is more. Called when something may have become due. */
  readonly #leaseDue = onePerTurn(async () => {
    if (this.#stopped.signal.aborted) return;
    const wait = await this.#leaseNow();
    clearTimeout(this.#nextLease);
    this.#nextLease = setTimeout(this.#leaseDue, Math.min(wait, LOOK_EVERY_MS)).unref();
  });

  /** Returns the milliseconds until there is more to lease; infinite if something else will ask then. */
  async #leaseNow(): Promise<number> {
    const { budget } = this.#needs;
    const free = this.#pace.most - this.#atWork.size;
    if (free <= 0 || !this.sends || this.standing.isEmpty) return Number.POSITIVE_INFINITY;
    const pause = this.#pace.notBefore - performance.now();
    if (pause > 0) return pause;
    const quarter = budget.limit / 4;
    const most = mostSendable(this.#needs);
    // One alone may be larger; else it would never be sent.
    const isAlone = this.#atWork.size === 0 && most > quarter;
    const used = [...this.#atWork.keys()].reduce((sum, each) => sum + memoryOf(each), 0);
    const room = Math.floor(Math.min(isAlone ? most : quarter - used, budget.most - budget.used));
    if (room < LEAST_BYTES) return PAUSE_MS;
    budget.hold(room); // nothing is read before
    const asked = { limit: isAlone ? 1 : free, room, held: this.#held };
    const found = await this.standing.ask((store) => store.lease(asked));
    budget.release(room);
    if (found === null) return PAUSE_MS;
    const { leased, wait } = found;
    for (const each of leased) this.#atWork.set(each, this.#work(each));
    if (leased.length > 0 || wait > 0) return wait;
    return this.#atWork.size > 0 ? Number.POSITIVE_INFINITY : PAUSE_MS;
  }

  /** Never rejects. An event whose turn fails is due again once its lease has ended. */
  async #work(leased: Leased): Promise<void> {
    const { budget } = this.#needs;
    budget.hold(memoryOf(leased));
    const parts = { needs: this.#needs, standing: this.standing, pace: this.#pace, stopped: this.#stopped.signal };
    await takeTurn(leased, parts).catch(this.standing.failed);
    this.#atWork.delete(leased);
    budget.release(memoryOf(leased));
    void this.#leaseDue();
  }

  get #held(): readonly string[] {
    return [...this.#atWork.keys()].map(({ lease }) => lease);
  }
}

const memoryOf = ({ record }: Leased) => record?.length ?? 0;
