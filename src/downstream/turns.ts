// Work that takes turns: one piece each turn of the event loop. node accepts one connection a turn, so a turn must stay short:
// with 200 clients that send 1 MiB each, and all their HMACs in one turn, a newcomer waited 6 s to be accepted.

export class Turns {
  #waiting: (() => void)[] = [];

  /** Runs it in a later turn, behind what waits already. */
  take(work: () => void): void {
    this.#waiting.push(work);
    if (this.#waiting.length === 1) setImmediate(this.#next);
  }

  readonly #next = (): void => {
    const work = this.#waiting.shift();
    if (this.#waiting.length > 0) setImmediate(this.#next);
    work?.();
  };
}
