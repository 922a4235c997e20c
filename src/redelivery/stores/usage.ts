// What a directory holds: ids and sizes, and how many have one body.
import { bodyOf, LEAST_BYTES } from './store.ts';

export class Usage {
  readonly #sizes = new Map<string, number>();
  /** Ids of which only the name is known. */
  readonly #unsized = new Set<string>();
  readonly #ofBody = new Map<string, number>();
  bytes = 0;

  ids(): string[] {
    return [...this.#sizes.keys()];
  }

  /** 0 if it is not known. */
  of(id: string): number {
    return this.#sizes.get(id) ?? 0;
  }

  /** How many have the body of this id. */
  withBodyOf(id: string): number {
    return this.#ofBody.get(bodyOf(id)) ?? 0;
  }

  isSized(id: string): boolean {
    return this.#sizes.has(id) && !this.#unsized.has(id);
  }

  /** Counts it as the least until its size is known. */
  name(id: string): void {
    if (this.#sizes.has(id)) return;
    this.set(id, LEAST_BYTES);
    this.#unsized.add(id);
  }

  set(id: string, bytes: number): void {
    const before = this.#sizes.get(id);
    if (before === undefined) this.#ofBody.set(bodyOf(id), this.withBodyOf(id) + 1);
    this.#sizes.set(id, bytes);
    this.#unsized.delete(id);
    this.bytes += bytes - (before ?? 0);
  }

  /** False if it was not known. */
  delete(id: string): boolean {
    const bytes = this.#sizes.get(id);
    if (bytes === undefined) return false;
    this.#sizes.delete(id);
    this.#unsized.delete(id);
    this.bytes -= bytes;
    const others = this.withBodyOf(id) - 1;
    if (others > 0) this.#ofBody.set(bodyOf(id), others);
    else this.#ofBody.delete(bodyOf(id));
    return true;
  }
}
