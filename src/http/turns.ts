// Bodies in tiny pieces take turns. A read of the socket that holds eleven thousand one-byte chunks costs 20 ms, so all that
// send so share a third of the processor between them, however many they are.

const EVERY_MS = 50;

export class Turns {
  #next = 0;

  /** Takes a turn; gives how many milliseconds away it is. */
  take(now: number): number {
    const at = Math.max(now, this.#next);
    this.#next = at + EVERY_MS;
    return at - now;
  }
}
