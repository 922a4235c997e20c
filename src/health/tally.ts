// Requests that are no deliveries, counted: how many of a day, the last one, and the host that sends most of them.
import { Causes, type Detail, type OutcomeDiagnosis } from './causes.ts';
import { Counts } from './counts.ts';
import { HOUR } from './times.ts';

export class Tally {
  readonly #day = new Counts(1, 25, HOUR);
  total = 0;
  lastAt = Number.NaN;
  readonly causes = new Causes();
  /** The host that sends most, if one sends more than half; how many of its requests were seen since it took the lead. */
  host = '';
  ofHost = 0;
  #votes = 0;

  add(diagnosis: OutcomeDiagnosis, record: Detail, now: number): void {
    this.count(record.client, now);
    this.causes.add(diagnosis, record);
  }

  count(host: string, now: number): void {
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

  ofDay(now: number): number {
    return this.#day.sum(0, now);
  }
}

/** A tally for each key of a closed set, such as the diagnoses. */
export class Tallies<Key extends string> {
  readonly entries = new Map<Key, Tally>();

  of(key: Key): Tally {
    const tally = this.entries.get(key) ?? new Tally();
    this.entries.set(key, tally);
    return tally;
  }
}

/** Characters of a text that are kept and compared. */
export const COMPARED = 256;

/** A copy of the text: a part of a head would keep the whole head in memory. */
export const copied = (text: string): string => Buffer.from(text.slice(0, COMPARED), 'latin1').toString('latin1');
