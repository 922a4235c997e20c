// The deadlines of connections, on both sides.
import { IndexedSet, type Member } from '../base/indexed-set.ts';

const TICK_MS = 250;

/** Connections with deadlines, checked four times a second by one timer, which runs only while there are any. */
export class TickedSet<T extends Member & { tick(now: number): void }> {
  readonly #members = new IndexedSet<T>();
  #timer: NodeJS.Timeout | null = null;

  get size(): number {
    return this.#members.size;
  }

  add(member: T): void {
    this.#members.add(member);
    this.#timer ??= setInterval(() => {
      const now = performance.now();
      for (const ticked of this.list()) ticked.tick(now);
    }, TICK_MS).unref();
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
