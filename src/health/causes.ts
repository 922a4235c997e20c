// The causes of the last bad outcomes, and the facts of the last request of each that a sentence says. All is written in
// place: a request allocates nothing but where a diagnosis comes for the first time.
import type { RequestDiagnosis } from '../core/hint.ts';
import type { RequestRecord } from '../core/request-record.ts';

/** The diagnoses of one outcome. */
export type OutcomeDiagnosis = RequestDiagnosis | 'signature-dropped' | 'connections-full';

/** Texts are not shortened yet. They may keep a head in memory: there are only so many details, one a diagnosis. */
const NO_DETAIL = {
  route: '',
  path: '',
  client: '',
  reason: 'none' as RequestRecord['reason'],
  hint: null as RequestRecord['hint'],
  rule: null as RequestRecord['rule'],
  header: null as RequestRecord['header'],
  renamedHeader: null as RequestRecord['renamedHeader'],
  fate: 'none' as RequestRecord['fate'],
  upstreamStatus: 0,
  upstreamFailure: null as RequestRecord['upstreamFailure'],
  upstreamError: null as RequestRecord['upstreamError'],
  departedMs: -1,
};
type Known = typeof NO_DETAIL;
export type Detail = Readonly<Known>;
const FACTS = Object.keys(NO_DETAIL) as readonly (keyof Known)[];

/** The facts of a record, written into `into`. Hints are rate-limited, so an earlier one stays. */
export function detailOf(record: Detail, into: Known = { ...NO_DETAIL }): Known {
  const { hint } = into;
  for (const fact of FACTS) into[fact] = record[fact] as never;
  into.hint ??= hint;
  return into;
}

const KEPT = 16;

export class Causes {
  readonly #last: (OutcomeDiagnosis | null)[] = new Array(KEPT).fill(null);
  #added = 0;
  readonly #details = new Map<OutcomeDiagnosis, Known>();

  /** `record`: null for a connection that was turned away. */
  add(diagnosis: OutcomeDiagnosis, record: Detail | null): void {
    this.#last[this.#added++ % KEPT] = diagnosis;
    if (record === null) return;
    this.#details.set(diagnosis, detailOf(record, this.#details.get(diagnosis)));
  }

  clear(): void {
    this.#last.fill(null);
    this.#details.clear();
  }

  /** The commonest of the last `amount`; of equally common ones the later. */
  commonest(amount = KEPT): { readonly diagnosis: OutcomeDiagnosis; readonly detail: Detail } {
    const last = Array.from({ length: Math.min(amount, KEPT, this.#added) }, (_, back) => {
      return this.#last[(this.#added - 1 - back) % KEPT] ?? null;
    }).filter((one) => one !== null);
    const many = (one: OutcomeDiagnosis) => last.filter((other) => other === one).length;
    const [diagnosis = 'proxy-full'] = last.toSorted((one, other) => many(other) - many(one));
    return { diagnosis, detail: this.#details.get(diagnosis) ?? NO_DETAIL };
  }
}
