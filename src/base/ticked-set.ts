// Connections with deadlines, checked four times a second by one timer, which runs only while there are any.
import { ignore } from './errors.ts';
import { IndexedSet, type Member } from './indexed-set.ts';

/** Milliseconds between two rounds of checks. */
const TICK_MS = 250;

export class TickedSet<T extends Member & { tick(now: number): void }> {
  readonly #members = new IndexedSet<T>();
  readonly #after: (now: number) => void;
  #timer: NodeJS.Timeout | null = null;

  /** `after`: called after each round of checks. */
  constructor(after: (now: number) => void = ignore) {
    this.#after = after;
  }

  get size(): number {
    return this.#members.size;
  }

  add(member: T): void {
    this.#members.add(member);
    // Timers run before sockets are read, immediates after them: see base/deadline.ts. The time is the timer's: after a
    // standstill between the two, nothing that came meanwhile is late.
    this.#timer ??= setInterval(() => setImmediate(this.#run, performance.now()), TICK_MS).unref();
  }

  readonly #run = (now: number): void => {
    for (const ticked of this.list()) ticked.tick(now);
    this.#after(now);
  };

  delete(member: T): void {
    this.#members.delete(member);
    if (this.#members.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  /** Returns a copy, since members may leave during a loop over them. */
  list(): T[] {
    return [...this.#members];
  }
}
