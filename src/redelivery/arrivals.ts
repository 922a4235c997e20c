// Deliveries on their way into the store: in order of arrival, each within its time, and never more of them in the hands of
// the store than a quarter of the budget.

import { deadline } from '../base/deadline.ts';
import type { ByteBudget } from '../bodies/budget.ts';
import type { Permit } from '../core/permit.ts';
import type { Policy } from '../core/policy.ts';
import type { Route } from '../core/routes.ts';
import type { Outgoing } from './record.ts';
import type { Standing } from './standing.ts';
import { LEAST_BYTES, TIME_LIMIT_MS } from './stores/store.ts';

const LATE = 'a delivery was stored late: its client has been told of a failure';

/** A verified request that could be stored. */
export interface Deferrable extends Outgoing {
  readonly route: Route;
  readonly permit: Permit;
  /** When it came, epoch milliseconds. */
  readonly at: number;
  readonly policy: Policy;
}

type Keep = (delivery: Deferrable, failure: string) => Promise<'stored' | 'passes'>;

export class Arrivals {
  readonly #budget: ByteBudget;
  readonly #standing: Standing;
  readonly #keep: Keep;
  /** Bytes in the hands of the store. */
  #storing = 0;
  /** Functions that begin to store a delivery each, and the bytes that it needs. */
  readonly #waiting = new Map<() => void, number>();

  /** `keep` may still store a delivery after `defer` has given up. */
  constructor(budget: ByteBudget, standing: Standing, keep: Keep) {
    this.#budget = budget;
    this.#standing = standing;
    this.#keep = keep;
  }

  /**
   * Stores a delivery. `failure`: why the app did not take it. Resolves within about a second, and never rejects. In order
   * of arrival: small ones that overtake a large one could keep it waiting until its time is over.
   */
  defer(delivery: Deferrable, failure: string): Promise<'stored' | 'passes'> {
    const bytes = Math.max(LEAST_BYTES, delivery.body.buffer.byteLength);
    const { promise, resolve } = Promise.withResolvers<'stored' | 'passes'>();
    let isLate = false;
    const begin = async () => {
      this.#waiting.delete(begin);
      this.#storing += bytes;
      const told = await this.#keep(delivery, failure).catch((error: unknown) => {
        if (!isLate) this.#standing.passes('failing', error);
        return 'passes' as const;
      });
      cancel();
      this.#storing -= bytes;
      if (isLate) this.#budget.release(bytes);
      if (isLate && told === 'stored') this.#standing.tell('info', LATE, { route: delivery.route.path });
      resolve(told);
      this.#beginNext();
    };
    const cancel = deadline(TIME_LIMIT_MS, () => {
      isLate = !this.#waiting.delete(begin);
      if (isLate) this.#budget.hold(bytes); // whoever gave the body lets it go now, and the store still has it
      this.#standing.passes('slow', `the store did not answer within ${TIME_LIMIT_MS} ms`);
      resolve('passes');
    });
    this.#waiting.set(begin, bytes);
    this.#beginNext();
    return promise;
  }

  /** A store that hangs must not get any number of bodies. One alone may be larger. */
  #beginNext(): void {
    for (const [begin, bytes] of this.#waiting) {
      if (this.#storing > 0 && this.#storing + bytes > this.#budget.limit / 4) return;
      begin();
    }
  }
}
