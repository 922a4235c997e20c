// Redelivery: deliveries that the app did not take are stored, and sent again until it takes them or their window is over.
// The store is the schedule. This file stores what comes, and takes what is due, as much at once as the pace allows, and
// within a quarter of the budget; turn.ts says what happens to each, standing.ts how the store stands.
//
//   defer -> stored -> due: taken -> checked by every rule -> (once) -> sent -> taken by the app, or over: removed
//                                              |                          |-> refused: stopped
//                                              `-> unverified: stays      `-> failed: waits
import { setTimeout as sleep } from 'node:timers/promises';
import { deadline } from '../base/deadline.ts';
import { ignore } from '../base/errors.ts';
import type { Deferrable, Fresh } from './failure-edge.ts';
import type { Needs } from './needs.ts';
import { pauseAfter, SendingPace } from './pace.ts';
import { describedAs, eventId, mostBytes, openRecord, sealRecord } from './record.ts';
import { Report } from './report.ts';
import { Standing } from './standing.ts';
import { openStore } from './stores/open-store.ts';
import {
  bytesOf,
  type DeferredStore,
  type Entry,
  LEAST_BYTES,
  MAX_OF_ONE_BODY,
  type StoreOptions,
  type Taken,
  TIME_LIMIT_MS,
} from './stores/store.ts';
import { turnOf } from './turn.ts';

/** The most at work at once: a quarter of the slots, so that fresh deliveries find one. */
const MOST_AT_WORK = 8;
/** Milliseconds: the longest that it sleeps, since other processes store, too; what is at work is renewed as often. */
const LOOK_EVERY_MS = 10_000;
/** Milliseconds after a failure of the store, or where the budget has no room. */
const PAUSE_MS = 1000;
/** Fresh deliveries that the app took, and of which a store that is slow has not been told. */
const MOST_TOLD = 1000;

const CROWDED = `a delivery is not stored: ${MAX_OF_ONE_BODY} with its body are already`;
const LATE = 'a delivery was stored late: its client has been told of a failure';

export class Queue implements Fresh {
  readonly #needs: Needs;
  readonly #store: Promise<DeferredStore>;
  readonly #pace: SendingPace;
  readonly #stopped = new AbortController();
  /** Bytes in the hands of the store. */
  #storing = 0;
  /** Functions that begin to store a delivery each, and the bytes that it needs. */
  readonly #waiting = new Map<() => void, number>();
  #telling = 0;
  /** Taken, and not yet answered. */
  #sending = 0;
  /** Taken, and not yet set or removed, each with the end of that. */
  readonly #atWork = new Map<Taken, Promise<void>>();
  /** Resolves when something may have become due. */
  #bell = Promise.withResolvers<void>();
  readonly #renewals: NodeJS.Timeout;
  readonly report: Report;
  readonly standing: Standing;

