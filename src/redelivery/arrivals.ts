// Deliveries that the app did not take, on their way into the store: in order of arrival, each within a time limit, and
// with at most a quarter of the budget in the store's hands at once.
import { deadline } from '../base/deadline.ts';
import type { Needs } from './needs.ts';
import { pauseAfter } from './pace.ts';
import { type Deferrable, eventId, eventOf, mostSendable, openRecord } from './record.ts';
import type { Standing } from './standing.ts';
import { LEAST_BYTES, MAX_OF_ONE_BODY, TIME_LIMIT_MS } from './stores/store.ts';

/** The most calls in progress that tell the store of a taken delivery: with a slow store they would pile up. */
const MOST_TOLD = 1000;

const LATE = 'a delivery was stored late: its client has been told of a failure';
const CROWDED = `a delivery is not stored: ${MAX_OF_ONE_BODY} with its body are already`;

export class Arrivals {
  readonly #needs: Needs;
  readonly #standing: Standing;
  /** Bytes of deliveries that the store was given and has not answered yet. */
  #storing = 0;
  /** The deliveries that wait for the store: for each, a function that begins to store it, and the bytes it needs. */
  readonly #waiting = new Map<() => void, number>();
  #telling = 0;

  constructor(needs: Needs, standing: Standing) {
    this.#needs = needs;
    this.#standing = standing;
  }

  /**
   * Stores a delivery. `failure`: why the app did not take it. Resolves within about a second, and never rejects. A
   * late one may still be stored, and is then sent although its client was told of a failure. Deliveries are stored in
   * order of arrival: small ones that overtake a large one could delay it beyond its time limit.
   */
  defer(delivery: Deferrable, failure: string): Promise<'stored' | 'passes'> {
    const bytes = Math.max(LEAST_BYTES, delivery.body.buffer.byteLength);
    const { promise, resolve } = Promise.withResolvers<'stored' | 'passes'>();
    let isLate = false;
    const begin = async () => {
      this.#waiting.delete(begin);
      this.#storing += bytes;
      const told = await this.#add(delivery, failure).catch((error: unknown) => {
        if (!isLate) this.#standing.passes('failing', error);
        return 'passes' as const;
      });
      cancel();
      this.#storing -= bytes;
      if (isLate) this.#needs.budget.release(bytes);
      if (isLate && told === 'stored') this.#standing.tell('info', LATE, { route: delivery.route.path });
      resolve(told);
      this.#beginNext();
    };
    const cancel = deadline(TIME_LIMIT_MS, () => {
      isLate = !this.#waiting.delete(begin);
      if (isLate) this.#needs.budget.hold(bytes); // the caller now releases the body, which the store still holds
      this.#standing.passes('slow', `the store did not answer within ${TIME_LIMIT_MS} ms`);
      resolve('passes');
    });
    this.#waiting.set(begin, bytes);
    this.#beginNext();
    return promise;
  }

  /** Removes an equal delivery from the store, since the app has taken this one. Never rejects. */
  async taken({ head, body, at, route }: Deferrable): Promise<void> {
    const standing = this.#standing;
    // If the store is not told, an equal one is sent again.
    if (standing.isEmpty || this.#telling >= MOST_TOLD) return;
    const id = eventId(head, body);
    this.#telling++;
    const isEnded = await standing.ask((store) => store.end(id, Math.max(0, Date.now() - at)));
    this.#telling--;
    if (isEnded !== true) return;
    standing.changed();
    standing.result('delivered', id, { route: route.path });
  }

  /** Stores what waits, up to a quarter of the budget, or one larger body: a hanging store must not fill the memory. */
  #beginNext(): void {
    for (const [begin, bytes] of this.#waiting) {
      if (this.#storing > 0 && this.#storing + bytes > this.#needs.budget.limit / 4) return;
      begin();
    }
  }

  async #add(delivery: Deferrable, failure: string): Promise<'stored' | 'passes'> {
    const standing = this.#standing;
    const { route } = delivery;
    const event = eventOf(delivery, failure, this.#needs.store.name);
    const { id, record } = event;
    // A 202 for what can never be sent would be worse than a failure.
    const isSendable = record[0].length + record[1].length <= mostSendable(this.#needs);
    const opened = openRecord({ ...event, record: isSendable ? record : null }, this.#needs);
    if (opened.request === null) {
      standing.tell('error', 'a delivery cannot be stored', { route: route.path, why: opened.note.failure });
      return 'passes';
    }
    const added = await (await standing.store()).add(event, pauseAfter(0, 0));
    if (added === 'full') standing.passes('full', 'it is full');
    if (added === 'crowded') standing.tell('warn', CROWDED, { route: route.path, id });
    if (added === 'full' || added === 'crowded') return 'passes';
    if (added === 'replaced') standing.tell('info', 'a deferred delivery was replaced by an equal one', { id });
    standing.stored();
    return 'stored';
  }
}
