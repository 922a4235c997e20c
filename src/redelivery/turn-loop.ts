// Begins the turns of deferred deliveries: so many at once as the pace says, within a quarter of the budget, and none while
// the store fails.
import type { Deferred } from './deferred.ts';
import type { Pace } from './pace.ts';
import type { RedeliveryParts } from './parts.ts';
import type { Schedule } from './schedule.ts';
import type { StoreHealth } from './store-health.ts';
import type { DeferredStore } from './stores/store.ts';
import { BUSY_PAUSE_MS, type Turns } from './turn.ts';

/** The longest that it sleeps: the clock may be set. */
const LONGEST_WAIT_MS = 10_000;
const FAILED_PAUSE_MS = 1000;

export interface LoopParts {
  readonly store: Promise<DeferredStore>;
  readonly schedule: Schedule;
  readonly pace: Pace;
  readonly turns: Turns;
  readonly health: StoreHealth;
}

export class TurnLoop {
  readonly #parts: RedeliveryParts;
  readonly #own: LoopParts;
  /** One sending of each id: what replaces one at work waits until that is over. */
  readonly #ids = new Set<string>();
  /** Bytes of deliveries that are at work. */
  #bytes = 0;
  /** Nothing is begun before: the store failed. By `performance.now()`. */
  #pausedUntil = 0;
  #timer: NodeJS.Timeout | undefined;
  #runs = true;
  readonly #onIdle: (() => void)[] = [];

  constructor(parts: RedeliveryParts, own: LoopParts) {
    this.#parts = parts;
    this.#own = own;
  }

  isAtWork(id: string): boolean {
    return this.#ids.has(id);
  }

  /** False once it was stopped. */
  get runs(): boolean {
    return this.#runs;
  }

  /** False once it was stopped, and for a moment after the store has failed. */
  get mayBegin(): boolean {
    return this.#runs && performance.now() >= this.#pausedUntil;
  }

  /** Begins what may begin now, and comes back when something else may. */
  readonly run = (): void => {
    clearTimeout(this.#timer);
    if (!this.#runs || this.#parts.longestWindow() === null) return;
    const { schedule, pace } = this.#own;
    while (this.#ids.size < pace.most) {
      const entry = schedule.next();
      if (entry === null) return;
      const pause = Math.max(pace.notBefore, this.#pausedUntil) - performance.now();
      const wait = Math.max(entry.due - Date.now(), pause);
      if (wait > 0) {
        this.#timer = setTimeout(this.run, Math.min(wait, LONGEST_WAIT_MS)).unref();
        return;
      }
      // One alone may be larger; else it would never be sent.
      const bytes = this.#bytesOf(entry);
      if (this.#ids.size > 0 && this.#bytes + bytes > this.#parts.budget.limit / 4) return;
      void this.take(entry, 'send');
    }
  };

  /** One turn, whatever the pace. */
  async take(entry: Deferred, may: 'send' | 'read'): Promise<void> {
    const { id } = entry;
    const { budget } = this.#parts;
    const { schedule, turns, store, health } = this.#own;
    const bytes = this.#bytesOf(entry);
    if (this.#ids.has(id)) return schedule.wait(entry, Date.now() + BUSY_PAUSE_MS);
    // It must not hold up those behind it.
    if (!budget.reserveSpare(bytes)) return schedule.wait(entry, Date.now() + FAILED_PAUSE_MS);
    this.#ids.add(id);
    entry.busy = true;
    this.#bytes += bytes;
    try {
      await turns.take(await store, entry, may);
    } catch (error) {
      health.failed(error);
      this.#pausedUntil = performance.now() + FAILED_PAUSE_MS;
      schedule.wait(entry, Date.now() + BUSY_PAUSE_MS);
    }
    this.#ids.delete(id);
    this.#bytes -= bytes;
    budget.release(bytes);
    if (this.#ids.size === 0) for (const resolve of this.#onIdle.splice(0)) resolve();
    this.run();
  }

  /** Begins nothing from now on; those at work go on. */
  stop(): void {
    this.#runs = false;
    clearTimeout(this.#timer);
  }

  /** Resolves when nothing is at work. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#ids.size === 0) resolve();
      else this.#onIdle.push(resolve);
    });
  }

  /** Of memory: what is over the limits is not read. */
  #bytesOf({ bytes }: Deferred): number {
    return bytes > this.#parts.mostBytes() ? 0 : bytes;
  }
}
