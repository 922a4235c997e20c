// Requests that are no deliveries, counted: how many of a day, the last one, and the host that sends most of them.
import { Counts } from './counts.ts';
import { type Detail, LastDetail } from './detail.ts';
import { copied } from './senders.ts';
import { HOUR } from './times.ts';

export class Tally {
  readonly #day = new Counts(1, 25, HOUR);
  total = 0;
  lastAt = Number.NaN;
  readonly detail = new LastDetail();
  /** The host that sends most, if one sends more than half; how many of its requests were seen since it took the lead. */
  host = '';
  ofHost = 0;
  #votes = 0;

  add(record: Detail, now: number): void {
    this.count(record.client, now);
    this.detail.set(record);
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
  readonly #all = new Map<Key, Tally>();

  add(key: Key, record: Detail, now: number): void {
    let tally = this.#all.get(key);
    if (tally === undefined) {
      tally = new Tally();
      this.#all.set(key, tally);
    }
    tally.add(record, now);
  }

  clear(): void {
    this.#all.clear();
  }

  get entries(): ReadonlyMap<Key, Tally> {
    return this.#all;
  }
}
