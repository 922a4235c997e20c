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

export class Causes {
  readonly #last: (Diagnosis | null)[] = new Array(KEPT).fill(null);
  #added = 0;
  readonly #details = new Map<Diagnosis, Detail>();

  /** `record`: null for a connection that was turned away. */
  add(diagnosis: Diagnosis, record: Detail | null): void {
    this.#last[this.#added++ % KEPT] = diagnosis;
    if (record === null) return;
    this.#details.set(diagnosis, detailOf(record, this.#details.get(diagnosis)));
  }

  clear(): void {
    this.#last.fill(null);
    this.#details.clear();
  }

  /** The commonest of the last `amount`; of equally common ones the later. */
  commonest(amount = KEPT): { readonly diagnosis: Diagnosis; readonly detail: Detail } {
    const last = Array.from({ length: Math.min(amount, KEPT, this.#added) }, (_, back) => {
      return this.#last[(this.#added - 1 - back) % KEPT] ?? null;
    }).filter((one) => one !== null);
    const many = (one: Diagnosis) => last.filter((other) => other === one).length;
    const [diagnosis = 'proxy-full'] = last.toSorted((one, other) => many(other) - many(one));
    return { diagnosis, detail: this.#details.get(diagnosis) ?? NONE };
  }
}
