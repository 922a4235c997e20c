// Limits the requests at the upstream to a number of slots, behind bounded queues in which no request waits forever.
// Unverified requests get at most three quarters of the slots, so a flood of them never blocks a verified delivery.
import { deadline } from '../base/deadline.ts';
import { IndexedSet, type Member } from '../base/indexed-set.ts';
import type { UpstreamExchange } from './upstream-exchange.ts';

/** A request that wants a slot, waits for one or holds one. */
export type SlotUser = Member &
  Pick<UpstreamExchange, 'kind' | 'startedAt' | 'patience' | 'acquired' | 'stalledFor' | 'evict' | 'giveUp'>;

/** Milliseconds that a slot may wait for a slow client while others wait for a slot; the more wait, the shorter. */
const STALL_LIMIT_MS = 1000;
const SWEEP_MS = 100;

export class UpstreamLimiter {
  readonly #slots: number;
  /** The number of slots that requests without a verified signature may use. */
  readonly #unverifiedSlots: number;
  /** The maximum length of each queue; a reload may change it. */
  queueLimit: number;
  /** The queues, in the order in which they get slots; in each, the request that has waited there longest is first. */
  readonly #queues: Readonly<Record<SlotUser['kind'], Set<SlotUser>>> = {
    verified: new Set(),
    unverified: new Set(),
    resent: new Set(),
  };
  readonly #holders = new IndexedSet<SlotUser>();
  #unverifiedHolders = 0;
  /** True while the upstream accepts no connections: then every request waits. */
  down = false;
  #sweeping: NodeJS.Timeout | null = null;

  /** `slots`: the maximum number of requests at the upstream. `queue`: the initial `queueLimit`. */
  constructor({ slots, queue }: { readonly [name in 'slots' | 'queue']: number }) {
    this.#slots = slots;
    this.#unverifiedSlots = Math.max(1, Math.floor((slots * 3) / 4));
    this.queueLimit = queue;
  }

  /** The number of requests that wait for a slot and have a client, so without the resent ones. */
  get clientsWaiting(): number {
    return this.#queues.verified.size + this.#queues.unverified.size;
  }

  /** True if all slots, or half of the unverified ones, are taken: a streamed request then waits for its body first. */
  get scarce(): boolean {
    return this.#queues.unverified.size > 0 || this.#unverifiedHolders >= this.#unverifiedSlots / 2 || this.#full();
  }

  /** Acquires a slot; false if the request must wait for one. */
  tryAcquire(request: SlotUser): boolean {
    const { verified, unverified, resent } = this.#queues;
    if (verified.size > 0 || (request.kind !== 'verified' && unverified.size > 0)) return false;
    if (this.down || (request.kind === 'resent' && resent.size > 0) || !this.#fits(request)) return false;
    this.#give(request);
    return true;
  }

  /** Queues the request for a slot until its patience is over. False if the queue is full. */
  wait(request: SlotUser): boolean {
    const queue = this.#queues[request.kind];
    if (queue.size >= this.queueLimit) return false;
    queue.add(request);
    // The sweep ends most waits: under load half of all requests wait, and a timer for each costs some 5 % of CPU.
    const remaining = request.startedAt + request.patience - performance.now();
    if (remaining < SWEEP_MS) deadline(Math.max(0, remaining), () => this.#endOverdue());
    this.#sweeping ??= setInterval(() => setImmediate(this.#sweep), SWEEP_MS).unref();
    return true;
  }

  /** Releases the slot, or leaves the queue; does nothing for a request that has neither. */
  release(request: SlotUser): void {
    this.#queues[request.kind].delete(request);
    if (!this.#holders.delete(request)) return;
    if (request.kind === 'unverified') this.#unverifiedHolders--;
    if (this.clientsWaiting + this.#queues.resent.size > 0) this.#serveQueues();
  }

  get all(): readonly SlotUser[] {
    return [...Object.values(this.#queues).flatMap((queue) => [...queue]), ...this.#holders];
  }

  resume(): void {
    this.down = false;
    this.#serveQueues();
  }

  #full(): boolean {
    return this.#holders.size >= this.#slots;
  }

  #fits({ kind }: SlotUser): boolean {
    return !this.#full() && (kind !== 'unverified' || this.#unverifiedHolders < this.#unverifiedSlots);
  }

  #give(request: SlotUser): void {
    this.#holders.add(request);
    if (request.kind === 'unverified') this.#unverifiedHolders++;
  }

  #serveQueues(): void {
    for (const queue of Object.values(this.#queues)) {
      for (const waiter of queue) {
        if (this.down || !this.#fits(waiter)) break;
        queue.delete(waiter);
        this.#give(waiter);
        waiter.acquired();
      }
    }
  }

  /**
   * Ends waits that are over, and evicts stalled holders of slots: otherwise as many silent clients as there are slots
   * would block everyone else. It runs after sockets were read, as in `deadline`.
   */
  readonly #sweep = (): void => {
    this.#endOverdue();
    if (this.clientsWaiting + this.#queues.resent.size === 0 && this.#sweeping !== null) {
      clearInterval(this.#sweeping);
      this.#sweeping = null;
    }
    if (this.down) return;
    if (this.#full()) this.#evict(this.#queues.verified.size, () => true);
    if (this.#full() || this.#unverifiedHolders >= this.#unverifiedSlots)
      this.#evict(this.#queues.unverified.size, ({ kind }) => kind === 'unverified');
  };

  #endOverdue(): void {
    const now = performance.now();
    for (const queue of Object.values(this.#queues)) {
      for (const waiter of queue) if (now >= waiter.startedAt + waiter.patience) waiter.evict();
    }
  }

  #evict(waiting: number, mayGo: (holder: SlotUser) => boolean): void {
    if (waiting === 0) return;
    const now = performance.now();
    const limit = (STALL_LIMIT_MS * this.#slots) / (this.#slots + waiting);
    const stalled = [...this.#holders]
      .filter(mayGo)
      .map((holder) => ({ holder, stalled: holder.stalledFor(now) }))
      .filter(({ stalled }) => stalled >= limit)
      .sort((a, b) => b.stalled - a.stalled);
    for (const { holder } of stalled.slice(0, waiting)) holder.evict();
  }
}
