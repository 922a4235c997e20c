// How many requests are at the upstream at once, and a bounded queue with a deadline before that. What is not verified gets
// three quarters of the slots at most, so that no flood of open requests keeps a verified delivery waiting.
import { IndexedSet, type Member } from '../core/indexed-set.ts';

/** A request that wants a slot, waits for one or holds one. */
export interface Waiter extends Member {
  readonly verified: boolean;
  /** Its turn has come; it holds a slot now. */
  granted(): void;
  /** It waited as long as it may. `down`: the upstream took no connection all that time. */
  expired(down: boolean): void;
  /** For how many milliseconds it has held its slot for no other reason than a client that does not move; else 0. */
  dawdles(now: number): number;
  /** Another request that is ready needs its slot: it ends, and gives it back. */
  evict(): void;
}

/** How long a holder may wait for its client while others wait for a slot; less, the more of them there are. */
const PATIENCE_MS = 1000;
const SWEEP_MS = 100;

type Queue = Map<Waiter, NodeJS.Timeout>;

export class UpstreamLimiter {
  readonly #slots: number;
  /** Of the slots, for what is not verified. */
  readonly #open: number;
  #queueLimit: number;
  readonly #verified: Queue = new Map();
  readonly #unverified: Queue = new Map();
  readonly #holders = new IndexedSet<Waiter>();
  #unverifiedHolders = 0;
  #down = false;
  #sweeping: NodeJS.Timeout | null = null;

  /** At most so many requests at the upstream, and so many in each queue. */
  constructor({ slots, queue }: { readonly slots: number; readonly queue: number }) {
    this.#slots = slots;
    this.#open = Math.max(1, Math.floor((slots * 3) / 4));
    this.#queueLimit = queue;
  }

  get waiting(): number {
    return this.#verified.size + this.#unverified.size;
  }

  /** After a reload. */
  setQueue(queue: number): void {
    this.#queueLimit = queue;
  }

  /** True from half of the open slots on: the rest is for requests that do not have to wait for their client first. */
  get scarce(): boolean {
    return this.#unverified.size > 0 || this.#unverifiedHolders >= this.#open / 2 || this.#full();
  }

  /** Takes a slot at once; false where the request must wait. */
  tryTake(waiter: Waiter): boolean {
    if (this.#down || this.#verified.size > 0 || (!waiter.verified && this.#unverified.size > 0)) return false;
    if (!this.#fits(waiter)) return false;
    this.#enter(waiter);
    return true;
  }

  /** Waits for a slot, at most `milliseconds`. False: the queue is full. */
  wait(waiter: Waiter, milliseconds: number): boolean {
    const queue = this.#queueOf(waiter);
    if (queue.size >= this.#queueLimit) return false;
    const timer = setTimeout(() => {
      queue.delete(waiter);
      waiter.expired(this.#down);
    }, milliseconds);
    queue.set(waiter, timer);
    this.#sweeping ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
    return true;
  }

  /** Gives a slot back, or leaves the queue; does nothing for a request that has neither. */
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

  /** While the upstream takes no connection everybody waits. */
  setDown(down: boolean): void {
    this.#down = down;
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
        if (this.#down || !this.#fits(waiter)) break;
        clearTimeout(timer);
        queue.delete(waiter);
        this.#enter(waiter);
        waiter.granted();
      }
    }
  }

  /** Without this, as many silent clients as there are slots would shut the upstream off from everybody. */
  #sweep(): void {
    if (this.waiting === 0 && this.#sweeping !== null) {
      clearInterval(this.#sweeping);
      this.#sweeping = null;
    }
    if (this.#down) return;
    if (this.#full()) this.#evict(this.#verified.size, () => true);
    if (this.#full() || this.#unverifiedHolders >= this.#open)
      this.#evict(this.#unverified.size, ({ verified }) => !verified);
  }

  #evict(most: number, mayGo: (holder: Waiter) => boolean): void {
    if (most === 0) return;
    const now = performance.now();
    const patience = (PATIENCE_MS * this.#slots) / (this.#slots + most);
    const dawdlers = [...this.#holders]
      .filter(mayGo)
      .map((holder) => ({ holder, since: holder.dawdles(now) }))
      .filter(({ since }) => since >= patience)
      .sort((a, b) => b.since - a.since);
    for (const { holder } of dawdlers.slice(0, most)) holder.evict();
  }
}
