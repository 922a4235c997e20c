// The causes of the last bad outcomes, and the facts of the last request of each that a sentence says. All is written in
// place: a request allocates nothing but where a diagnosis comes for the first time.
import type { RequestRecord } from '../core/request-record.ts';
import type { Diagnosis } from './diagnoses.ts';
import { QUARTER } from './times.ts';

/** Texts are not shortened yet. They may keep a head in memory: there are only so many details, one a diagnosis. */
export type Detail = Pick<RequestRecord, keyof typeof EMPTY>;

const EMPTY = {
  route: '',
  path: '',
  client: '',
  startedAt: Number.NaN,
  event: '',
  fate: 'none',
  upstreamStatus: 0,
  upstreamFailure: null,
  upstreamError: null,
  departedMs: -1,
  reason: 'none',
  hint: null,
  rule: null,
  header: null,
  renamedHeader: null,
} satisfies Partial<RequestRecord>;
export const NONE: Detail = EMPTY;

const NAMES = Object.keys(NONE) as readonly (keyof Detail)[];

/** The facts of a record, written into `into`. Hints are rate-limited, so an earlier one stays. */
export function detailOf(record: Detail, into: Detail = { ...NONE }): Detail {
  const facts: Partial<Record<keyof Detail, unknown>> = into;
  for (const name of NAMES) if (name !== 'hint' || record.hint !== null) facts[name] = record[name];
  return into;
}

const hasConnected = ({ upstreamStatus: status, upstreamFailure: failure }: Detail) =>
  status > 0 || (failure !== null && failure !== 'connect');

const KEPT = 16;
/** This many deliveries that met another cause show that the one before is over. */
const FEW = 3;
/** A cause is told beside a commoner one from this share of the last ones on, or of all, if it is not long over. */
const LEAST = 1 / 5;
const LEAST_OF_ALL = 1 / 20;

export interface Cause {
  readonly diagnosis: Diagnosis;
  readonly detail: Detail;
  /** How many events met it last. */
  times: number;
  /** When the first one came, and when the last one failed. */
  readonly firstAt: number;
  lastAt: number;
}

export class Causes {
  readonly #last: Cause[] = [];
  readonly #all = new Map<Diagnosis, Cause>();

  add(diagnosis: Diagnosis, record: Detail, now: number): void {
    let cause = this.#all.get(diagnosis);
    if (cause === undefined) {
      cause = { diagnosis, detail: { ...NONE }, times: 0, firstAt: record.startedAt, lastAt: now };
      this.#all.set(diagnosis, cause);
    }
    cause.times++;
    cause.lastAt = now;
    detailOf(record, cause.detail);
    if (this.#last.push(cause) > KEPT) this.#last.shift();
  }

  /** An event that met it comes again. */
  takeBack(diagnosis: Diagnosis): void {
    const cause = this.#all.get(diagnosis);
    if (cause !== undefined) cause.times--;
  }

  /** Those that are worth telling, the commonest of the last ones first; of equally common ones the later. */
  common(): readonly Cause[] {
    const all = [...this.#all.values()].filter((one) => one.times > 0 && !this.#isOver(one));
    const last = this.#last.filter((one) => all.includes(one));
    const amountOf = (one: Cause) => last.filter((other) => other === one).length;
    const sum = all.reduce((total, { times }) => total + times, 0);
    const now = Math.max(...all.map(({ lastAt }) => lastAt));
    const isTold = (one: Cause) =>
      amountOf(one) >= LEAST * last.length || (one.times >= LEAST_OF_ALL * sum && now - one.lastAt < QUARTER);
    const sorted = all.toSorted((one, other) => amountOf(other) - amountOf(one) || other.lastAt - one.lastAt);
    return sorted.filter((one, nth) => nth === 0 || isTold(one));
  }

  /** Over once others began after its last: a few, or, of an app that accepted no connections, one that it accepted. */
  #isOver({ detail, lastAt }: Cause): boolean {
    const isEnd = ({ times, detail: later }: Cause) =>
      times >= FEW || (detail.upstreamFailure === 'connect' && hasConnected(later));
    return [...this.#all.values()].some((one) => one.firstAt > lastAt && isEnd(one));
  }
}
