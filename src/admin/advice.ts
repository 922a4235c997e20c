// Advice on the state of the proxy: one item for each problem, worst first. The status page shows it and /api/status
// holds it, also for `check`, so each text exists once, here and in advice-*.ts. A pure function of the snapshot.
// It must never recommend weakening verification, nor say that all is well while deliveries are lost.

import { PAGES } from './advice-pages.ts';
import { redeliveryAdvice } from './advice-redelivery.ts';
import { standingAdvice, stateAdvice } from './advice-state.ts';
import { lastTaken, trafficAdvice } from './advice-traffic.ts';
import { count, lately } from './amounts.ts';
import type { StatusSnapshot } from './status-snapshot.ts';
import { spanText } from './times.ts';

/** `failed`: deliveries fail now. `warning`: look at it. `ok`: nothing to do. */
export type State = 'failed' | 'warning' | 'ok';

/** What an item is about; several items may share one. */
export type Topic =
  | 'ready'
  | 'secrets'
  | 'signatures'
  | 'deliveries'
  | 'upstream'
  | 'exposed'
  | 'once'
  | 'redelivery'
  | 'certificates'
  | 'connections'
  | 'reload'
  | 'refusals'
  | 'report-mode'
  | 'configuration'
  | 'log'
  | 'all';

export interface Advice {
  readonly id: Topic;
  readonly state: State;
  /** The problem, in one or two sentences. */
  readonly message: string;
  /** What to do about it. */
  readonly remedy: string;
  /** The page in docs/ that explains it: `rotation.md#after-a-leak`. */
  readonly page: string;
}

/** What /api/status answers. */
export interface ApiStatus extends StatusSnapshot {
  readonly advice: readonly Advice[];
}

/** The advice on a snapshot: at least one item; the first is the headline. */
export function adviceFor(s: StatusSnapshot): readonly Advice[] {
  const found = [...stateAdvice(s), ...redeliveryAdvice(s), ...trafficAdvice(s), ...standingAdvice(s)];
  const of = (wanted: State) => found.filter(({ state }) => state === wanted);
  const worse = [...of('failed'), ...of('warning')];
  return [...(worse.length > 0 ? worse : [allIsWell(s)]), ...of('ok')];
}

function allIsWell(s: StatusSnapshot): Advice {
  const { accepted, forwarded, duplicate, deferred, noise } = s.recent;
  const served = accepted + forwarded + duplicate + deferred;
  const other = served > 0 ? ['other was', 'others were'] : ['request was', 'requests were'];
  const scanned = noise > 0 ? ` ${count(noise, other[0] ?? '', other[1])} refused, as on any public port.` : '';
  const advice = { id: 'all', state: 'ok', remedy: 'Nothing to do.', page: PAGES.admin } as const;
  if (served > 0) {
    const refused = noise > 0 ? 'no delivery' : 'none';
    const message = `All is well: ${count(served, 'request')} served and ${refused} refused ${lately(s)}.${scanned}`;
    return { ...advice, message };
  }
  const last = lastTaken(s.routes.map(({ traffic }) => traffic));
  if (last !== null) {
    const message = `All is well: the app took the last delivery ${spanText(s.now - last)} ago, and nothing is known to be lost.${scanned}`;
    return { ...advice, message };
  }
  const message = `Nothing is wrong, and nothing is proven yet: no delivery has reached the app since the start, ${spanText(s.now - s.startedAt)} ago.${scanned}`;
  return { ...advice, message, remedy: 'To try it, send a signed request: entrupy-signature-proxy probe.' };
}
