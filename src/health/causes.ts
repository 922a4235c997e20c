// The causes that the bad outcomes of a route met. Each has a row of good ones of its own: those that passed the point where
// it strikes since its last bad one. So one ends while another goes on.
import type { RequestRecord } from '../core/request-record.ts';
import type { Shown } from '../log/request-log.ts';
import type { Diagnosis } from './diagnoses.ts';
import { DAY, MINUTE, QUARTER, SECOND } from './times.ts';

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

/** Good ones in a row that may come while a third is bad. */
const LEAST_GOOD = 8;
/** Milliseconds from its first one on before a cause is failed: an app that restarts needs a moment. */
export const SETTLE_MS = 10 * SECOND;

export class Cause {
  readonly diagnosis: Diagnosis;
  /** Its number on its route; when its first one came and was known, and the last good one before; how many came since. */
  readonly first: Readonly<Record<'nth' | 'began' | 'known' | 'goodBefore' | 'beside', number>>;
  /** True for requests that were refused before the verdict, or turned away: what was accepted passed it. */
  readonly isRefusal: boolean;
  /** Of the last one. */
  readonly detail = { ...NONE };
  lastAt = Number.NaN;
  /** How many events met it last; those that the app has not taken since, and those of them that may be lost. */
  times = 0;
  open = 0;
  lost = 0;
  /** Tries that came where it strikes since its first one, and how many events those were. */
  tries: number;
  all: number;
  /** Good ones in a row: before the last bad one, and after it. */
  between = 0;
  since = 0;
  /** The state that was given last. */
  isFailed = false;

  constructor(diagnosis: Diagnosis, isRefusal: boolean, first: Cause['first']) {
    this.diagnosis = diagnosis;
    this.isRefusal = isRefusal;
    this.first = first;
    this.tries = this.all = first.beside;
  }

  /** True while its first one is too fresh to judge. */
  isFresh(now: number): boolean {
    return now - this.first.known < SETTLE_MS;
  }

  /** True once, a minute after the last one, more good ones came in a row than one of a hundred that still fail takes. */
  hasCalmed(now: number): boolean {
    if (now - this.lastAt > DAY || this.hasRecovered(now)) return true;
    const share = this.times / (this.times + this.between + 2);
    return this.since > LEAST_GOOD && now - this.lastAt >= MINUTE && (1 - share) ** this.since <= 1 / 100;
  }

  /** After an unbroken row: as many good ones, or four. Three and four come in one of 45 where a third is bad. Else 0. */
  get outage(): number {
    return this.times > 1 && this.between === 0 ? Math.max(4, Math.min(this.times, LEAST_GOOD + 1)) : 0;
  }

  hasRecovered(now: number, good = this.outage): boolean {
    return this.outage > 0 && this.since >= good && now - this.lastAt >= QUARTER;
  }

  /** How many good ones in a row end it, by its share; 0 once they came, or the app took each bad one later. */
  get due(): number {
    const enough = Math.ceil(LEAST_GOOD + (12 * (this.between + 1)) / Math.max(1, this.times));
    return this.open === 0 || this.since >= enough ? 0 : enough;
  }

  /** It ends a minute after its last bad one, once it has enough good ones, and with a few after a day. */
  isOver(now: number): boolean {
    return now - this.lastAt >= (this.due === 0 ? MINUTE : DAY) && (this.due === 0 || this.since > LEAST_GOOD);
  }
}

/** This many deliveries that met another cause show that the one before is over; so many stored ones, that it is not. */
export const FEW = 3;

/** Those that no other has replaced, the commonest of the last tries first; of equally common ones the later. */
export function commonOf(causes: readonly Cause[], last: readonly (Cause | null)[]): readonly Cause[] {
  const all = causes.filter((one) => one.times > 0 && !hasChanged(one, causes));
  const amountOf = (one: Cause) => last.filter((other) => other === one).length;
  return all.toSorted((one, other) => amountOf(other) - amountOf(one) || other.lastAt - one.lastAt);
}

/** Others that strike where it does began after its last: a few, or one that an app accepted after it was down. */
function hasChanged({ detail, lastAt, isRefusal }: Cause, causes: readonly Cause[]): boolean {
  const isEnd = ({ times, detail: { upstreamStatus: status, upstreamFailure: failure } }: Cause) =>
    times >= FEW || (detail.upstreamFailure === 'connect' && (status > 0 || (failure ?? 'connect') !== 'connect'));
  return causes.some((one) => one.isRefusal === isRefusal && one.first.began > lastAt && isEnd(one));
}
