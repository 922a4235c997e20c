// A set with O(1) removal: members store their index. A Set that each request enters and leaves drops a table every few
// of them; those tables outlived every scavenge, 11 ms each against 1 ms, and cost 12 us of a request's 68.

/** A member of at most one indexed set. */
export interface Member {
  /** Kept by the set: -1 or absent while it is in none. */
  place?: number;
}

export class IndexedSet<T extends Member> {
  readonly #members: T[] = [];

  get size(): number {
    return this.#members.length;
  }

  add(member: T): void {
    member.place = this.#members.length;
    this.#members.push(member);
  }

  /** Gives false where it was no member. */
  delete(member: T): boolean {
    const { place = -1 } = member;
    if (place < 0) return false;
    const last = this.#members.pop();
    if (last !== undefined && last !== member) {
      this.#members[place] = last;
      last.place = place;
    }
    member.place = -1;
    return true;
  }

  /** Deletes move members about: a loop that may delete some goes over a copy. */
  [Symbol.iterator](): IterableIterator<T> {
    return this.#members.values();
  }
}
