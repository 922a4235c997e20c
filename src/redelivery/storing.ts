// Deliveries that the app did not take, on their way into the store, each within a time limit.
import { deadline } from '../base/deadline.ts';
import { pauseAfter } from './pace.ts';
import type { Needs } from './process-parts.ts';
import { admitRecord, type Deferrable, eventId, eventToStore } from './record.ts';
import type { StoreState } from './store-state.ts';
import { countedBytes, LEAST_BYTES, MAX_OF_ONE_BODY, TIME_LIMIT_MS } from './stores/store.ts';

/** The maximum number of calls in progress that tell the store of a taken delivery: a slow store would pile them up. */
const MOST_CALLS = 1000;
/** Bytes of the events that are leased at once to give way to a fresh one: more could outlive their leases. */
const MOST_LEASED = 32 * LEAST_BYTES;

const LATE = 'a delivery was stored late: its client has been told of a failure';
const CROWDED = `a delivery is not stored: ${MAX_OF_ONE_BODY} with its body are already`;

type StoreResult = 'stored' | 'not stored';

/** Whether a delivery is stored; neither rejects. */
export interface Deferral {
  /** What its client is told, within about a second. A slow store may still store it later. */
  readonly inTime: Promise<StoreResult>;
  /** Resolves once that is known, or the process stops: until then the store reads the body. */
  readonly atLast: Promise<StoreResult>;
}

/** A delivery on its way into the store. */
interface Incoming {
  readonly delivery: Deferrable;
  readonly failure: string;
  /** What its body counts in the budget. */
  readonly counted: number;
  readonly inTime: PromiseWithResolvers<StoreResult>;
  readonly atLast: PromiseWithResolvers<StoreResult>;
  /** True if the time limit passed after it was given to the store: then it may still be stored. */
  isLate: boolean;
}

export class Storing {
  readonly #needs: Needs;
  readonly #storeState: StoreState;
  /** Called with the id of an event that need not be sent any more. */
  readonly #letGo: (id: string) => void;
  /** What counts of those that were given to the store, and for which it has not answered yet. */
  #bytesAtStore = 0;
  readonly #waiting = new Set<Incoming>();
  #callsOfTaken = 0;

  constructor(needs: Needs, storeState: StoreState, letGo: (id: string) => void) {
    this.#needs = needs;
    this.#storeState = storeState;
    this.#letGo = letGo;
  }

