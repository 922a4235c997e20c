// Upstream slots: as many requests in flight as there may be sockets, and a bounded queue with a deadline before them.
// undici's own queue has no bound, no deadline and no way out for a client that left, so nothing may wait there.

export interface Waiter {
  /** Its turn has come; it holds a slot now. */
  granted(): void;
  /** It waited as long as it may. `down`: the upstream took no connection all that time. */
  expired(down: boolean): void;
}

interface Ticket {
  readonly waiter: Waiter;
  readonly timer: NodeJS.Timeout;
}

export interface SlotLimits {
  /** Requests in flight at most. */
  readonly slots: number;
  /** Requests that wait at most. */
  readonly queue: number;
}

export class Slots {
  readonly #limits: SlotLimits;
  readonly #queue = new Map<Waiter, Ticket>();
  #taken = 0;
  #down = false;

  constructor(limits: SlotLimits) {
    this.#limits = limits;
  }

  get waiting(): number {
    return this.#queue.size;
  }

  /** Takes a slot at once; false where the request must wait. */
  tryTake(): boolean {
    if (this.#down || this.#taken >= this.#limits.slots || this.#queue.size > 0) return false;
    this.#taken++;
    return true;
  }

  /** Waits for a slot, at most `milliseconds`. False: the queue is full. */
  wait(waiter: Waiter, milliseconds: number): boolean {
    if (this.#queue.size >= this.#limits.queue) return false;
    const timer = setTimeout(() => {
      this.#queue.delete(waiter);
      waiter.expired(this.#down);
    }, milliseconds);
    this.#queue.set(waiter, { waiter, timer });
    return true;
  }

  /** Takes a waiter out of the queue, as when its client left. */
  leave(waiter: Waiter): void {
    const ticket = this.#queue.get(waiter);
    if (ticket === undefined) return;
    clearTimeout(ticket.timer);
    this.#queue.delete(waiter);
  }

  release(): void {
    this.#taken--;
    this.#grant();
  }

  /** While the upstream takes no connection everybody waits. */
  setDown(down: boolean): void {
    this.#down = down;
    if (!down) this.#grant();
  }

  #grant(): void {
    for (const { waiter } of this.#queue.values()) {
      if (this.#down || this.#taken >= this.#limits.slots) return;
      this.leave(waiter);
      this.#taken++;
      waiter.granted();
    }
  }
}
