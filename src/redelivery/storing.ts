// A fresh delivery that the app did not take is stored, unless an equal one waits.
import { BoundedCalls } from './bounded-calls.ts';
import { deferredFrom, unknownDeferred } from './deferred.ts';
import type { Deferrable, Room } from './failure-edge.ts';
import type { Telling } from './grouped-log.ts';
import { pauseAfter } from './pace.ts';
import type { RedeliveryParts } from './parts.ts';
import { eventId, sealRecord } from './record.ts';
import type { Schedule } from './schedule.ts';
import type { StoreHealth } from './store-health.ts';
import { countedBytes, type DeferredStore, LEAST_BYTES, type StoredBytes } from './stores/store.ts';
import type { Turns } from './turn.ts';
import type { TurnLoop } from './turn-loop.ts';

/** The part of a window after which an equal event that comes replaces one that waits: it was promised a whole one. */
const MOST_SPENT = 0.25;

const REFUSED = { full: 'it is full', crowded: 'too many deliveries with one body are stored' } as const;

export interface StoringParts {
  readonly store: Promise<DeferredStore>;
  readonly schedule: Schedule;
  readonly turns: Turns;
  readonly loop: TurnLoop;
  readonly health: StoreHealth;
  readonly telling: Telling;
}

export class Storing implements Room {
  readonly #parts: RedeliveryParts;
  readonly #own: StoringParts;
  /** Bodies in the hands of the store: one that hangs must not get any number of them. */
  readonly #calls: BoundedCalls;

  constructor(parts: RedeliveryParts, own: StoringParts) {
    this.#parts = parts;
    this.#own = own;
    this.#calls = new BoundedCalls('the store', () => parts.budget.limit / 4);
  }

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
      this.#own.health.failed(error);
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
    const opened = this.#own.turns.open(id, record, null);
    if (opened.kind === 'unverified') {
      this.#own.telling.tell('error', 'a delivery cannot be stored', { route: route.path, why: opened.detail });
      return 'passes';
    }
    const store = await this.#own.store;
    let added = await store.add(id, record, 'nothing');
    if (added === 'known' && !(await this.#waits(store, id, record))) added = await store.add(id, record, 'existing');
    if (added === 'known') return 'stored';
    if (added !== 'stored') {
      this.#own.health.failed(new Error(REFUSED[added]));
      return 'passes';
    }
    const entry = deferredFrom({ id, bytes: countedBytes(record), at, progress: null });
    const due = Date.now() + pauseAfter(0, 0);
    this.#own.schedule.add({ ...entry, route: route.path, secret: permit.secret, key, failure, checked: true, due });
    this.#own.loop.run();
    return 'stored';
  }

  /** True if what is stored under the id is sent by itself for about as long as `record` would be. */
  async #waits(store: DeferredStore, id: string, record: StoredBytes): Promise<boolean> {
    const { schedule, turns, loop } = this.#own;
    const known = schedule.get(id);
    // One at work may have been taken already, before this one came: then it must not stand for this one.
    if (known?.busy === true || loop.isAtWork(id)) return false;
    if (known !== undefined && (known.ended !== null || known.state !== 'waiting')) return false;
    const bytes = countedBytes(record); // an equal one is about as large
    if (!this.#parts.budget.reserveSpare(bytes)) return false;
    if (known !== undefined) known.busy = true; // nothing else may claim it meanwhile
    try {
      // Whoever stored it, and whatever it was then: the rules in force say whether it would be sent.
      const claimed = await store.claim(id);
      if (claimed.kind === 'dropped') turns.dropped(known ?? unknownDeferred(id));
      if (claimed.kind !== 'claimed') return false;
      const opened = turns.open(id, claimed.record, claimed.progress);
      await store.release(claimed.claim, null);
      if (opened.kind !== 'verified' || opened.progress?.stopped === true) return false;
      const { at } = opened.facts;
      const end = turns.endOf({ at, route: opened.route.path });
      return Date.now() - at < (end - at) * MOST_SPENT;
    } finally {
      this.#parts.budget.release(bytes);
      if (known !== undefined) schedule.wait(known, known.due);
      loop.run();
    }
  }
}
