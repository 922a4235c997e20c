// Advice on the state of the proxy: one item for each cause, worst first. The status page shows it, /api/status holds it,
// `check` and the log tell it. A pure function of the snapshot. Texts are in core/diagnoses-and-remedies.ts; here are the facts.
// It must never say that all is well while deliveries are lost.

import { DIAGNOSES } from '../../core/diagnoses-and-remedies.ts';
import type { StatusSnapshot } from '../snapshot.ts';
import { redeliveryAdvice } from './redelivery.ts';
import { type Right, rightOf } from './right.ts';
import { standingAdvice, stateAdvice } from './state.ts';
import { trafficAdvice } from './traffic.ts';
import { ago, count, type Found, found, type State, spanText } from './words.ts';

export interface Advice extends Found {
  readonly remedy: string;
  /** The page in docs/ that explains it: `rotation.md#after-a-leak`. */
  readonly page: string;
  /** Findings that follow from it, and so are no items. */
  readonly follows: readonly Found[];
}

/** The answer of /api/status. */
export interface ApiStatus extends StatusSnapshot {
  readonly advice: readonly Advice[];
  readonly right: readonly Right[];
}

export function apiStatus(s: StatusSnapshot): ApiStatus {
  const advice = adviceFor(s);
  const wrong = advice
    .flatMap((one) => [one, ...one.follows])
    .filter(({ state }) => state === 'failed' || state === 'warning');
  return { ...s, advice, right: rightOf(s, wrong) };
}

/** The advice on a snapshot: at least one item; the first is the headline. */
export function adviceFor(s: StatusSnapshot): readonly Advice[] {
  const all = [...stateAdvice(s), ...trafficAdvice(s), ...redeliveryAdvice(s), ...standingAdvice(s)];
  const found = causes(all.filter((one) => one !== null && one !== false));
  const of = (wanted: State) => found.filter(({ state }) => state === wanted);
  const worse = [...of('failed'), ...of('warning')];
  return [...(worse.length > 0 ? worse : [told(allIsWell(s), [])]), ...of('ok'), ...of('note')];
}

/** One item for each cause, with what follows from it, as bad as the worst of them. Each note is an item of its own. */
function causes(found: readonly Found[]): readonly Advice[] {
  const alike = Map.groupBy(found, (one) => (one.state === 'note' ? one : one.id));
  const items = [...alike.values()].map((same) => ({
    ...worst(same),
    message: same.map((one) => one.message).join(' '),
  }));
  const causeOf = (one: Found): Found => {
    const { follows } = DIAGNOSES[one.id];
    const cause = items.find(
      ({ id }) => id !== one.id && (follows.includes(id) || follows.includes(DIAGNOSES[id].subject)),
    );
    return cause === undefined ? one : causeOf(cause);
  };
  return [...Map.groupBy(items, causeOf)].map(([cause, all]) => {
    const { state } = worst(all);
    return told(
      { ...cause, state },
      all.filter((one) => one !== cause),
    );
  });
}

const STATES: readonly State[] = ['note', 'ok', 'warning', 'failed'];

function worst([first, ...others]: readonly Found[]): Found {
  if (first === undefined) throw new Error('nothing was found');
  return others.reduce((a, b) => (STATES.indexOf(b.state) > STATES.indexOf(a.state) ? b : a), first);
}

function told(one: Found, follows: readonly Found[]): Advice {
  const { remedy, page } = DIAGNOSES[one.id];
  return { ...one, remedy, page, follows };
}

function allIsWell(s: StatusSnapshot): Found {
  const { accepted, forwarded, duplicate, deferred, noise, windowSeconds } = s.recent;
  const served = accepted + forwarded + duplicate + deferred;
  const other = served > 0 ? ['other was', 'others were'] : ['request was', 'requests were'];
  const scanned = noise > 0 ? ` ${count(noise, other[0] ?? '', other[1])} refused, as on any public port.` : '';
  if (served > 0) {
    const refused = noise > 0 ? 'no delivery' : 'none';
    const lately = `in the last ${windowSeconds / 60} minutes`;
    const message = `All is well: ${count(served, 'request')} served and ${refused} refused ${lately}.${scanned}`;
    return found('ok', 'all-is-well', message);
  }
  const last = Math.max(...s.routes.map(({ traffic }) => traffic.lastTaken ?? 0));
  if (last > 0) {
    const message = `All is well: the app took the last delivery ${ago(last, s.now)}, none has come since, and nothing is known to be lost.${scanned}`;
    return found('ok', 'all-is-well', message);
  }
  const message = `Nothing is wrong, and nothing is proven yet: no delivery has reached the app since the start, ${spanText(s.now - s.startedAt)} ago.${scanned}`;
  return found('ok', 'nothing-proven', message);
}
