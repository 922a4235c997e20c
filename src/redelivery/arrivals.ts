// Deliveries that the app did not take, on their way into the store: in order of arrival, each within its time, and never
// more of them in the hands of the store than a quarter of the budget.
import { deadline } from '../base/deadline.ts';
import type { Needs } from './needs.ts';
import { pauseAfter } from './pace.ts';
import { type Deferrable, eventId, eventOf, mostSendable, openRecord } from './record.ts';
import type { Standing } from './standing.ts';
import { LEAST_BYTES, MAX_OF_ONE_BODY, TIME_LIMIT_MS } from './stores/store.ts';

/** Fresh deliveries that the app took, and of which a store that is slow has not been told. */
const MOST_TOLD = 1000;

const LATE = 'a delivery was stored late: its client has been told of a failure';
const CROWDED = `a delivery is not stored: ${MAX_OF_ONE_BODY} with its body are already`;

export class Arrivals {
  readonly #needs: Needs;
  readonly #standing: Standing;
  /** Bytes in the hands of the store. */
  #storing = 0;
  /** Functions that begin to store a delivery each, and the bytes that it needs. */
  readonly #waiting = new Map<() => void, number>();
  #telling = 0;

  constructor(needs: Needs, standing: Standing) {
    this.#needs = needs;
    this.#standing = standing;
  }

  /**
   * Stores a delivery. `failure`: why the app did not take it. Resolves within about a second, and never rejects; it may
   * still be stored after that, and is then sent although its client was told of a failure. In order of arrival: small ones
   * that overtake a large one could keep it waiting until its time is over.
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
      if (isLate) this.#needs.budget.hold(bytes); // whoever gave the body lets it go now, and the store still has it
      this.#standing.passes('slow', `the store did not answer within ${TIME_LIMIT_MS} ms`);
      resolve('passes');
    });
    this.#waiting.set(begin, bytes);
    this.#beginNext();
    return promise;
  }

  /** The app has taken it: an equal one that waits need not be sent. Never throws. */
  async taken({ head, body, at, route }: Deferrable): Promise<void> {
    const standing = this.#standing;
    // Where the store is not told, an equal one is sent again.
    if (standing.isEmpty || this.#telling >= MOST_TOLD) return;
    const id = eventId(head, body);
    this.#telling++;
    const isEnded = await standing.ask((store) => store.end(id, Math.max(0, Date.now() - at)));
    this.#telling--;
    if (isEnded !== true) return;
    standing.changed();
    standing.result('delivered', id, { route: route.path });
  }

  /** A store that hangs must not get any number of bodies. One alone may be larger. */
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
    // A promise to send what could not be sent would be worse than none.
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
