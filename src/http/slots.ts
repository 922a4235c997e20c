// Upstream slots: as many requests in flight as there may be sockets, and a bounded queue with a deadline before them.
// undici's own queue has no bound, no deadline and no way out for a client that left, so nothing may wait there.
import { type Member, Roster } from './roster.ts';

/** A request that wants a slot, waits for one or holds one. */
export interface Claimant extends Member {
  /** Its turn has come; it holds a slot now. */
  granted(): void;
  /** It waited as long as it may. `down`: the upstream took no connection all that time. */
  expired(down: boolean): void;
  /** For how many milliseconds it has held its slot for no other reason than a client that does not move; else 0. */
  dawdles(now: number): number;
  /** Somebody who is ready needs its slot: it ends, and gives it back. */
  evict(): void;
}

export interface SlotLimits {
  /** Requests in flight at most. */
  readonly slots: number;
  /** Requests that wait at most. */
  readonly queue: number;
}

/** How long a holder may wait for its client while others wait for a slot; less, the more of them there are. */
const PATIENCE_MS = 1000;
const SWEEP_MS = 100;

export class Slots {
  readonly #limits: SlotLimits;
  readonly #queue = new Map<Claimant, NodeJS.Timeout>();
  readonly #holders = new Roster<Claimant>();
  #down = false;
  #sweeping: NodeJS.Timeout | null = null;

  constructor(limits: SlotLimits) {
    this.#limits = limits;
  }

  get waiting(): number {
    return this.#queue.size;
  }

  /** True from half of the slots on: the rest is for requests that do not have to wait for their client first. */
  get scarce(): boolean {
    return this.#queue.size > 0 || this.#holders.size >= this.#limits.slots / 2;
  }

  /** Takes a slot at once; false where the request must wait. */
  tryTake(claimant: Claimant): boolean {
    if (this.#down || this.#queue.size > 0 || this.#full()) return false;
    this.#holders.enter(claimant);
    return true;
  }

  /** Waits for a slot, at most `milliseconds`. False: the queue is full. */
  wait(claimant: Claimant, milliseconds: number): boolean {
    if (this.#queue.size >= this.#limits.queue) return false;
    const timer = setTimeout(() => {
      this.#queue.delete(claimant);
      claimant.expired(this.#down);
    }, milliseconds);
    this.#queue.set(claimant, timer);
    this.#sweeping ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
    return true;
  }

  /** Gives a slot back, or leaves the queue; does nothing for who has neither. */
  leave(claimant: Claimant): void {
    if (this.#queue.size > 0) {
      clearTimeout(this.#queue.get(claimant));
      this.#queue.delete(claimant);
    }
    if (this.#holders.leave(claimant)) this.#grant();
  }

  /** While the upstream takes no connection everybody waits. */
  setDown(down: boolean): void {
    this.#down = down;
    if (!down) this.#grant();
  }

  #full(): boolean {
    return this.#holders.size >= this.#limits.slots;
  }

  #grant(): void {
    for (const [claimant, timer] of this.#queue) {
      if (this.#down || this.#full()) return;
      clearTimeout(timer);
      this.#queue.delete(claimant);
      this.#holders.enter(claimant);
      claimant.granted();
    }
  }

  /** Without this, as many silent clients as there are slots would shut the upstream off from everybody. */
  #sweep(): void {
    if (this.#queue.size === 0 && this.#sweeping !== null) {
      clearInterval(this.#sweeping);
      this.#sweeping = null;
    }
    if (this.#down || !this.#full()) return;
    const { slots } = this.#limits;
    const now = performance.now();
    const patience = (PATIENCE_MS * slots) / (slots + this.#queue.size);
    const dawdlers = this.#holders
      .list()
      .map((holder) => ({ holder, since: holder.dawdles(now) }))
      .filter(({ since }) => since >= patience)
      .sort((a, b) => b.since - a.since);
    for (const { holder } of dawdlers.slice(0, this.#queue.size)) holder.evict();
  }
}
