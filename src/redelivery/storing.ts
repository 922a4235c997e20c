// Deliveries that the app did not take, on their way into the store: in order of arrival, each within a time limit. At
// any time the store works on at most a quarter of the budget, or on one larger delivery.
import { deadline } from '../base/deadline.ts';
import { pauseAfter } from './pace.ts';
import type { Needs } from './process-parts.ts';
import { type Deferrable, eventId, eventOf, mostSendable, openRecord } from './record.ts';
import type { StoreState } from './store-state.ts';
import { LEAST_BYTES, MAX_OF_ONE_BODY, TIME_LIMIT_MS } from './stores/store.ts';

/** The maximum number of calls in progress that tell the store of a taken delivery: a slow store would pile them up. */
const MOST_TOLD = 1000;

const LATE = 'a delivery was stored late: its client has been told of a failure';
const CROWDED = `a delivery is not stored: ${MAX_OF_ONE_BODY} with its body are already`;

type Outcome = 'stored' | 'not stored';

/** A delivery on its way into the store, and the two promises of `defer`. */
interface Entry {
  readonly delivery: Deferrable;
  readonly failure: string;
  readonly bytes: number;
  readonly answer: PromiseWithResolvers<Outcome>;
  readonly end: PromiseWithResolvers<Outcome>;
  /** True if the time limit passed after it was given to the store: then it may still be stored. */
  isLate: boolean;
}

export class Storing {
  readonly #needs: Needs;
  readonly #storeState: StoreState;
  /** Bytes of the deliveries that were given to the store and are not answered yet. */
  #bytesAtStore = 0;
  /** The deliveries that wait to be given to the store. */
  readonly #waiting = new Set<Entry>();
  #telling = 0;

  constructor(needs: Needs, storeState: StoreState) {
    this.#needs = needs;
    this.#storeState = storeState;
  }

  /**
   * Stores a delivery. `failure`: why the app did not take it. `answer` resolves within about a second; a slow store may
   * still store it after that, though its client got an error. `end` resolves once that is known, or the process stops:
   * until then the store reads the body. Neither rejects. Deliveries are stored in order of arrival: small ones that
   * overtake a large one could delay it beyond its time limit.
   */
  defer(delivery: Deferrable, failure: string): Readonly<Record<'answer' | 'end', Promise<Outcome>>> {
    this.#storeState.appTakes.untaken(delivery.route.path);
    const bytes = Math.max(LEAST_BYTES, delivery.body.buffer.byteLength);
    const [answer, end] = [Promise.withResolvers<Outcome>(), Promise.withResolvers<Outcome>()];
    const entry: Entry = { delivery, failure, bytes, answer, end, isLate: false };
    this.#waiting.add(entry);
    void answer.promise.then(deadline(TIME_LIMIT_MS, () => this.#endWait(entry)));
    this.#beginNext();
    return { answer: answer.promise, end: end.promise };
  }

  #endWait(entry: Entry): void {
    const { bytes, answer, end } = entry;
    const { signal } = this.#storeState.shutdown;
    entry.isLate = !this.#waiting.delete(entry);
    this.#storeState.notStored('slow', bytes);
    answer.resolve('not stored');
    const giveUp = () => end.resolve('not stored');
    if (!entry.isLate || signal.aborted) return giveUp();
    signal.addEventListener('abort', giveUp);
    void end.promise.then(() => signal.removeEventListener('abort', giveUp));
  }

  /** Begins the next ones: a quarter of the budget, or one larger body, so no hanging store fills the memory. */
  #beginNext(): void {
    for (const entry of this.#waiting) {
      const { bytes } = entry;
      if (this.#bytesAtStore > 0 && this.#bytesAtStore + bytes > this.#needs.budget.limit / 4) return;
      this.#waiting.delete(entry);
      this.#bytesAtStore += bytes;
      void this.#store(entry);
    }
  }

  async #store(entry: Entry): Promise<void> {
    const { delivery, bytes, answer, end } = entry;
    const outcome = await this.#add(entry).catch((error: unknown) => {
      if (!entry.isLate) this.#storeState.notStored('failing', bytes, error);
      return 'not stored' as const;
    });
    this.#bytesAtStore -= bytes;
    if (entry.isLate && outcome === 'stored') {
      this.#storeState.log.tell('info', LATE, { route: delivery.route.path });
    }
    answer.resolve(outcome);
    end.resolve(outcome);
    this.#beginNext();
  }

  async #add(entry: Entry): Promise<Outcome> {
    const storeState = this.#storeState;
    const { delivery, failure } = entry;
    const { route } = delivery;
    const event = eventOf(delivery, failure, this.#needs.storeSettings().name);
    const { id, record } = event;
    // Opened as it is before a sending: where it can never be sent, an answer of 202 would be worse than an error.
    const isSendable = record[0].length + record[1].length <= mostSendable(this.#needs);
    const opened = openRecord({ ...event, record: isSendable ? record : null }, this.#needs);
    if (opened.request === null) {
      storeState.log.tell('error', 'a delivery cannot be stored', { route: route.path, why: opened.note.failure });
      return 'not stored';
    }
    const store = await storeState.openedStore();
    const add = () => store.add(event, pauseAfter(0, 0));
    const bytes = Math.max(LEAST_BYTES, record[0].length + record[1].length);
    let added = await add();
    for (let isFreed = true; isFreed && added === 'full' && !entry.isLate; ) {
      isFreed = await this.#makeRoom(id, bytes);
      added = await add();
    }
    if (added === 'full') storeState.notStored('full', bytes);
    if (added === 'crowded') storeState.log.tell('warn', CROWDED, { route: route.path, id });
    if (added === 'full' || added === 'crowded') return 'not stored';
    if (added === 'replaced') storeState.log.result('replaced', id, event.note);
    storeState.stored();
    return 'stored';
  }

  /** Ends the oldest events that do not wait to be sent, each after its line. False if there is no room to gain. */
  async #makeRoom(id: string, bytes: number): Promise<boolean> {
    const losable = (await this.#storeState.call((store) => store.leaseToLose(id, bytes))) ?? [];
    let isFreed = false;
    for (const leased of losable) if (await this.#storeState.lose(leased, leased.note, 'room')) isFreed = true;
    return isFreed;
  }

  /** Removes a delivery that equals this one from the store, since the app has taken this one. Never rejects. */
  async taken({ head, body, at, route }: Deferrable): Promise<void> {
    const storeState = this.#storeState;
    storeState.appTakes.took(route.path, at);
    // If the store is not told, it keeps an equal delivery, which is then sent again.
    if (storeState.isEmpty || this.#telling >= MOST_TOLD) return;
    const id = eventId(head, body);
    this.#telling++;
    const isEnded = await storeState.call((store) => store.end(id, Math.max(0, Date.now() - at)));
    this.#telling--;
    if (isEnded !== true) return;
    storeState.changed();
    storeState.log.result('replaced', id, { route: route.path });
  }
}
