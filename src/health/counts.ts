// Counts of the last spans of time, and tallies of requests that are no deliveries. The memory is constant.
import { type Detail, detailOf, NONE } from './causes.ts';
import type { Diagnosis } from './diagnoses.ts';
import { HOUR } from './times.ts';

/** Counts of a few kinds. A slot is used again once it is too old. */
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

  /** Also at an earlier time, if its slot is still there. `by`: -1 takes one back. */
  add(kind: number, at: number, by: 1 | -1 = 1): void {
    const span = Math.floor(at / this.#span);
    const place = (span % this.#slots) * this.#kinds + kind;
    if (span > this.#slotOf(at) - this.#slots) this.#counts[place] = Math.max(0, (this.#counts[place] ?? 0) + by);
  }

  sum(kind: number, now: number): number {
    const latest = this.#slotOf(now);
    let total = 0;
    for (let back = 0; back < this.#slots && back <= latest; back++)
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

/** Requests that are no deliveries: how many of a day, the last one, and the host that sends most of them. */
export class Tally {
  readonly #day = new Counts(1, 25, HOUR);
  /** Of the last one, as is `diagnosis`. */
  readonly detail = { ...NONE };
  diagnosis: Diagnosis = 'another-secret';
  total = 0;
  lastAt = Number.NaN;
  /** The host that sends most, if one sends more than half; how many of its requests were seen since it took the lead. */
  host = '';
  ofHost = 0;
  #votes = 0;

  add(diagnosis: Diagnosis, record: Detail, now: number): void {
    this.diagnosis = diagnosis;
    const { client: host } = detailOf(record, this.detail);
    this.total++;
    this.lastAt = now;
    this.#day.add(0, now);
    if (this.host === host) {
      this.#votes++;
      this.ofHost++;
    } else if (--this.#votes < 0) {
      this.host = copied(host);
      this.#votes = this.ofHost = 1;
    }
  }

  /** Takes one back that was added at `at`. */
  takeBack(at: number): void {
    this.total--;
    this.ofHost = Math.min(this.ofHost, this.total);
    this.#day.add(0, at, -1);
  }

  ofDay(now: number): number {
    return this.#day.sum(0, now);
  }
}

export function tallyOf<Key extends string>(tallies: Map<Key, Tally>, key: Key): Tally {
  const tally = tallies.get(key) ?? new Tally();
  tallies.set(key, tally);
  return tally;
}

/** Characters of a text that are kept and compared. */
export const COMPARED = 256;

/** A copy of the text: a part of a head would keep the whole head in memory. */
export const copied = (text: string): string => Buffer.from(text.slice(0, COMPARED), 'latin1').toString('latin1');
