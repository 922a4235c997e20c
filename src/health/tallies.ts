// Requests as they are kept, in constant memory: the facts of the last one, counts of the last spans of time, and tallies of
// those that are no deliveries.
import type { RequestRecord } from '../core/request-record.ts';
import type { Shown } from '../log/request-log.ts';
import type { Diagnosis } from './diagnoses.ts';
import { HOUR } from './times.ts';

/** Texts are not shortened yet. They may keep a head in memory: there are only so many details, one a diagnosis. */
export type Detail = Shown & Pick<RequestRecord, 'startedAt' | 'event' | 'departedMs' | 'renamedHeader'>;
export type Writable = { -readonly [Name in keyof Detail]: Detail[Name] };

/** Writes the facts of a record, by name, since a loop takes 25 times as long. Hints are rate-limited: an earlier one stays. */
export function detailOf(record: Partial<RequestRecord>, into: Writable = { ...NONE }): Detail {
  into.route = record.route ?? '';
  into.path = record.path ?? '';
  into.method = record.method ?? '';
  into.client = record.client ?? '';
  into.startedAt = record.startedAt ?? Number.NaN;
  into.event = record.event ?? '';
  into.status = record.status ?? 0;
  into.decision = record.decision ?? 'rejected';
  into.fate = record.fate ?? 'none';
  into.upstreamStatus = record.upstreamStatus ?? 0;
  into.upstreamFailure = record.upstreamFailure ?? null;
  into.upstreamError = record.upstreamError ?? null;
  into.departedMs = record.departedMs ?? -1;
  into.reason = record.reason ?? 'none';
  into.hint = record.hint ?? into.hint ?? null;
  into.rule = record.rule ?? null;
  into.header = record.header ?? null;
  into.renamedHeader = record.renamedHeader ?? null;
  into.bodySha256 = record.bodySha256 ?? null;
  return into;
}

export const NONE = detailOf({}, {} as Writable);

/** Characters of a text that are kept and compared. */
export const COMPARED = 256;

/** A copy of the text: a part of a head would keep the whole head in memory. */
export const copied = (text: string): string => Buffer.from(text.slice(0, COMPARED), 'latin1').toString('latin1');

/** The value of a key, which is made where there is none. */
export function entryOf<Key, Value>(all: Map<Key, Value>, key: Key, make: () => Value): Value {
  const known = all.get(key) ?? make();
  all.set(key, known);
  return known;
}

/** A count of the last spans of time: by default hours, of a day. A slot is used again once it is too old. */
export class Counts {
  readonly #ms: number;
  readonly #counts: Uint32Array;
  /** The number of the span that each slot counts. */
  readonly #spans: Float64Array;

  /** `ms`: of a slot. */
  constructor(slots = 25, ms = HOUR) {
    this.#ms = ms;
    this.#counts = new Uint32Array(slots);
    this.#spans = new Float64Array(slots).fill(Number.NEGATIVE_INFINITY);
  }

  /** Also at an earlier time, if its slot is still there. `by`: -1 takes one back. */
  add(at: number, by: 1 | -1 = 1): void {
    const span = Math.floor(at / this.#ms);
    const slot = span % this.#spans.length;
    const known = this.#spans[slot] ?? span;
    if (known > span) return;
    this.#counts[slot] = Math.max(0, (known === span ? (this.#counts[slot] ?? 0) : 0) + by);
    this.#spans[slot] = span;
  }

  sum(now: number): number {
    const before = Math.floor(now / this.#ms) - this.#spans.length;
    return this.#counts.reduce((sum, count, slot) => ((this.#spans[slot] ?? before) > before ? sum + count : sum), 0);
  }
}

/** Requests that are no deliveries: how many of a day, the last one, and the host that sends most of them. */
export class Tally {
  readonly #day = new Counts();
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
    this.#day.add(now);
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
    this.#day.add(at, -1);
  }

  ofDay(now: number): number {
    return this.#day.sum(now);
  }
}
