// Redelivery: deliveries that the app did not take are stored, and sent again until it takes them or their window is
// over. This file stores, looks and begins; turn.ts says what happens to each, schedule.ts when, record.ts what may be
// sent, sending.ts how.
//
//   defer -> stored -> its turn: claim -> read, checked by every rule -> (once) -> send -> taken: removed
//                                                  |                                 |-> refused: stopped
//                                                  `-> unverified: stays             `-> failed: waits
import { setTimeout as sleep } from 'node:timers/promises';
import type { DeferredTotals } from '../core/record.ts';
import { BoundedCalls } from './bounded-calls.ts';
import type { Deferrable, Room } from './failure-edge.ts';
import type { RedeliveryParts } from './parts.ts';
import { eventId, peekProgress, sealRecord } from './record.ts';
import { type Deferred, Pace, pauseAfter, Schedule } from './schedule.ts';
import { countedBytes, type DeferredStore, type Entry, LEAST_BYTES, type StoredBytes } from './store.ts';
import { Telling } from './telling.ts';
import { BUSY_PAUSE_MS, Turns } from './turn.ts';

/** The most at work at once: a quarter of the slots, so that fresh deliveries find one. */
const MOST_AT_WORK = 8;
const LOOK_EVERY_MS = 10_000;
/** What a start found is read in small lots, so that it is known which secrets sign it long before each turn. */
const READ_EACH_LOOK = 500;
const FAILED_PAUSE_MS = 1000;
const CLOSE_MS = 2000;
/** The part of a window after which an equal event that comes replaces one that waits: it was promised a whole one. */
const MOST_SPENT = 0.25;

export class Redelivery implements Room {
  readonly #parts: RedeliveryParts;
  readonly #store: Promise<DeferredStore>;
  readonly #schedule = new Schedule();
  readonly #pace: Pace;
  readonly #telling: Telling;
  readonly #turns: Turns;
  #atWork = 0;
  /** Ids at work: one sending of each. What replaces one at work waits until that is over. */
  readonly #working = new Set<string>();
  /** Bytes of deliveries that are at work. */
  #bytes = 0;
  /** Bodies in the hands of the store: one that hangs must not get any number of them. */
  readonly #calls: BoundedCalls;
  /** Nothing is begun before: the store failed. By `performance.now()`. */
  #pausedUntil = 0;
  #timer: NodeJS.Timeout | undefined;
  #looks: NodeJS.Timeout | undefined;
  #state: 'runs' | 'stopping' = 'runs';
  readonly #onIdle: (() => void)[] = [];
  /** How often the store failed, was full, or was too slow. */
  failures = 0;
  /** The store's present problem; null if none is known. */
  failure: string | null = null;

  constructor(parts: RedeliveryParts) {
    this.#parts = parts;
    this.#telling = new Telling(parts.tell);
    this.#calls = new BoundedCalls('the store', () => parts.budget.limit / 4);
    this.#pace = new Pace(Math.max(1, Math.min(MOST_AT_WORK, Math.floor(parts.upstream.options.connections / 4))));
    this.#turns = new Turns(parts, { schedule: this.#schedule, pace: this.#pace, telling: this.#telling });
    this.#store = parts.open((failure) => this.#setFailure(failure));
    this.#store.catch(() => {}); // each use reports it
    void this.#lookAgain();
  }

  // --- storing

