// Redelivery: deliveries that the app did not take are stored, and sent again until it takes them or their window is
// over. This file joins the parts, and looks what is in the store; storing.ts stores, turn-loop.ts begins, turn.ts says what
// happens to each, schedule.ts and pace.ts when, record.ts what may be sent, sending.ts how.
//
//   defer -> stored -> its turn: claim -> read, checked by every rule -> (once) -> send -> taken: removed
//                                                  |                                 |-> refused: stopped
//                                                  `-> unverified: stays             `-> failed: waits
import { setTimeout as sleep } from 'node:timers/promises';
import type { DeferredTotals } from '../core/request-record.ts';
import { type Deferred, deferredFrom, unknownDeferred } from './deferred.ts';
import type { Deferrable, Room } from './failure-edge.ts';
import { Telling } from './grouped-log.ts';
import { Pace } from './pace.ts';
import type { RedeliveryParts } from './parts.ts';
import { Schedule } from './schedule.ts';
import { StoreHealth } from './store-health.ts';
import type { DeferredStore, Entry } from './stores/store.ts';
import { Storing } from './storing.ts';
import { Turns } from './turn.ts';
import { TurnLoop } from './turn-loop.ts';

/** The most at work at once: a quarter of the slots, so that fresh deliveries find one. */
const MOST_AT_WORK = 8;
const LOOK_EVERY_MS = 10_000;
/** What a start found is read in small lots, so that it is known which secrets sign it long before each turn. */
const READ_EACH_LOOK = 500;
/** Removals among them share a sync, and sendings find a place beside them. */
const READ_AT_ONCE = 4;
const CLOSE_MS = 2000;

export class Redelivery implements Room {
  readonly #parts: RedeliveryParts;
  readonly #store: Promise<DeferredStore>;
  readonly #schedule = new Schedule();
  readonly #pace: Pace;
  readonly #telling: Telling;
  readonly #health: StoreHealth;
  readonly #turns: Turns;
  readonly #loop: TurnLoop;
  readonly #storing: Storing;
  #looks: NodeJS.Timeout | undefined;

  constructor(parts: RedeliveryParts) {
    const schedule = this.#schedule;
    const pace = new Pace(Math.max(1, Math.min(MOST_AT_WORK, Math.floor(parts.upstream.options.connections / 4))));
    const telling = new Telling(parts.tell);
    const health = new StoreHealth(telling);
    const turns = new Turns(parts, { schedule, pace, telling });
    const store = parts.open((problem) => health.set(problem));
    store.catch(() => {}); // each use reports it
    const loop = new TurnLoop(parts, { store, schedule, pace, turns, health });
    this.#parts = parts;
    this.#store = store;
    this.#pace = pace;
    this.#telling = telling;
    this.#health = health;
    this.#turns = turns;
    this.#loop = loop;
    this.#storing = new Storing(parts, { store, schedule, turns, loop, health, telling });
    void this.#lookAgain();
  }

  defer(delivery: Deferrable, failure: string): Promise<'stored' | 'passes'> {
    return this.#storing.defer(delivery, failure);
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
    this.#loop.run();
    return asked.length;
  }

  /** How often the store failed, was full, or was too slow. */
  get failures(): number {
    return this.#health.failures;
  }

  /** The store's present problem; null if none is known. */
  get failure(): string | null {
    return this.#health.problem;
  }

  // --- life

  /** Secrets and routes have changed: what nothing verified may be sendable now. */
  adopt(): void {
    for (const entry of this.#schedule.all()) {
      if (entry.state === 'unverified' && !entry.busy) this.#schedule.wait(entry, Date.now());
    }
    this.#loop.run();
  }

  /** Begins no sending from now on; those at work go on. Deliveries are still stored. */
  stopSending(): void {
    this.#loop.stop();
    clearTimeout(this.#looks);
  }

  /** Resolves when nothing is being sent. */
  settled(): Promise<void> {
    return this.#loop.settled();
  }

  async close(): Promise<void> {
    this.stopSending();
    await within(CLOSE_MS, this.settled());
    await within(CLOSE_MS, this.#removeEnded()).catch((error: unknown) => this.#health.failed(error));
    this.#telling.flush();
    const closed = this.#store.then((store) => store.close());
    await within(CLOSE_MS, closed).catch((error: unknown) => this.#health.failed(error));
  }

  /** What the app took, and could not be removed yet: the next process would send it again. */
  async #removeEnded(): Promise<void> {
    const store = await this.#store;
    const ended = [...this.#schedule.all()].filter(({ ended, busy }) => ended !== null && !busy);
    await Promise.all(ended.map((entry) => this.#turns.take(store, entry, 'read')));
  }

  // --- looking

  async #lookAgain(): Promise<void> {
    if (this.#parts.longestWindow() !== null) {
      this.#schedule.catchUp(Date.now());
      await this.#look().catch((error: unknown) => this.#health.failed(error));
      this.#loop.run();
    }
    this.#telling.flush();
    if (this.#loop.runs) this.#looks = setTimeout(() => void this.#lookAgain(), LOOK_EVERY_MS).unref();
  }

  /** Learns what is in the store, and what is no longer; reads some, and removes what is long over, whatever the pace. */
  async #look(): Promise<void> {
    const known = new Map([...this.#schedule.all()].map((entry) => [entry.id, entry]));
    const { entries, dropped } = await (await this.#store).list();
    for (const { id } of entries) known.delete(id);
    // One that is listed was dropped before it was stored anew.
    for (const id of dropped) this.#turns.dropped(known.get(id) ?? unknownDeferred(id));
    // The turn of one that has ended lets go of its claim.
    for (const entry of known.values()) if (!entry.busy && entry.ended === null) this.#schedule.delete(entry);
    for (const entry of entries) if (this.#schedule.get(entry.id) === undefined) this.#add(entry);
    let unread = READ_EACH_LOOK;
    const isOver = (entry: Deferred) => Date.now() >= this.#turns.overAt(entry);
    const found = [...this.#schedule.all()].filter((entry) => isOver(entry) || (!entry.checked && unread-- > 0));
    for (let at = 0; at < found.length && this.#loop.mayBegin; at += READ_AT_ONCE) {
      const some = found.slice(at, at + READ_AT_ONCE).filter(({ busy }) => !busy);
      await Promise.all(some.map((entry) => this.#loop.take(entry, 'read')));
    }
  }

  #add(entry: Entry): void {
    const found = deferredFrom(entry);
    this.#schedule.add({ ...found, due: Math.min(found.due, this.#turns.endOf(found)) });
  }
}

/** Waits no longer: a disk that hangs must not hold up a stop. */
async function within(ms: number, job: Promise<unknown>): Promise<void> {
  const over = new AbortController();
  await Promise.race([job, sleep(ms, undefined, over).catch(() => {})]).finally(() => over.abort());
}
