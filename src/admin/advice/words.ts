// The parts of which advice is made: what a subject's file finds, and times, spans and amounts in its sentences and on the
// page.
import type { Diagnosis } from '../../core/diagnoses-and-remedies.ts';
import { UNMATCHED } from '../../core/routes.ts';
import type { RouteStatus, StatusSnapshot } from '../snapshot.ts';

/**
 * `failed`: deliveries are lost, or will be soon. `warning`: look at it. `ok`: nothing to do. `note`: what was chosen, and
 * stands; never the headline.
 */
export type State = 'failed' | 'warning' | 'ok' | 'note';

/** A finding of one subject's file. */
export interface Found {
  readonly id: Diagnosis;
  readonly state: State;
  /** The facts, in one or two sentences. */
  readonly message: string;
}

/** The findings of a file; `null` and `false`: it is not so. */
export type Finds = readonly (Found | null | false)[];

export const found = (state: State, id: Diagnosis, message: string): Found => ({ id, state, message });

/** Milliseconds. */
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** Epoch milliseconds as `2026-11-24 12:00 UTC`. */
export function dateText(ms: number | null): string {
  return `${new Date(ms ?? 0).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** Epoch milliseconds as `12:00 UTC`, with the date if it is more than half a day away. */
export function clock(at: number, now: number): string {
  return Math.abs(now - at) < 12 * HOUR ? dateText(at).slice(11) : dateText(at);
}

/** `9 min ago (11:51 UTC)`. */
export function ago(at: number, now: number): string {
  return `${spanText(Math.max(0, now - at))} ago (${clock(at, now)})`;
}

const UNITS = { days: DAY, h: HOUR, min: MINUTE };

/** Milliseconds in the largest unit that gives at least two (`30 h`, not `1 d`). */
export function spanText(ms: number): string {
  const [unit, size] = Object.entries(UNITS).find(([, size]) => ms >= 2 * size) ?? ['s', 1000];
  return `${unit === 's' ? Math.round(ms / size) : Math.floor(ms / size)} ${unit}`;
}

/** A route for people: `unmatched` alone would not say which path it is, and is a setting, not what is wrong. */
export function named({ path, action, traffic: { lastPath } }: RouteStatus): string {
  return path === UNMATCHED && lastPath !== null ? `${lastPath} (${path}: ${action})` : path;
}

/** For how long nothing with a signature has come to a route, so that an old failure is not read as one that goes on. */
export function quiet(at: number, { traffic: { lastAccepted, lastRefusedSignature } }: RouteStatus, now: number) {
  const silent = now - Math.max(at, lastAccepted ?? 0, lastRefusedSignature ?? 0);
  return silent < 5 * MINUTE ? '' : ` Nothing with a signature has come there for ${spanText(silent)}.`;
}

export function count(amount: number, noun: string, plural = `${noun}s`): string {
  return `${amount} ${amount === 1 ? noun : plural}`;
}

/** What was changed here, and when. */
export const changesIn = ({ startedAt, lastReload, secrets }: StatusSnapshot) => [
  { at: startedAt, what: 'the start' },
  ...(lastReload === null ? [] : [{ at: lastReload.at, what: 'a reload' }]),
  ...secrets.flatMap(({ id, changedAt: at }) => (at === null ? [] : { at, what: `secret ${id} changed` })),
];

/** When something began that `last` happened again, and what had changed in the hour before. A sentence, or nothing. */
export function whatChanged(began: number, last: number, s: StatusSnapshot): string {
  const before = changesIn(s).filter(({ at }) => at <= began && began - at <= HOUR);
  const [change] = before.toSorted((one, other) => other.at - one.at);
  if (change === undefined) return began === last ? '' : ` It began ${ago(began, s.now)}.`;
  return ` It began at ${clock(began, s.now)}, ${spanText(began - change.at)} after ${change.what}.`;
}