  /** Stores a delivery. `failure`: why the app did not take it. */
  defer(delivery: Deferrable, failure: string): Deferral {
    const counted = countedBytes(delivery.body.buffer.byteLength);
    const [inTime, atLast] = [Promise.withResolvers<StoreResult>(), Promise.withResolvers<StoreResult>()];
    const incoming: Incoming = { delivery, failure, counted, inTime, atLast, isLate: false };
    this.#waiting.add(incoming);
    const cancel = deadline(TIME_LIMIT_MS, () => this.#endWait(incoming));
    void inTime.promise.then(cancel);
    this.#beginNext();
    return { inTime: inTime.promise, atLast: atLast.promise };
  }

  /**
   * Gives the store the next ones: a quarter of the budget at a time, or one larger body, so that no hanging store fills the
   * memory; in order of arrival, as small ones that overtake a large one could delay it beyond its time limit.
   */
  #beginNext(): void {
    for (const incoming of this.#waiting) {
      const { counted } = incoming;
      if (this.#bytesAtStore > 0 && this.#bytesAtStore + counted > this.#needs.budget.limit / 4) return;
      this.#waiting.delete(incoming);
      this.#bytesAtStore += counted;
      void this.#store(incoming);
    }
  }

  async #store(incoming: Incoming): Promise<void> {
    const { delivery, counted, inTime, atLast } = incoming;
    const result = await this.#add(incoming).catch((error: unknown) => {
      if (!incoming.isLate) this.#storeState.notStored('failing', counted, error);
      return 'not stored' as const;
    });
    this.#bytesAtStore -= counted;
    if (incoming.isLate && result === 'stored') this.#storeState.log.tell('info', LATE, { route: delivery.route.path });
    inTime.resolve(result);
    atLast.resolve(result);
    this.#beginNext();
  }

  async #add(incoming: Incoming): Promise<StoreResult> {
    const storeState = this.#storeState;
    const { delivery, failure } = incoming;
    const { route } = delivery;
    const event = eventToStore(delivery, failure, this.#needs.storeSettings().name);
    const { id, record } = event;
    // By the same checks as before each sending: where it can never be sent, a 202 would be worse than an error.
    const admitted = admitRecord(event, this.#needs);
    if (admitted.request === null) {
      storeState.log.tell('error', 'a delivery cannot be stored', { route: route.path, why: admitted.note.failure });
      return 'not stored';
    }
    const store = await storeState.store();
    const add = () => store.add(event, pauseAfter(0, 0));
    let added = await add();
    while (typeof added === 'object' && (await this.#makeRoom(incoming, id, added.lacking))) added = await add();
    if (added === 'stored' || added === 'replaced') {
      if (added === 'replaced') storeState.log.result('replaced', id, event.note, 'stored');
      storeState.stored(route.path);
      return 'stored';
    }
    if (added === 'crowded') {
      storeState.log.tell('warn', CROWDED, { route: route.path, id });
      storeState.crowded = { at: Date.now(), route: route.path };
    } else storeState.notStored('full', countedBytes(record[0].length + record[1].length));
    return 'not stored';
  }

  /** Ends the oldest events that may give way, for this many bytes, each once its line is logged. False if none ended, or it is late. */
  async #makeRoom(incoming: Incoming, id: string, bytes: number): Promise<boolean> {
    if (incoming.isLate) return false;
    const kept = (await this.#storeState.call((store) => store.leaseKept(id, Math.min(bytes, MOST_LEASED)))) ?? [];
    const lost = await Promise.all(kept.map((leased) => this.#storeState.lose(leased, 'room', () => !incoming.isLate)));
    const freed = kept.reduce((sum, leased, nth) => sum + (lost[nth] ? countedBytes(leased.bytes) : 0), 0);
    if (freed > 0 && freed < bytes) await this.#makeRoom(incoming, id, bytes - freed);
    return freed > 0;
  }

  /** Called when the time limit is over: the client gets no 202. A store that has the delivery may still store it. */
  #endWait(incoming: Incoming): void {
    const { counted, inTime, atLast } = incoming;
    const { signal } = this.#storeState.shutdown;
    incoming.isLate = !this.#waiting.delete(incoming);
    this.#storeState.notStored('slow', counted);
    inTime.resolve('not stored');
    const giveUp = () => atLast.resolve('not stored');
    if (!incoming.isLate || signal.aborted) return giveUp();
    signal.addEventListener('abort', giveUp);
    void atLast.promise.then(() => signal.removeEventListener('abort', giveUp));
  }

  /** Removes a delivery that equals this one from the store, since the app has taken this one. Never rejects. */
  async taken({ head, body, came, route }: Deferrable): Promise<void> {
    const storeState = this.#storeState;
    storeState.lastTaken.took(route.path, came);
    // If the store is not told, it keeps an equal delivery, which is then sent again.
    if (storeState.isEmpty || this.#callsOfTaken >= MOST_CALLS) return;
    const id = eventId(head, body);
    this.#letGo(id);
    this.#callsOfTaken++;
    // At once, not with the next changes: an equal one that is stored after this one was taken must stay.
    const change = { id, age: Math.max(0, Date.now() - came), to: 'taken' } as const;
    const changed = await storeState.call((store) => store.change([change]));
    this.#callsOfTaken--;
    this.#letGo(id); // it may have been leased meanwhile
    if (changed?.[0] !== 'done') return;
    storeState.changed();
    storeState.log.result('replaced', id, { route: route.path }, 'taken');
  }
}
