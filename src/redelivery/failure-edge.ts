// The failure edge of a fresh delivery on a route with `redeliver`: where the app does not take it, it is stored, and its
// client gets 202, or else what it would have got. Small, because every such delivery has one; the rest of the folder is
// loaded only for those that fail.
import { isNotTaken } from '../core/fate.ts';
import type { Permit } from '../core/permit.ts';
import type { Policy } from '../core/policy.ts';
import type { Route } from '../core/routes.ts';
import type { ForwardFailure } from '../upstream/requester.ts';
import type { Outgoing } from './record.ts';

/** A verified request that could be stored. */
export interface Deferrable extends Outgoing {
  readonly route: Route;
  readonly permit: Permit;
  /** When it came, epoch milliseconds. */
  readonly at: number;
  readonly policy: Policy;
}

/** Where fresh deliveries end. */
export interface Fresh {
  /** Stores a delivery. `failure`: why the app did not take it. Resolves within about a second, and never rejects. */
  defer(delivery: Deferrable, failure: string): Promise<'stored' | 'passes'>;
  /** The app has taken it: an equal one that waits need not be sent. Never throws. */
  taken(delivery: Deferrable): void;
}

export class FailureEdge {
  readonly delivery: Deferrable;
  /** The store's answer; null until it was asked, which happens once. A slow one may read the body even after it. */
  asked: Promise<'stored' | 'passes'> | null = null;
  readonly #fresh: Fresh;
  readonly #onStored: () => void;

  /** `onStored` answers the client. */
  constructor(fresh: Fresh, delivery: Deferrable, onStored: () => void) {
    this.#fresh = fresh;
    this.delivery = delivery;
    this.#onStored = onStored;
  }

  /** For the upstream exchange: a response that counts as not taken waits at its head. */
  readonly atHead = (status: number): Promise<'passes' | 'diverted'> | null =>
    isNotTaken(status) ? this.#ask(`${status}`).then((told) => (told === 'stored' ? 'diverted' : told)) : null;

  /** The upstream gave no response: stores the delivery. Calls `otherwise` if it can't, now or before. */
  failed(failure: ForwardFailure, otherwise: () => void): void {
    // The client's own failures end in a refusal; a slot that never came is the app's.
    const isOurs = failure.side === 'upstream' || failure.reason === 'overloaded';
    if (!isOurs || this.asked !== null) return otherwise();
    void this.#ask(failure.side === 'upstream' ? failure.cause : failure.reason).then((told) => {
      if (told === 'passes') otherwise();
    });
  }

  #ask(failure: string): Promise<'stored' | 'passes'> {
    this.asked = this.#fresh.defer(this.delivery, failure).then((told) => {
      if (told === 'stored') this.#onStored();
      return told;
    });
    return this.asked;
  }
}
