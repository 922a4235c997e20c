// Shared by the judge's files: its input, and phrases that several sentences use.
import { shortened } from '../base/printable.ts';
import { renamedText } from '../core/hint.ts';
import { REASONS } from '../core/reasons.ts';
import { shownPath } from '../core/request-record.ts';
import { UNMATCHED } from '../core/routes.ts';
import type { Facts } from '../facts.ts';
import type { Diagnosis } from './diagnoses.ts';
import type { Ledger } from './ledger.ts';
import type { Detail } from './tallies.ts';
import { ago, clock, DAY, HOUR, spanText } from './times.ts';

/** The input of a judgement. */
export interface Input {
  readonly ledger: Ledger;
  readonly facts: Facts;
  /** Milliseconds of the monotonic clock, as in the ledger. */
  readonly now: number;
}

/** A time of the ledger in epoch milliseconds. */
export const epoch = ({ facts, now }: Input, at: number): number => facts.now - (now - at);

/** `9 min ago (11:51 UTC)`, of a time of the ledger. */
export const since = (input: Input, at: number): string => ago(epoch(input, at), input.facts.now);

/** `since the start, 9 min ago`. */
export const sinceStart = ({ facts: { now, startedAt } }: Input): string =>
  `since the start, ${spanText(now - startedAt)} ago`;

/** The span of which losses are told: a restart forgets those before it. */
export const lastDay = (input: Input): string =>
  input.facts.now - input.facts.startedAt < DAY ? `${sinceStart(input)},` : 'of the last day';

/** A route's name in sentences, and the path of its last such request: as `unmatched` is no path, it comes first. */
export function named(path: string, facts: Facts, detail: Pick<Detail, 'path'> | null = null): string {
  const last = shownPath(detail?.path ?? '');
  if (last === '' || last === path) return path;
  if (path !== UNMATCHED) return `${path} (the last one to ${last})`;
  return `${last} (${path}: ${facts.routes.find((route) => route.path === path)?.action ?? 'gone'})`;
}

export const pathsOf = (routes: readonly { readonly path: string }[]) => routes.map(({ path }) => path).join(', ');

export function count(amount: number, noun: string, plural = `${noun}s`): string {
  return `${amount} ${amount === 1 ? noun : plural}`;
}

/** What happened to some requests, or to connections on which none came. */
export const refused = ({ reason }: Detail, amount: number): string =>
  `${amount === 1 ? 'was' : 'were'} ${reason === 'none' ? 'turned away' : 'refused'}`;

/** Why a request was refused, as the end of a sentence; and who holds most connections, where they were too many. */
export function whyOf(detail: Detail, diagnosis: Diagnosis, { connections: { open, most } }: Facts): string {
  if (diagnosis === 'connections-full' && most !== null && most.connections * 2 > open)
    return `limits.connections was reached; ${most.connections} of the ${open} that are open now are from ${most.address}`;
  if (diagnosis !== 'signature-dropped') return reasonText(detail, detail.hint && shortened(detail.hint.text, 512));
  return detail.renamedHeader === null
    ? 'it came without the signature header, so something in front of the proxy drops it'
    : renamedText(shortened(detail.renamedHeader, 128));
}

/** The meaning of a reason, and what is known of this case. */
export function reasonText({ reason, rule, header }: Pick<Detail, 'reason' | 'rule' | 'header'>, hint: string | null) {
  const meaning = reason === 'none' ? 'it was not taken' : REASONS[reason].meaning;
  const broken = rule === null ? '' : ` (rule ${rule}${header === null ? '' : `, header ${shortened(header, 128)}`})`;
  if (hint === null) return `${meaning}${broken}`;
  if (rule !== null) return `${meaning}${broken}. To let them pass: ${hint}`;
  // A bad request that broke no rule is one whose client left.
  const isWhole = reason === 'none' || ['overloaded', 'bad_request'].includes(reason) || REASONS[reason].status === 401;
  return isWhole ? hint : `${meaning} (${hint})`;
}

/** What changed in this proxy, or began and ended by its date, in a span of epoch milliseconds, the last one first. */
function changesIn({ startedAt, reloads, secrets, routes }: Facts, from: number, to: number) {
  const all = [
    { at: startedAt, what: 'the start' },
    ...reloads.map((at) => ({ at, what: 'a reload' })),
    ...routes.map(({ path, reportUntil: at }) => ({ at, what: `${path} began to enforce (reportUntil)` })),
    ...secrets.flatMap(({ id, changedAt, notBefore, notAfter }) => [
      { at: changedAt, what: `secret ${id} changed` },
      { at: notBefore, what: `secret ${id} began` },
      { at: notAfter, what: `secret ${id} ended` },
    ]),
  ];
  const changes = all.flatMap(({ at, what }) => (at !== null && at >= from && at <= to ? { at, what } : []));
  return changes.toSorted((one, other) => other.at - one.at);
}

/** Says when a problem began, and what changed in the hour before, or that nothing did since the last good delivery. */
export function whatChanged(began: number, facts: Facts, good = Number.NaN): string {
  const [change] = changesIn(facts, began - HOUR, began);
  const when = ` It began at ${clock(began, facts.now)}`;
  if (change !== undefined) return `${when}, ${spanText(began - change.at)} after ${change.what}.`;
  if (Number.isNaN(good) || changesIn(facts, good, facts.now).length > 0) return `${when}.`;
  return `${when}. Nothing was changed here since the last one that was accepted before.`;
}

/** `9 min ago (11:51 UTC): WHY`, of a time of the ledger; a change since then is said, as it may have ended that. */
export function sinceWhy(input: Input, at: number, why: string): string {
  const { facts } = input;
  const [change] = changesIn(facts, epoch(input, at) + 1, facts.now);
  const before = change === undefined ? '' : `, before ${change.what} (${clock(change.at, facts.now)})`;
  if (why === '') return `${since(input, at)}${before}`;
  return `${since(input, at)}${before === '' ? '' : `${before}; as of then`}: ${why}`;
}
