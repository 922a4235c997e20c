// The causes of the last bad outcomes, and the facts of the last request of each that a sentence says. All is written in
// place: a request allocates nothing but where a diagnosis comes for the first time.
import type { RequestRecord } from '../core/request-record.ts';
import type { Diagnosis } from './diagnoses.ts';

type Upstream = 'fate' | 'upstreamStatus' | 'upstreamFailure' | 'upstreamError' | 'departedMs';
type Refusal = 'reason' | 'hint' | 'rule' | 'header' | 'renamedHeader';

/** Texts are not shortened yet. They may keep a head in memory: there are only so many details, one a diagnosis. */
export type Detail = Pick<RequestRecord, 'route' | 'path' | 'client' | Upstream | Refusal>;

const NONE: Detail = {
  route: '',
  path: '',
  client: '',
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

const KEPT = 16;
/** A cause is told beside a commoner one from this share of the last ones on. */
const LEAST = 1 / 5;

export interface Cause {
  readonly diagnosis: Diagnosis;
  readonly detail: Detail;
  times: number;
  firstAt: number;
  lastAt: number;
}

export class Causes {
  readonly #last: (Cause | null)[] = new Array(KEPT).fill(null);
  #added = 0;
  readonly #all = new Map<Diagnosis, Cause>();

  /** `record`: null for a connection that was turned away. */
  add(diagnosis: Diagnosis, record: Detail | null, now: number): void {
    let cause = this.#all.get(diagnosis);
    if (cause === undefined) {
      cause = { diagnosis, detail: { ...NONE }, times: 0, firstAt: now, lastAt: now };
      this.#all.set(diagnosis, cause);
    }
    cause.times++;
    cause.lastAt = now;
    if (record !== null) detailOf(record, cause.detail);
    this.#last[this.#added++ % KEPT] = cause;
  }

  clear(): void {
    this.#last.fill(null);
    this.#all.clear();
  }

  /** Those of the last ones that are worth telling, the commonest first; of equally common ones the later. */
  common(amount = KEPT): readonly Cause[] {
    const last = Array.from({ length: Math.min(amount, KEPT, this.#added) }, (_, back) => {
      return this.#last[(this.#added - 1 - back) % KEPT] ?? null;
    }).filter((one) => one !== null);
    const alike = [...Map.groupBy(last, (one) => one)].toSorted(([, one], [, other]) => other.length - one.length);
    const isTold = (all: readonly Cause[], nth: number) => nth === 0 || all.length >= LEAST * last.length;
    return alike.flatMap(([cause, all], nth) => (isTold(all, nth) ? cause : []));
  }

  commonest(amount = KEPT): Cause {
    const [first] = this.common(amount);
    return first ?? { diagnosis: 'proxy-full', detail: NONE, times: 0, firstAt: Number.NaN, lastAt: Number.NaN };
  }
}
