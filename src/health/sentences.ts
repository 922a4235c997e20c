// Shared by the judge's files: its input, their findings, and phrases that several sentences use.
import { shortened } from '../base/printable.ts';
import { REASONS, type Reason } from '../core/reasons.ts';
import { shownPath } from '../core/request-record.ts';
import { UNMATCHED } from '../core/routes.ts';
import type { Facts } from '../facts.ts';
import type { Detail } from './causes.ts';
import type { Diagnosis } from './diagnoses.ts';
import type { Ledger } from './ledger.ts';
import { ago, clock, HOUR, spanText } from './times.ts';

/** The input of a judgement. */
export interface Input {
  readonly ledger: Ledger;
  readonly facts: Facts;
  /** Milliseconds of the monotonic clock, as in the ledger. */
  readonly now: number;
}

/**
 * `failed`: deliveries are not taken, refused or turned away now, or will be lost soon. `warning`: look at it. `ok`:
 * nothing to do. `note`: a deliberate choice, or strangers; never the headline.
 */
export type State = 'failed' | 'warning' | 'ok' | 'note';

export interface Finding {
  readonly id: Diagnosis;
  readonly state: State;
  /** The facts, in one or two sentences. */
  readonly message: string;
  /** The route's path; null for a finding on no route of its own. */
  readonly route: string | null;
}

/** The findings of one file. A null among them means nothing to report. */
export type Findings = Iterable<Finding | null>;

export function finding(state: State, id: Diagnosis, message: string, route: string | null = null): Finding {
  return { id, state, message, route };
}

/** A time of the ledger in epoch milliseconds. */
export const epoch = ({ facts, now }: Input, at: number): number => facts.now - (now - at);

/** `9 min ago (11:51 UTC)`, of a time of the ledger. */
export const since = (input: Input, at: number): string => ago(epoch(input, at), input.facts.now);

/** A route's name in sentences. As `unmatched` is no path, the path of its last such request comes first. */
export function named(path: string, facts: Facts, detail: Pick<Detail, 'path' | 'route'> | null = null): string {
  const last = detail === null || detail.route !== UNMATCHED ? '' : shownPath(detail.path);
  if (path !== UNMATCHED || last === '') return path;
  return `${last} (${path}: ${facts.routes.find((route) => route.path === path)?.action ?? 'gone'})`;
}

export const pathsOf = (routes: readonly { readonly path: string }[]) => routes.map(({ path }) => path).join(', ');

export function count(amount: number, noun: string, plural = `${noun}s`): string {
  return `${amount} ${amount === 1 ? noun : plural}`;
}

/** Why a request was refused, as the end of a sentence. */
export function whyOf(detail: Detail, diagnosis: Diagnosis): string {
  const { renamedHeader, hint } = detail;
  if (diagnosis !== 'signature-dropped') return reasonText(detail, hint === null ? null : shortened(hint.text, 512));
  return renamedHeader === null
    ? 'it came without the signature header, so something in front of the proxy drops it'
    : `its signature came in ${shortened(renamedHeader, 128)}, so something in front of the proxy renames the header`;
}

/** The meaning of a reason, and what is known of this case. */
export function reasonText({ reason, rule, header }: Pick<Detail, 'reason' | 'rule' | 'header'>, hint: string | null) {
  const meaning = reason === 'none' ? 'it was not taken' : REASONS[reason].meaning;
  const broken = rule === null ? '' : ` (rule ${rule}${header === null ? '' : `, header ${shortened(header, 128)}`})`;
  if (hint === null) return `${meaning}${broken}`;
  if (rule !== null) return `${meaning}${broken}. To let them pass: ${hint}`;
  return reason === 'overloaded' || OF_SIGNATURES.has(reason) ? hint : `${meaning} (${hint})`;
}

const OF_SIGNATURES: ReadonlySet<string> = new Set<Reason>([
  'signature_mismatch',
  'malformed_signature',
  'unsupported_algorithm',
  'multiple_signatures',
]);

/** The changes in this proxy (start, last reload, secrets), each with its time in epoch milliseconds. */
const changesIn = ({ startedAt, lastReload, secrets }: Facts) => [
  { at: startedAt, what: 'the start' },
  ...(lastReload?.ok === true ? [{ at: lastReload.at, what: 'a reload' }] : []),
  ...secrets.flatMap(({ id, changedAt: at }) => (at === null ? [] : { at, what: `secret ${id} changed` })),
];

/** Says when a problem began and what changed in the hour before. `began`: epoch milliseconds. */
export function whatChanged(began: number, facts: Facts): string {
  const before = changesIn(facts).filter(({ at }) => at <= began && began - at <= HOUR);
  const [change] = before.toSorted((one, other) => other.at - one.at);
  const when = ` It began at ${clock(began, facts.now)}`;
  return change === undefined ? `${when}.` : `${when}, ${spanText(began - change.at)} after ${change.what}.`;
}

/** A sentence if nothing was changed here since the last good delivery: the cause is elsewhere. Else empty. */
export function unchangedSince(last: number, facts: Facts): string {
  if (Number.isNaN(last) || changesIn(facts).some(({ at }) => at >= last)) return '';
  return ' Nothing was changed here since the last one that was accepted.';
}
