// Limits the requests to the upstream to a number of slots, with bounded queues in front. Unverified requests get at
// most three quarters of the slots, so a flood of them never blocks a verified delivery.
import { IndexedSet, type Member } from '../core/indexed-set.ts';

/** A request that wants a slot, waits for one or holds one. */
export interface Waiter extends Member {
  readonly verified: boolean;
  /** It holds a slot now. */
  granted(): void;
  /** How long, in milliseconds, it has kept its slot only because its client makes no progress; 0 otherwise. */
  stalledFor(now: number): number;
  /** Ends it and gives its slot back: another request needs it. */
  evict(): void;
}

/** How long a slot holder may wait for its client while others wait for a slot. The more wait, the shorter. */
const PATIENCE_MS = 1000;
const SWEEP_MS = 100;

type Queue = Map<Waiter, NodeJS.Timeout>;

export class UpstreamLimiter {
  readonly #slots: number;
  /** Slots that requests without a verified signature may use. */
  readonly #open: number;
  /** Requests that wait at most, in each queue; a reload may change it. */
  queueLimit: number;
  readonly #verified: Queue = new Map();
  readonly #unverified: Queue = new Map();
  readonly #holders = new IndexedSet<Waiter>();
  #unverifiedHolders = 0;
  /** While the upstream accepts no connections, every request waits. */
  down = false;
  #sweeping: NodeJS.Timeout | null = null;

  /** `slots`: requests at the upstream at most. */
  constructor({ slots, queue }: { readonly slots: number; readonly queue: number }) {
    this.#slots = slots;
    this.#open = Math.max(1, Math.floor((slots * 3) / 4));
    this.queueLimit = queue;
  }

  get waiting(): number {
    return this.#verified.size + this.#unverified.size;
  }

  /** True from half of the open slots on: the rest is for requests that need not wait for their client. */
  get scarce(): boolean {
    return this.#unverified.size > 0 || this.#unverifiedHolders >= this.#open / 2 || this.#full();
  }

  /** False where the request must wait. */
  tryTake(waiter: Waiter): boolean {
    if (this.down || this.#verified.size > 0 || (!waiter.verified && this.#unverified.size > 0)) return false;
    if (!this.#fits(waiter)) return false;
    this.#enter(waiter);
    return true;
  }

  /** Waits for a slot, at most `milliseconds`; `expired` is called then. False: the queue is full. */
  wait(waiter: Waiter, milliseconds: number, expired: () => void): boolean {
    const queue = this.#queueOf(waiter);
    if (queue.size >= this.queueLimit) return false;
    const timer = setTimeout(() => {
      queue.delete(waiter);
      expired();
    }, milliseconds);
    queue.set(waiter, timer);
    this.#sweeping ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
    return true;
  }

  /** Gives the slot back, or leaves the queue; does nothing for a request that has neither. */
  leave(waiter: Waiter): void {
    const queue = this.#queueOf(waiter);
    if (queue.size > 0) {
      clearTimeout(queue.get(waiter));
      queue.delete(waiter);
    }
    if (!this.#holders.delete(waiter)) return;
    if (!waiter.verified) this.#unverifiedHolders--;
    if (this.waiting > 0) this.#grant();
  }

  setDown(down: boolean): void {
    this.down = down;
    if (!down) this.#grant();
  }

  #queueOf({ verified }: Waiter): Queue {
    return verified ? this.#verified : this.#unverified;
  }

  #full(): boolean {
    return this.#holders.size >= this.#slots;
  }

  #fits({ verified }: Waiter): boolean {
    return !this.#full() && (verified || this.#unverifiedHolders < this.#open);
  }

  #enter(waiter: Waiter): void {
    this.#holders.add(waiter);
    if (!waiter.verified) this.#unverifiedHolders++;
  }

  #grant(): void {
    for (const queue of [this.#verified, this.#unverified]) {
      for (const [waiter, timer] of queue) {
        if (this.down || !this.#fits(waiter)) break;
        clearTimeout(timer);
        queue.delete(waiter);
        this.#enter(waiter);
        waiter.granted();
      }
    }
  }

  /** Without it, as many silent clients as there are slots would block everyone else. */
  #sweep(): void {
    if (this.waiting === 0 && this.#sweeping !== null) {
      clearInterval(this.#sweeping);
      this.#sweeping = null;
    }
    if (this.down) return;
    if (this.#full()) this.#evict(this.#verified.size, () => true);
    if (this.#full() || this.#unverifiedHolders >= this.#open)
      this.#evict(this.#unverified.size, ({ verified }) => !verified);
  }

  #evict(most: number, mayGo: (holder: Waiter) => boolean): void {
    if (most === 0) return;
    const now = performance.now();
    const patience = (PATIENCE_MS * this.#slots) / (this.#slots + most);
    const stalled = [...this.#holders]
      .filter(mayGo)
      .map((holder) => ({ holder, since: holder.stalledFor(now) }))
      .filter(({ since }) => since >= patience)
      .sort((a, b) => b.since - a.since);
    for (const { holder } of stalled.slice(0, most)) holder.evict();
  }
}
