// Redelivery: deliveries that the app did not take are stored, and sent again until it takes them or their window is
// over. The store holds the schedule. This file leases as much of what is due as the pace and a quarter of the budget
// allow; storing.ts stores deliveries, next-state.ts handles a leased one, store-state.ts knows the store's state.
//
//   defer -> stored -> due: leased -> checked by every rule -> (once) -> sent -> taken by the app: removed
//                                              |                          |-> refused: stopped
//                                              `-> unverified: stays      |-> failed: waits
//                                                                         `-> failed, and its window is over: expired
//
// Stopped, unverified and expired events are kept for a person, and lost after `redelivery.keep`, or if room is needed.
import { readdir } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { madeOnce, onePerTurn } from '../base/deadline.ts';
import { isDirectory, STATE_DIRECTORY } from '../base/default-places.ts';
import { ignore } from '../base/errors.ts';
import { LeasedEvent, windowOf } from './next-state.ts';
import { SendingPace } from './pace.ts';
import type { Needs } from './process-parts.ts';
import { ALL_WHYS, mostSendable, wantOf } from './record.ts';
import { REFRESH_EVERY_MS, StoreState } from './store-state.ts';
import { openStore } from './stores/open-store.ts';
import { type DeferredStore, type Entry, fileIn, IN_USE, LEAST_BYTES, type Leased, pagesOf } from './stores/store.ts';
import { Storing } from './storing.ts';

/** Milliseconds to wait after a failure of the store, or while the budget has no room. */
const PAUSE_MS = 1000;
/** Events that are leased for each that is sent at once: the store leases many in one call, and is told of many in one sync. */
const AHEAD = 8;

type Pages = ReturnType<typeof pagesOf> | Iterable<readonly { readonly id: string }[]>;

export class Queue {
  readonly #needs: Needs;
  readonly #pace: SendingPace;
  readonly #open: (onProblem: StoreState['onProblem']) => Promise<DeferredStore>;
  readonly #opened: () => Promise<DeferredStore>;
  /** The leased events, each with a promise that resolves once the store knows what became of it. */
  readonly #leased = new Map<Leased, Promise<void>>();
  /** Those of the leased that wait to be handled, each with a function that says what becomes of it. */
  readonly #unbegun = new Map<Leased, (next: 'handle' | 'give back') => void>();
  /** Those of the leased whose result the store is being told: meanwhile others are sent. */
  readonly #telling = new Set<Leased>();
  #nextLease: NodeJS.Timeout | undefined;
  #refreshing: NodeJS.Timeout | undefined;
  readonly storeState: StoreState;
  readonly storing: Storing;
  /** The latest summary's entries among which `#wakeOthers` has looked. */
  #woken: readonly Entry[] | null = null;
  /** True if no store is in use, since nothing needs it, and nothing is stored. */
  #isAbsent = false;
  /** The settings of the store in use, which a reload does not change; null while none is. */
  inUse: ReturnType<Needs['storeSettings']> | null = null;

