// What the app took last, by route, as far as this process knows: it tells whether a failure speaks against the app or
// against the delivery.
import type { Note } from './note.ts';

export class LastTaken {
  /** Times are epoch milliseconds. */
  readonly #taken = new Map<string, { came: number; at: number }>();

  /** Must be called when the app took a delivery that had come at `came`. */
  took(route: string, came: number): void {
    const before = this.#taken.get(route)?.came ?? 0;
    this.#taken.set(route, { came: Math.max(came, before), at: Date.now() });
  }

  /** True if, since a delivery was last tried, the app has taken another one that had come no earlier. */
  hasPassed(route: string, { at, tried }: Pick<Note, 'at' | 'tried'>): boolean {
    const taken = this.#taken.get(route);
    return taken !== undefined && taken.came >= at && taken.at > tried;
  }
}
