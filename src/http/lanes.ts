// Lanes to the upstream: each is one undici client, with one socket and one request at a time. undici's own pool looks
// through all of its clients twice a request, 3.4 us of 60 with 32 in flight; here the slots see to it that none is too many.
import type { Client, Dispatcher } from 'undici';
import { isPermit, type Permit } from '../core/permit.ts';

export class Lane {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  /** Sends one request. The permit is the caller's proof that the rules let it through; anything else throws. */
  dispatch(permit: Permit, request: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): void {
    if (!isPermit(permit)) throw new Error('no permit, no upstream');
    this.#client.dispatch(request, handler);
  }

  /** Ends it once its request has ended. */
  close(): Promise<void> {
    return this.#client.close();
  }

  /** Ends it now; its request fails. */
  destroy(): Promise<void> {
    return this.#client.destroy();
  }
}

export class Lanes {
  readonly #open: () => Client;
  readonly #all = new Set<Lane>();
  /** The last one to become free is the next one taken, so that sockets that nobody needs grow idle and close. */
  #free: Lane[] = [];
  /** Those opened since the last renewal. */
  #current = new WeakSet<Lane>();

  constructor(open: () => Client) {
    this.#open = open;
  }

  /** A free lane, or a new one. */
  take(): Lane {
    return this.#free.pop() ?? this.#add();
  }

  /** To be called when its request has ended, however it did. */
  giveBack(lane: Lane): void {
    if (this.#current.has(lane)) this.#free.push(lane);
    else this.#end(lane);
  }

  /** Every request from now on gets a lane opened after this; those in flight end on theirs. */
  renew(): void {
    const free = this.#free;
    this.#free = [];
    this.#current = new WeakSet();
    for (const lane of free) this.#end(lane);
  }

  /** Ends all; what is in flight fails. */
  async destroy(): Promise<void> {
    await Promise.all([...this.#all].map((lane) => lane.destroy()));
  }

  #add(): Lane {
    const lane = new Lane(this.#open());
    this.#all.add(lane);
    this.#current.add(lane);
    return lane;
  }

  #end(lane: Lane): void {
    this.#all.delete(lane);
    void lane.close();
  }
}
