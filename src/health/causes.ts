// The causes of the last bad outcomes, and the facts of the last request of each that a sentence says. All is written in
// place: a request allocates nothing but where a diagnosis comes for the first time.
import type { RequestRecord } from '../core/request-record.ts';
import type { Diagnosis } from './diagnoses.ts';
import { QUARTER } from './times.ts';

type Upstream = 'fate' | 'upstreamStatus' | 'upstreamFailure' | 'upstreamError' | 'departedMs';
type Refusal = 'reason' | 'hint' | 'rule' | 'header' | 'renamedHeader';
type Request = 'route' | 'path' | 'client' | 'startedAt';

/** Texts are not shortened yet. They may keep a head in memory: there are only so many details, one a diagnosis. */
export type Detail = Pick<RequestRecord, Request | Upstream | Refusal>;

export const NONE: Detail = {
  route: '',
  path: '',
  client: '',
  startedAt: Number.NaN,
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
};

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
/** A cause is told beside a commoner one from this share of the last ones on, or of all, if it is not long over. */
const LEAST = 1 / 5;
const LEAST_OF_ALL = 1 / 20;

export interface Cause {
  readonly diagnosis: Diagnosis;
  readonly detail: Detail;
  /** How many deliveries met it; 0 if only later sendings of stored ones did. */
  times: number;
  /** When the first one came, and when the last one failed. */
  readonly firstAt: number;
  lastAt: number;
}

export class Causes {
  readonly #last: Cause[] = [];
  readonly #all = new Map<Diagnosis, Cause>();

  add(diagnosis: Diagnosis, record: Detail, now: number): void {
    const cause = this.addAgain(diagnosis, record, now);
    cause.times++;
    if (this.#last.push(cause) > KEPT) this.#last.shift();
  }

  /** A later sending of a stored delivery failed, too. */
  addAgain(diagnosis: Diagnosis, record: Detail, now: number): Cause {
    let cause = this.#all.get(diagnosis);
    if (cause === undefined) {
      cause = { diagnosis, detail: { ...NONE }, times: 0, firstAt: record.startedAt, lastAt: now };
      this.#all.set(diagnosis, cause);
    }
    cause.lastAt = now;
    detailOf(record, cause.detail);
    return cause;
  }

  /** Those of the last ones that are worth telling, the commonest first; of equally common ones the later. */
  common(): readonly Cause[] {
    const last = this.#last.toReversed().filter((one) => !this.#isOver(one));
    if (last.length === 0) return [...this.#all.values()].filter((one) => !this.#isOver(one));
    const alike = [...Map.groupBy(last, (one) => one)].toSorted(([, one], [, other]) => other.length - one.length);
    const sum = [...this.#all.values()].reduce((total, { times }) => total + times, 0);
    const now = Math.max(...last.map(({ lastAt }) => lastAt));
    const isTold = ({ times, lastAt }: Cause, amount: number) =>
      amount >= LEAST * last.length || (times >= LEAST_OF_ALL * sum && now - lastAt < QUARTER);
    const told = alike.flatMap(([cause, all], nth) => (nth === 0 || isTold(cause, all.length) ? cause : []));
    const others = [...this.#all.values()].filter((one) => !last.includes(one) && !this.#isOver(one) && isTold(one, 0));
    return [...told, ...others];
  }

  /** That the app accepts no connections is over once it has accepted some, and then failed otherwise. */
  #isOver({ detail, lastAt }: Cause): boolean {
    const isLater = (one: Cause) => one.firstAt > lastAt && hasConnected(one.detail);
    return detail.upstreamFailure === 'connect' && [...this.#all.values()].some(isLater);
  }
}
