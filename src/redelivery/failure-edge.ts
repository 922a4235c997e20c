// The failure edge of a fresh delivery on a route with `redeliver`: where the app does not take it, it is stored, and its
// client gets 202, or else what it would have got. Small, because every such delivery has one; the rest of the folder is
// loaded only for those that fail.
import type { Buffer } from 'node:buffer';
import { isNotTaken } from '../core/decision.ts';
import type { Permit } from '../core/permit.ts';
import type { Policy } from '../core/policy.ts';
import type { Head } from '../core/request-head.ts';
import type { Route } from '../core/routes.ts';
import type { ForwardFailure } from '../upstream/forward-failure.ts';

/** A verified request that could be stored. */
export interface Deferrable {
  readonly head: Head;
  /** As they go out. */
  readonly lines: readonly string[];
  readonly body: Buffer;
  readonly route: Route;
  readonly permit: Permit;
  /** When it came, epoch milliseconds. */
  readonly at: number;
  readonly policy: Policy;
}

export interface Room {
  /** Stores a delivery. `failure`: why the app did not take it. Resolves within about a second, and never rejects. */
  defer(delivery: Deferrable, failure: string): Promise<'stored' | 'passes'>;
}

export class FailureEdge {
  readonly delivery: Deferrable;
  readonly #room: Room;
  readonly #onStored: () => void;
  readonly #onOver: () => void;
  /** Null until the store was asked, which happens once. */
  #asked: Promise<'stored' | 'passes'> | null = null;

  /** `onStored` answers the client. `onOver`: nothing of the delivery is under way any more. */
  constructor(
    room: Room,
    delivery: Deferrable,
    { onStored, onOver }: { readonly onStored: () => void; readonly onOver: () => void },
  ) {
    this.#room = room;
    this.delivery = delivery;
    this.#onStored = onStored;
    this.#onOver = onOver;
  }

  /** For the upstream exchange: a response that counts as not taken waits at its head. */
  readonly atHead = (status: number): Promise<'passes' | 'diverted'> | null =>
    isNotTaken(status) ? this.#ask(`${status}`).then((told) => (told === 'stored' ? 'diverted' : told)) : null;

  /** There is no response: stores the delivery. Calls `otherwise` if it can't, now or before. */
  failed(failure: ForwardFailure, otherwise: () => void): void {
    // The client's own failures end in a refusal; a slot that never came is the app's.
    const isOurs = failure.side === 'upstream' || failure.reason === 'overloaded';
    if (!isOurs || this.#asked !== null) return otherwise();
    void this.#ask(failure.side === 'upstream' ? failure.cause : failure.reason).then((told) => {
      if (told === 'passes') otherwise();
    });
  }

  /** The exchange is over. `shared`: a store that is slow may still be writing from the body's memory. */
  over(release: (memory: 'shared' | 'ours') => void): void {
    if (this.#asked === null) this.#end(() => release('ours'));
    else void this.#asked.then(() => this.#end(() => release('shared')));
  }

  #end(release: () => void): void {
    release();
    this.#onOver();
  }

  #ask(failure: string): Promise<'stored' | 'passes'> {
    this.#asked = this.#room.defer(this.delivery, failure).then((told) => {
      if (told === 'stored') this.#onStored();
      return told;
    });
    return this.#asked;
  }
}