  /** Only tests pass `open`. */
  constructor(needs: Needs, open = openStore) {
    const storeSettings = () => this.inUse ?? needs.storeSettings();
    this.#needs = { ...needs, storeSettings };
    this.#pace = new SendingPace(needs.upstream.options.connections);
    this.storeState = new StoreState(this.#needs, () => this.#store());
    this.storeState.onChange = this.#leaseDue; // also when storing.ts has stored a delivery
    this.storing = new Storing(this.#needs, this.storeState, this.#letGo);
    const { onLoss } = this.storeState;
    const opening = { as: 'owner', largestRecord: () => mostSendable(this.#needs), onLoss } as const;
    this.#open = (onProblem) => open({ ...storeSettings(), ...opening, onProblem });
    this.#opened = madeOnce(() => this.#open(this.storeState.onProblem));
  }

  /** The store's directory, or its URL. */
  get location(): string {
    return this.#needs.storeSettings().store;
  }

  /**
   * Makes all deferred deliveries due now, or only the one with `id`, even if the app has refused it; what is being sent,
   * once that is over. Returns how many. The pace still applies: one at a time after a failure. Null if no route has
   * `redeliver`, so that nothing is sent.
   */
  async deliverNow(id: string | null): Promise<number | null> {
    if (!this.sends) return null;
    const pages = id === null ? pagesOf(await this.#store()) : [[{ id }]];
    const count = await this.#wake({ pause: 0, asked: true }, pages);
    this.#pace.endPause();
    this.storeState.changed();
    return count;
  }

  /** True if a store is in use, even if it could not be opened yet. */
  get isUsed(): boolean {
    return this.inUse !== null;
  }

  get sends(): boolean {
    return windowOf(this.#needs.policy(), null) !== null;
  }

  /** True if the numbers of what is stored are known. */
  get isCounted(): boolean {
    return this.isUsed ? this.storeState.summedAt > 0 : this.#isAbsent;
  }

  /** False if redelivery is not configured, and nothing is stored. */
  get isShown(): boolean {
    return this.isUsed || this.location !== STATE_DIRECTORY;
  }

  /** Called at the start and after each reload: opens the store if needed, and looks again at what the rules refused. */
  async adopt(): Promise<void> {
    if (!this.isUsed) {
      this.#isAbsent = !this.sends && isDirectory(this.location) && !(await this.#isLeft());
      if (!this.#isAbsent) await this.#store().catch(this.storeState.onFailure);
    } else if (!this.storeState.isEmpty) {
      const isRefused = ({ note }: Entry) => ALL_WHYS.has(note?.failure ?? 'unreadable');
      const wake = (store: DeferredStore) => this.#wake({ pause: 0 }, pagesOf(store, isRefused));
      await this.#store().then(wake).catch(this.storeState.onFailure);
      this.storeState.changed();
    }
  }

  /** True unless a directory that no route needs holds nothing, or another process has it, which tells what is in it. */
  async #isLeft(): Promise<boolean> {
    const [directory, file] = [dirname(fileIn(this.location)), basename(fileIn(this.location))];
    const names = await readdir(directory).catch((): readonly string[] => []);
    if (!names.includes(file)) return false; // absent, or unreachable
    const store = await this.#open(ignore);
    const isLeft = await Promise.all([store.page(''), store.losses()]).then(
      ([[, entries], losses]) => entries.length + losses.length > 0 || names.some((name) => name.startsWith('aside-')),
      (error: unknown) => !String(error).includes(IN_USE),
    );
    await store.close();
    return isLeft;
  }

  /** Leases nothing more. What is being sent goes on, and fresh deliveries are still stored. */
  stopSending(): void {
    this.storeState.shutdown.abort();
    this.#beginNext();
  }

  /** Resolves when the store knows what became of each leased event. */
  async settled(): Promise<void> {
    await Promise.all(this.#leased.values());
  }

  /** Ends the leases that this process still holds, and closes the store. */
  async close(): Promise<void> {
    this.stopSending();
    clearInterval(this.#refreshing);
    this.storeState.close();
    if (!this.isUsed) return;
    await Promise.all([...this.#leased.keys()].map((leased) => this.storeState.endLease(leased, { pause: 0 })));
    await this.storeState.call((store) => store.close()); // one that hangs is reported when the process ends
  }

  /** The store, which the first call opens: a route needs it, a Redis is configured, or stored deliveries are found. */
  #store(): Promise<DeferredStore> {
    if (this.isUsed) return this.#opened();
    this.inUse = this.#needs.storeSettings();
    const refresh = () => {
      void this.storeState.refresh().then(this.#leaseDue);
      const leases = this.#leases;
      if (leases.length > 0) void this.storeState.call((store) => store.lease({ limit: 0, room: 0, leases }));
    };
    this.#refreshing = setInterval(refresh, REFRESH_EVERY_MS).unref();
    const opened = this.#opened(); // by stores/open-store.ts
    this.storeState.changed();
    refresh();
    return opened;
  }

  /** Makes events due: leased ones only if a person asks, and once the lease ends. Returns how many of all are stored. */
  async #wake(to: { readonly pause: 0; readonly asked?: true }, pages: Pages): Promise<number> {
    const store = await this.#store();
    let count = 0;
    for await (const page of pages) {
      const changed = await store.change(page.map(({ id }) => ({ id, to })));
      count += changed.filter((each) => each !== 'absent').length;
    }
    return count;
  }

  /** Leases what is due, and learns when more will be: called when something was stored or may have become due. */
  readonly #leaseDue = onePerTurn(async () => {
    if (this.storeState.shutdown.signal.aborted) return;
    const wait = await this.#leaseNow();
    clearTimeout(this.#nextLease);
    this.#nextLease = setTimeout(this.#leaseDue, Math.min(wait, REFRESH_EVERY_MS)).unref();
  });

  /** Leases once. Returns the milliseconds until more may be due; infinite if only a later change can bring more. */
  async #leaseNow(): Promise<number> {
    const { budget } = this.#needs;
    const { atOnce } = this.#pace;
    const ahead = atOnce === 1 ? 1 : AHEAD * atOnce;
    // Each that is sent, and of which the store is being told, is replaced by another: twice as many at most.
    const limit = ahead + Math.min(this.#telling.size, ahead) - this.#leased.size;
    if (limit <= 0 || !this.sends || this.storeState.isEmpty) return Number.POSITIVE_INFINITY;
    const pause = this.#pace.notBefore - performance.now();
    if (pause > 0) return pause;
    await this.#wakeOthers(limit).catch(this.storeState.onFailure);
    const quarter = budget.limit / 4;
    const largest = mostSendable(this.#needs);
    // A single delivery may exceed the quarter while no other is in progress: otherwise it would never be sent.
    const isAlone = this.#leased.size === 0 && largest > quarter;
    const used = [...this.#leased.keys()].reduce((sum, each) => sum + memoryOf(each), 0);
    const room = Math.floor(Math.min(isAlone ? largest : quarter - used, budget.most - budget.used));
    if (room < LEAST_BYTES) return PAUSE_MS;
    budget.count(room); // before anything is read
    const request = { limit: isAlone ? 1 : limit, room, leases: this.#leases };
    const due = await this.storeState.call((store) => store.lease(request));
    budget.release(room);
    if (due === null) return PAUSE_MS;
    const { leased, wait } = due;
    for (const each of leased) this.#leased.set(each, this.#work(each));
    this.#beginNext();
    if (leased.length > 0 || wait > 0) return wait;
    return this.#leased.size > 0 ? Number.POSITIVE_INFINITY : PAUSE_MS;
  }

  /** Makes due, to be leased at once, what another process could not verify, and this one can; once for each summary. */
  async #wakeOthers(limit: number): Promise<void> {
    const { soonest } = this.storeState.summary;
    if (soonest === this.#woken) return;
    this.#woken = soonest;
    const policy = this.#needs.policy();
    const others = soonest.filter(({ note }) => note && wantOf(note, policy).why === 'elsewhere').slice(0, limit);
    if (others.length > 0) await this.#wake({ pause: 0 }, [others]);
  }

  /** Waits until the pace allows it, and handles an event. Never rejects. If that fails, its lease runs out. */
  async #work(leased: Leased): Promise<void> {
    const { budget } = this.#needs;
    budget.count(memoryOf(leased));
    const onSent = () => {
      this.#telling.add(leased);
      this.#beginNext();
      void this.#leaseDue();
    };
    const parts = { needs: this.#needs, storeState: this.storeState, pace: this.#pace, onSent };
    const next = await new Promise<'handle' | 'give back'>((resolve) => this.#unbegun.set(leased, resolve));
    if (next === 'handle') await new LeasedEvent(leased, parts).handle().catch(this.storeState.onFailure);
    else await this.storeState.endLease(leased, { pause: 0 });
    this.#leased.delete(leased);
    this.#telling.delete(leased);
    budget.release(memoryOf(leased));
    this.#beginNext();
    void this.#leaseDue();
  }

  /** Begins as many as the pace allows. Once the app fails, or the process stops, all others are given back. */
  #beginNext(): void {
    const isOver = this.storeState.shutdown.signal.aborted || this.#pace.notBefore > performance.now();
    for (const [leased, resolve] of this.#unbegun) {
      const begun = this.#leased.size - this.#unbegun.size - this.#telling.size;
      if (!isOver && begun >= this.#pace.atOnce) return;
      this.#unbegun.delete(leased);
      resolve(isOver ? 'give back' : 'handle');
    }
  }

  /** Gives back the event, if it waits here: the app has taken an equal fresh one. storing.ts then removes it. */
  readonly #letGo = (id: string): void => {
    for (const [leased, resolve] of this.#unbegun)
      if (leased.id === id && this.#unbegun.delete(leased)) resolve('give back');
  };

  get #leases(): readonly string[] {
    return [...this.#leased.keys()].map(({ lease }) => lease);
  }
}

const memoryOf = ({ record }: Leased) => record?.length ?? 0;