  /** `open` is given by tests. */
  constructor(needs: Needs, open = openStore) {
    const report = new Report(needs);
    const onRemark: StoreOptions['onRemark'] = (message, fields) => report.tell('warn', message, fields);
    const rules = { as: 'owner', mostBytes: () => mostBytes(needs), onRemark, onLoss: report.lost } as const;
    this.#needs = needs;
    this.#store = open({ ...needs.store, ...rules }, report.set);
    const quarter = Math.floor(needs.upstream.options.connections / 4);
    this.#pace = new SendingPace(Math.max(1, Math.min(MOST_AT_WORK, quarter)));
    this.report = report;
    this.standing = new Standing(this.#store, report);
    this.#renewals = setInterval(() => void this.#renew(), LOOK_EVERY_MS).unref();
    void this.#takeAll();
  }

  // --- fresh deliveries

  /** In order of arrival: small ones that overtake a large one could keep it waiting until its time is over. */
  defer(delivery: Deferrable, failure: string): Promise<'stored' | 'passes'> {
    const { budget } = this.#needs;
    const bytes = Math.max(LEAST_BYTES, delivery.body.buffer.byteLength);
    const { promise, resolve } = Promise.withResolvers<'stored' | 'passes'>();
    let isLate = false;
    const begin = async () => {
      this.#waiting.delete(begin);
      this.#storing += bytes;
      const told = await this.#keep(delivery, failure).catch((error: unknown) => {
        if (!isLate) this.report.passes('failing', error);
        return 'passes' as const;
      });
      cancel();
      this.#storing -= bytes;
      if (isLate) budget.release(bytes);
      if (isLate && told === 'stored') this.report.tell('info', LATE, { route: delivery.route.path });
      resolve(told);
      this.#beginNext();
    };
    const cancel = deadline(TIME_LIMIT_MS, () => {
      isLate = !this.#waiting.delete(begin);
      if (isLate) budget.hold(bytes); // whoever gave the body lets it go now, and the store still has it
      this.report.passes('slow', `the store did not answer within ${TIME_LIMIT_MS} ms`);
      resolve('passes');
    });
    this.#waiting.set(begin, bytes);
    this.#beginNext();
    return promise;
  }

  /** A store that hangs must not get any number of bodies. One alone may be larger. */
  #beginNext(): void {
    for (const [begin, bytes] of this.#waiting) {
      if (this.#storing > 0 && this.#storing + bytes > this.#needs.budget.limit / 4) return;
      begin();
    }
  }

  /** May store it after `defer` has given up: then it is sent although its client was told of a failure. */
  async #keep(delivery: Deferrable, failure: string): Promise<'stored' | 'passes'> {
    const { permit, policy, at, route, head, body } = delivery;
    const { report } = this;
    const key = policy.keyring.secrets.find((secret) => secret.id === permit.secret)?.key;
    if (key === undefined || permit.secret === null) return 'passes';
    const record = sealRecord(delivery, { at, secret: permit.secret, name: this.#needs.store.name, failure }, key);
    const id = eventId(head, body);
    // A promise to send what could not be sent would be worse than none.
    if (bytesOf(record) > mostBytes(this.#needs)) throw new Error('limits.bufferedBytes is too small to send it');
    const opened = openRecord(id, record, this.#needs);
    if (opened.kind === 'unverified') {
      report.tell('error', 'a delivery cannot be stored', { route: route.path, why: opened.why });
      return 'passes';
    }
    const note = { ...describedAs(opened), attempts: 0, tried: 0, failure };
    const added = await (await this.#store).add({ id, record, note }, pauseAfter(0, 0));
    if (added === 'full') report.passes('full', 'it is full');
    if (added === 'crowded') report.tell('warn', CROWDED, { route: route.path, id });
    if (added === 'full' || added === 'crowded') return 'passes';
    if (added === 'replaced') report.tell('info', 'a deferred delivery was replaced by an equal one', { id });
    report.stored();
    this.standing.isStale = true;
    this.#bell.resolve();
    return 'stored';
  }

  taken({ head, body, at, route }: Deferrable): void {
    // Where it is not told, an equal one is sent again.
    if (this.standing.isEmpty || this.#telling >= MOST_TOLD) return;
    const id = eventId(head, body);
    this.#telling++;
    void this.#store
      .then((store) => store.end(id, Math.max(0, Date.now() - at)))
      .then((isEnded) => {
        this.standing.isStale ||= isEnded;
        if (isEnded) this.report.result('delivered', id, { route: route.path });
      })
      .catch(this.report.failed)
      .finally(() => this.#telling--);
  }

  // --- for people

  /**
   * Makes what is deferred due now, also what the app refused; `id`: this one alone. Returns how many there are. Their pace
   * stays: one at a time until the app takes one. `not sent`: no route has `redeliver`.
   */
  async deliverNow(id: string | null): Promise<number | 'not sent'> {
    if (this.#needs.windowOf(null) === null) return 'not sent';
    const count = id === null ? await this.#wake(() => true) : await (await this.#store).wake([id]);
    this.#pace.now();
    this.standing.isStale = true;
    this.#bell.resolve();
    return count;
  }

  // --- life

  /** Secrets and routes have changed: what nothing verified may be sendable now. */
  async adopt(): Promise<void> {
    if (!this.standing.isEmpty) await this.#wake(({ state }) => state === 'unverified').catch(this.report.failed);
    this.#bell.resolve();
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
    clearInterval(this.#renewals);
    this.standing.stop();
    this.report.flush();
    const store = await this.#store.catch(() => null); // it was never opened
    await Promise.allSettled(this.#held.map((taken) => store?.set(taken, { ...taken, pause: 0, note: null })));
    await store?.close().catch(this.report.failed);
  }

  async #wake(asked: (entry: Entry) => boolean): Promise<number> {
    const store = await this.#store;
    let count = 0;
    for await (const page of store.list()) {
      const ids = page.filter(asked).map(({ id }) => id);
      if (ids.length > 0) count += await store.wake(ids);
    }
    return count;
  }

  // --- taking

  async #takeAll(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      this.#bell = Promise.withResolvers(); // changes from now on are seen by the next look
      const wait = await this.#take().catch((error: unknown) => {
        if (!this.#stopped.signal.aborted) this.report.failed(error);
        return PAUSE_MS;
      });
      if (wait <= 0) continue;
      const timer = setTimeout(this.#bell.resolve, Math.min(wait, LOOK_EVERY_MS)).unref();
      await this.#bell.promise;
      clearTimeout(timer);
    }
  }

  /** Returns the milliseconds until there is more to take; infinite if something else will ask then. */
  async #take(): Promise<number> {
    const { budget } = this.#needs;
    // A sending that was answered needs no slot while the store is told: that and the next take are one change of it.
    const free = Math.min(this.#pace.most - this.#sending, 2 * this.#pace.most - this.#atWork.size);
    if (free <= 0 || this.#needs.windowOf(null) === null || this.standing.isEmpty) return Number.POSITIVE_INFINITY;
    const pause = this.#pace.notBefore - performance.now();
    if (pause > 0) return pause;
    const quarter = budget.limit / 4;
    const most = mostBytes(this.#needs);
    // One alone may be larger; else it would never be sent.
    const isAlone = this.#atWork.size === 0 && most > quarter;
    const used = this.#held.reduce((sum, taken) => sum + memoryOf(taken), 0);
    const room = Math.floor(Math.min(isAlone ? most : quarter - used, budget.most - budget.used));
    if (room < LEAST_BYTES) return PAUSE_MS;
    budget.hold(room); // nothing is read before
    const asked = { limit: isAlone ? 1 : free, room, held: this.#held };
    const taking = this.#store.then((store) => store.take(asked));
    const { taken, wait } = await taking.finally(() => budget.release(room));
    for (const each of taken) this.#begin(each);
    if (taken.length > 0 || wait > 0) return wait;
    return this.#atWork.size > 0 ? Number.POSITIVE_INFINITY : PAUSE_MS;
  }

  #begin(taken: Taken): void {
    const bytes = memoryOf(taken);
    this.#needs.budget.hold(bytes);
    this.#sending++;
    const work = this.#work(taken).catch(this.report.failed);
    const end = work.then(() => {
      this.#atWork.delete(taken);
      this.#needs.budget.release(bytes);
      this.#bell.resolve();
    });
    this.#atWork.set(taken, end);
  }

  /** Until the store is told, the delivery stays at work, so that it is not sent again without need. */
  async #work(taken: Taken): Promise<void> {
    const stopped = this.#stopped.signal;
    const { setting, note, results } = await turnOf(taken, { needs: this.#needs, pace: this.#pace, stopped });
    this.#sending--;
    this.#bell.resolve();
    for (let tries = 1; ; tries++) {
      try {
        const store = await this.#store;
        const isChanged = await (setting === null ? store.remove(taken) : store.set(taken, setting));
        this.standing.isStale = true;
        // Else an equal one has replaced it, or somebody else has it. A change whose answer was lost may have taken effect.
        if (isChanged || tries > 1) for (const result of results) this.report.result(result, taken.id, note);
        return;
      } catch (error) {
        if (stopped.aborted) throw error;
        this.report.failed(error);
      }
      await sleep(PAUSE_MS, undefined, { signal: stopped }).catch(ignore);
    }
  }

  get #held(): readonly Taken[] {
    return [...this.#atWork.keys()];
  }

  async #renew(): Promise<void> {
    if (this.#atWork.size === 0) return;
    const renewing = this.#store.then((store) => store.take({ limit: 0, room: 0, held: this.#held }));
    await renewing.catch(this.report.failed);
  }
}

const memoryOf = ({ record, bytes }: Taken) => (typeof record === 'string' ? 0 : bytes);