  async defer(delivery: Deferrable, failure: string): Promise<'stored' | 'passes'> {
    const { budget } = this.#parts;
    const bytes = Math.max(LEAST_BYTES, delivery.body.buffer.byteLength);
    let kept: Promise<'stored' | 'passes'> | null = null;
    try {
      return await this.#calls.run(() => {
        kept = this.#keep(delivery, failure);
        return kept;
      }, bytes);
    } catch (error) {
      this.#failed(error);
      if (kept !== null) {
        // Whoever gave the body is told now, and lets it go; a store that is too slow still holds it.
        budget.hold(bytes);
        const release = () => budget.release(bytes);
        (kept as Promise<unknown>).then(release, release);
      }
      return 'passes';
    }
  }

  /** May store it after `defer` has given up: then it is sent although its client was told of a failure. */
  async #keep(delivery: Deferrable, failure: string): Promise<'stored' | 'passes'> {
    const { permit, policy, at, route } = delivery;
    const key = policy.keyring.secrets.find((secret) => secret.id === permit.secret)?.key;
    if (key === undefined || permit.secret === null) return 'passes';
    const record = sealRecord(delivery, { at, secret: permit.secret, failure }, { key, name: this.#parts.name });
    const id = eventId(delivery.head, delivery.body);
    // A promise to send what could not be sent would be worse than none.
    if (countedBytes(record) > this.#parts.mostBytes()) throw new Error('limits.bufferedBytes is too small to send it');
    const opened = this.#turns.open(id, record, null);
    if (opened.kind === 'unverified') {
      this.#telling.tell('error', 'a delivery cannot be stored', { route: route.path, why: opened.detail });
      return 'passes';
    }
    const store = await this.#store;
    let added = await store.add(id, record, 'nothing');
    if (added === 'known' && !(await this.#waits(store, id, record))) added = await store.add(id, record, 'existing');
    if (added === 'known') return 'stored';
    if (added !== 'stored') {
      this.#failed(new Error(added === 'full' ? 'it is full' : 'too many deliveries with one body are stored'));
      return 'passes';
    }
    const entry = this.#entryOf({ id, bytes: countedBytes(record), at, progress: null });
    const due = Date.now() + pauseAfter(0, 0);
    this.#schedule.add({ ...entry, route: route.path, secret: permit.secret, key, failure, checked: true, due });
    this.#run();
    return 'stored';
  }

  /** True if what is stored under the id is sent by itself for about as long as `record` would be. */
  async #waits(store: DeferredStore, id: string, record: StoredBytes): Promise<boolean> {
    const known = this.#schedule.get(id);
    // One at work may have been taken already, before this one came: then it must not stand for this one.
    if (known?.busy === true || this.#working.has(id)) return false;
    if (known !== undefined && (known.ended !== null || known.state !== 'waiting')) return false;
    const bytes = countedBytes(record); // an equal one is about as large
    if (!this.#parts.budget.reserveSpare(bytes)) return false;
    if (known !== undefined) known.busy = true; // nothing else may claim it meanwhile
    try {
      // Whoever stored it, and whatever it was then: the rules in force say whether it would be sent.
      const claimed = await store.claim(id);
      if (claimed.kind === 'dropped') this.#turns.dropped(known ?? this.#unknown(id));
      if (claimed.kind !== 'claimed') return false;
      const opened = this.#turns.open(id, claimed.record, claimed.progress);
      await store.release(claimed.claim, null);
      if (opened.kind !== 'verified' || opened.progress?.stopped === true) return false;
      const { at } = opened.facts;
      const end = this.#turns.endOf({ at, route: opened.route.path });
      return Date.now() - at < (end - at) * MOST_SPENT;
    } finally {
      this.#parts.budget.release(bytes);
      if (known !== undefined) this.#schedule.wait(known, known.due);
    }
  }

  // --- for people

  totals(): DeferredTotals {
    return this.#schedule.totals();
  }

  /** What is deferred, in no order. */
  list(): Iterable<Readonly<Deferred>> {
    return this.#schedule.all();
  }

  /**
   * Lets what is deferred be tried now, also what the app refused; `id`: this one alone. Returns how many. Their pace
   * stays: one at a time until the app takes one.
   */
  deliverNow(id: string | null): number {
    const one = id === null ? undefined : this.#schedule.get(id);
    const asked = id === null ? [...this.#schedule.all()] : one === undefined ? [] : [one];
    for (const entry of asked) {
      entry.asked = true;
      if (!entry.busy) this.#schedule.wait(entry, Math.min(entry.at, Date.now()));
    }
    this.#pace.now();
    this.#run();
    return asked.length;
  }

  // --- life

  /** Secrets and routes have changed: what nothing verified may be sendable now. */
  adopt(): void {
    for (const entry of this.#schedule.all()) {
      if (entry.state === 'unverified' && !entry.busy) this.#schedule.wait(entry, Date.now());
    }
    this.#run();
  }

  /** Begins no sending from now on; those at work go on. Deliveries are still stored. */
  stopSending(): void {
    this.#state = 'stopping';
    clearTimeout(this.#timer);
    clearTimeout(this.#looks);
  }

  /** Resolves when nothing is being sent. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#atWork === 0) resolve();
      else this.#onIdle.push(resolve);
    });
  }

  async close(): Promise<void> {
    this.stopSending();
    await within(CLOSE_MS, this.settled());
    this.#telling.flush();
    const closed = this.#store.then((store) => store.close());
    await within(CLOSE_MS, closed).catch((error: unknown) => this.#failed(error));
  }

  // --- looking

  async #lookAgain(): Promise<void> {
    if (this.#parts.longestWindow() !== null) {
      this.#schedule.catchUp(Date.now());
      await this.#look().catch((error: unknown) => this.#failed(error));
      this.#run();
    }
    this.#telling.flush();
    if (this.#state === 'runs') this.#looks = setTimeout(() => void this.#lookAgain(), LOOK_EVERY_MS).unref();
  }

  /** Learns what is in the store, and what is no longer; reads some, and removes what is long over, whatever the pace. */
  async #look(): Promise<void> {
    const known = new Map([...this.#schedule.all()].map((entry) => [entry.id, entry]));
    const { entries, dropped } = await (await this.#store).list();
    const listed = new Set(entries.map(({ id }) => id));
    for (const id of listed) known.delete(id);
    // One that is listed was dropped before it was stored anew.
    for (const id of dropped) this.#turns.dropped(known.get(id) ?? this.#unknown(id));
    // The turn of one that has ended lets go of its claim.
    for (const entry of known.values()) if (!entry.busy && entry.ended === null) this.#schedule.delete(entry);
    for (const entry of entries)
      if (this.#schedule.get(entry.id) === undefined) this.#schedule.add(this.#entryOf(entry));
    let unread = READ_EACH_LOOK;
    for (const entry of [...this.#schedule.all()]) {
      if (this.#state !== 'runs' || performance.now() < this.#pausedUntil) return;
      if (entry.busy) continue;
      const isOver = Date.now() >= this.#turns.overAt(entry);
      if (isOver || (!entry.checked && unread-- > 0)) await this.#work(entry, 'read');
    }
  }

  /** Of one that was dropped before anything was known of it here. */
  #unknown(id: string): Deferred {
    return this.#entryOf({ id, bytes: 0, at: Date.now(), progress: null });
  }

  #entryOf({ id, bytes, at, progress }: Entry): Deferred {
    const now = Date.now();
    const known = progress === null ? null : peekProgress(progress);
    const { attempts = 0, failure = '', stopped = false } = known ?? {};
    const due = known === null ? at : Math.min(known.tried, now) + pauseAfter(attempts, Math.random());
    const entry: Deferred = {
      id,
      bytes,
      at: Math.min(at, now),
      checked: false,
      state: stopped ? 'stopped' : 'waiting',
      due,
      busy: false,
      attempts,
      failure,
      route: null,
      secret: null,
      key: null,
      asked: false,
      claim: null,
      ended: null,
      unwritten: null,
    };
    return Object.assign(entry, { due: Math.min(stopped ? Number.POSITIVE_INFINITY : due, this.#turns.endOf(entry)) });
  }

  // --- sending

  /** Begins what may begin now, and comes back when something else may. */
  readonly #run = (): void => {
    clearTimeout(this.#timer);
    if (this.#state !== 'runs' || this.#parts.longestWindow() === null) return;
    const { budget } = this.#parts;
    while (this.#atWork < this.#pace.most) {
      const entry = this.#schedule.next();
      if (entry === null) return;
      const pause = Math.max(this.#pace.notBefore, this.#pausedUntil) - performance.now();
      const wait = Math.max(entry.due - Date.now(), pause);
      if (wait > 0) {
        this.#timer = setTimeout(this.#run, Math.min(wait, LOOK_EVERY_MS)).unref();
        return;
      }
      // One alone may be larger; else it would never be sent.
      const bytes = this.#bytesOf(entry);
      if (this.#atWork > 0 && this.#bytes + bytes > budget.limit / 4) return;
      void this.#work(entry, 'send');
    }
  };

  /** Of memory: what is over the limits is not read. */
  #bytesOf({ bytes }: Deferred): number {
    return bytes > this.#parts.mostBytes() ? 0 : bytes;
  }

  async #work(entry: Deferred, may: 'send' | 'read'): Promise<void> {
    const { id } = entry;
    const { budget } = this.#parts;
    const bytes = this.#bytesOf(entry);
    if (this.#working.has(id)) return this.#schedule.wait(entry, Date.now() + BUSY_PAUSE_MS);
    // It must not hold up those behind it.
    if (!budget.reserveSpare(bytes)) return this.#schedule.wait(entry, Date.now() + FAILED_PAUSE_MS);
    this.#working.add(id);
    entry.busy = true;
    this.#atWork++;
    this.#bytes += bytes;
    try {
      await this.#turns.take(await this.#store, entry, may);
    } catch (error) {
      this.#failed(error);
      this.#pausedUntil = performance.now() + FAILED_PAUSE_MS;
      this.#schedule.wait(entry, Date.now() + BUSY_PAUSE_MS);
    }
    this.#working.delete(id);
    this.#atWork--;
    this.#bytes -= bytes;
    budget.release(bytes);
    if (this.#atWork === 0) this.#idle();
    this.#run();
  }

  #idle(): void {
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  // --- the store's failures

  #failed(error: unknown): void {
    this.failures++;
    if (this.failure !== null) return; // the store has told
    const problem = error instanceof Error ? error.message : String(error);
    this.#telling.tell('error', 'the store of deferred deliveries fails', { problem });
  }

  #setFailure(failure: string | null): void {
    const changed = (failure === null) !== (this.failure === null);
    this.failure = failure;
    if (!changed) return;
    if (failure === null) this.#telling.tell('info', 'the store of deferred deliveries works', {});
    else this.#telling.tell('error', 'the store of deferred deliveries fails', { problem: failure });
  }
}

/** Waits no longer: a disk that hangs must not hold up a stop. */
async function within(ms: number, job: Promise<unknown>): Promise<void> {
  const over = new AbortController();
  await Promise.race([job, sleep(ms, undefined, over).catch(() => {})]).finally(() => over.abort());
}
