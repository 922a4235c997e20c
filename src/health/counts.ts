// Counts of the last spans of time, each of a few kinds. The memory is constant: a slot is used again once it is too old.

export class Counts {
  readonly #kinds: number;
  readonly #slots: number;
  readonly #span: number;
  readonly #counts: Uint32Array;
  /** The number of the latest span that has a slot. */
  #latest = Number.NEGATIVE_INFINITY;

  /** `span`: milliseconds of a slot. The sum over all slots covers the last one in part. */
  constructor(kinds: number, slots: number, span: number) {
    this.#kinds = kinds;
    this.#slots = slots;
    this.#span = span;
    this.#counts = new Uint32Array(kinds * slots);
  }

  clear(): void {
    this.#counts.fill(0);
  }

  add(kind: number, now: number): void {
    const at = (this.#slotOf(now) % this.#slots) * this.#kinds + kind;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
  }

  sum(kind: number, now: number, slots = this.#slots): number {
    const latest = this.#slotOf(now);
    let total = 0;
    for (let back = 0; back < slots && back <= latest; back++)
      total += this.#counts[((latest - back) % this.#slots) * this.#kinds + kind] ?? 0;
    return total;
  }

  /** The span of `now`; empties the slots of those that have begun since the last call. */
  #slotOf(now: number): number {
    const latest = Math.floor(now / this.#span);
    if (latest <= this.#latest) return this.#latest;
    for (let span = Math.max(this.#latest + 1, latest - this.#slots + 1, 0); span <= latest; span++) {
      const at = (span % this.#slots) * this.#kinds;
      this.#counts.fill(0, at, at + this.#kinds);
    }
    this.#latest = latest;
    return latest;
  }
}
