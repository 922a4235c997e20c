// What the files of advice share: the type of their findings, and phrases that several sentences use.

import { UNMATCHED } from '../../core/routes.ts';
import type { Diagnosis } from '../../health/diagnoses.ts';
import type { RouteStatus, StatusSnapshot } from '../snapshot.ts';
import { ago, clock, HOUR, MINUTE, spanText } from './times.ts';

/**
 * `failed`: deliveries are lost, or will be soon. `warning`: look at it. `ok`: nothing to do. `note`: a deliberate
 * choice; never the headline.
 */
export type State = 'failed' | 'warning' | 'ok' | 'note';

/** A finding, as the file for its subject (secrets.ts, deliveries.ts …) gives it. */
export interface Found {
  readonly id: Diagnosis;
  readonly state: State;
  /** The facts, in one or two sentences. */
  readonly message: string;
}

/** The findings of one file. A null among them means nothing to report. */
export type Finds = Iterable<Found | null>;

export const found = (state: State, id: Diagnosis, message: string): Found => ({ id, state, message });

/** A route's name in sentences. As `unmatched` is no path, the path of its last signed request comes first. */
export function named({ path, action, traffic: { lastPath } }: RouteStatus): string {
  return path === UNMATCHED && lastPath !== null ? `${lastPath} (${path}: ${action})` : path;
}

export const pathsOf = (routes: readonly RouteStatus[]) => routes.map(({ path }) => path).join(', ');

/** Says how long a route has had no signed request, so that an old failure does not read like a current one. */
export function quiet(at: number, { traffic: { lastAccepted, lastRefusedSignature } }: RouteStatus, now: number) {
  const silent = now - Math.max(at, lastAccepted ?? 0, lastRefusedSignature ?? 0);
  return silent < 5 * MINUTE ? '' : ` Nothing with a signature has come there for ${spanText(silent)}.`;
}

export function count(amount: number, noun: string, plural = `${noun}s`): string {
  return `${amount} ${amount === 1 ? noun : plural}`;
}

/** The changes in this proxy (start, last reload, secrets), each with its time in epoch milliseconds. */
export const changesIn = ({ startedAt, lastReload, secrets }: StatusSnapshot) => [
  { at: startedAt, what: 'the start' },
  ...(lastReload === null ? [] : [{ at: lastReload.at, what: 'a reload' }]),
  ...secrets.flatMap(({ id, changedAt: at }) => (at === null ? [] : { at, what: `secret ${id} changed` })),
];

/** Says when a problem began and what changed in the hour before; empty if no change is known and it was seen once. */
export function whatChanged(began: number, last: number, s: StatusSnapshot): string {
  const before = changesIn(s).filter(({ at }) => at <= began && began - at <= HOUR);
  const [change] = before.toSorted((one, other) => other.at - one.at);
  if (change === undefined) return began === last ? '' : ` It began ${ago(began, s.now)}.`;
  return ` It began at ${clock(began, s.now)}, ${spanText(began - change.at)} after ${change.what}.`;
}
