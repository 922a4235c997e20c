// The deadlines of connections, on both sides.
import { IndexedSet, type Member } from '../base/indexed-set.ts';

const TICK_MS = 250;

/** Connections with deadlines, checked four times a second by one timer, which runs only while there are any. */
export class TickedSet<T extends Member & { tick(now: number): void }> {
  readonly #members = new IndexedSet<T>();
  #timer: NodeJS.Timeout | null = null;
  /** When the timer last ran, or was started; milliseconds. */
  #ranAt = 0;
  #passedOver = false;

  get size(): number {
    return this.#members.size;
  }

  add(member: T): void {
    this.#members.add(member);
    if (this.#timer !== null) return;
    this.#ranAt = performance.now();
    this.#timer = setInterval(() => this.#run(), TICK_MS).unref();
  }

  /**
   * Timers run before sockets are read. After a standstill (a suspended process or machine) every answer that came
   * meanwhile would be a timeout, so one tick is passed over, and the sockets are read first.
   */
  #run(): void {
    const now = performance.now();
    this.#passedOver = !this.#passedOver && now - this.#ranAt > 2 * TICK_MS;
    this.#ranAt = now;
    if (this.#passedOver) return;
    for (const ticked of this.list()) ticked.tick(now);
  }

  delete(member: T): void {
    this.#members.delete(member);
    if (this.#members.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  /** A copy, since members may leave during a loop over them. */
  list(): T[] {
    return [...this.#members];
  }
}
