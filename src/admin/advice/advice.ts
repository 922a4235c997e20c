// Advice on the state of the proxy: one item for each cause, worst first. The status page, /api/status, `check` and the
// log show it. It follows from the snapshot alone, and must never say that all is well while deliveries are lost. The
// facts are written here, the remedies in health/diagnoses.ts.
import { DIAGNOSES, type Diagnosed, type Subject } from '../../health/diagnoses.ts';
import type { StatusSnapshot } from '../snapshot.ts';
import { deliveryAdvice } from './deliveries.ts';
import { redeliveryAdvice } from './redelivery.ts';
import { standingAdvice, stateAdvice } from './state.ts';
import { ago, dateText, spanText } from './times.ts';
import { count, type Found, found, type State } from './words.ts';

export interface Advice extends Found, Pick<Diagnosed, 'remedy' | 'page'> {
  /** Findings that are consequences of this one, and so have no item of their own. */
  readonly follows: readonly Found[];
}

/** The answer of /api/status. */
export interface ApiStatus extends StatusSnapshot {
  readonly advice: readonly Advice[];
  /** A true sentence for each configured subject that has no problem; subjects in BESIDE_WARNINGS may have one. */
  readonly right: readonly { readonly id: Subject; readonly message: string }[];
}

export function apiStatus(s: StatusSnapshot): ApiStatus {
  const advice = adviceFor(s);
  return { ...s, advice, right: rightBeside(advice, s) };
}

/** The order of advice: the worst first. */
const STATES: readonly State[] = ['failed', 'warning', 'ok', 'note'];
const byState = (one: Found, other: Found) => STATES.indexOf(one.state) - STATES.indexOf(other.state);
const isWrong = ({ state }: Found) => state === 'failed' || state === 'warning';
const worst = (all: readonly Found[]) => all.reduce((one, other) => (byState(one, other) > 0 ? other : one));

/** The advice on a snapshot: at least one item; the first is the headline. */
export function adviceFor(s: StatusSnapshot): readonly Advice[] {
  const all = [...stateAdvice(s), ...deliveryAdvice(s), ...redeliveryAdvice(s), ...standingAdvice(s)];
  const items = causes(all.filter((one) => one !== null));
  return (items.some(isWrong) ? items : [told(allIsWell(s)), ...items]).toSorted(byState);
}

/** One item per cause, with the findings that follow from it and the worst of their states. Notes are not merged. */
function causes(found: readonly Found[]): readonly Advice[] {
  const alike = Map.groupBy(found, (one) => (one.state === 'note' ? one : one.id));
  const items = [...alike.values()].map((same) => {
    return { ...worst(same), message: same.map(({ message }) => message).join(' ') };
  });
  const causeOf = (one: Found): Found => {
    const { follows } = DIAGNOSES[one.id];
    const cause = items.find(({ id }) => follows.includes(id) || follows.includes(DIAGNOSES[id].subject));
    return cause === undefined ? one : causeOf(cause);
  };
  return [...Map.groupBy(items, causeOf)].map(([cause, all]) => {
    const follows = all.filter((one) => one !== cause);
    return told({ ...cause, state: worst(all).state }, follows);
  });
}

function told(one: Found, follows: readonly Found[] = []): Advice {
  const { remedy, page } = DIAGNOSES[one.id];
  return { ...one, remedy, page, follows };
}

function allIsWell(s: StatusSnapshot): Found {
  const { accepted, forwarded, duplicate, deferred, noise, windowSeconds } = s.recent;
  const served = accepted + forwarded + duplicate + deferred;
  const others = served > 0 ? count(noise, 'other was', 'others were') : count(noise, 'request was', 'requests were');
  const scanned = noise > 0 ? ` ${others} refused, as on any public port.` : '';
  const last = Math.max(0, ...s.routes.map(({ traffic }) => traffic.lastTaken ?? 0));
  if (served === 0 && last === 0) {
    const message = `Nothing is wrong, and nothing is proven yet: no delivery has reached the app since the start, ${spanText(s.now - s.startedAt)} ago.${scanned}`;
    return found('ok', 'nothing-proven', message);
  }
  const refused = `${noise > 0 ? 'no delivery' : 'none'} refused in the last ${windowSeconds / 60} minutes`;
  const before = `the app took the last delivery ${ago(last, s.now)}, none has come since, and nothing is known to be lost`;
  const facts = served > 0 ? `${count(served, 'request')} served and ${refused}` : before;
  return found('ok', 'all-is-well', `All is well: ${facts}.${scanned}`);
}

/** Subjects whose sentence is shown even beside a warning about them, since `sentences` gives only what is true. */
const BESIDE_WARNINGS: ReadonlySet<string> = new Set<Subject>(['secrets', 'upstream']);

/** No sentence may give the all-clear beside a problem of the same subject. */
function rightBeside(advice: readonly Advice[], s: StatusSnapshot): ApiStatus['right'] {
  const wrong = advice.flatMap((one) => [one, ...one.follows]).filter(isWrong);
  const subjects = new Set<string>(wrong.map(({ id }) => DIAGNOSES[id].subject));
  const isRight = (id: string) => BESIDE_WARNINGS.has(id) || !subjects.has(id);
  const all = Object.entries(sentences(s)) as [Subject, string | false][];
  return all.flatMap(([id, message]) => (message !== false && isRight(id) ? { id, message } : []));
}

/** The sentence for each subject; false where it is not configured, or the sentence would not be true. */
function sentences(s: StatusSnapshot): Partial<Record<Subject, string | false>> {
  const { upstream, certificates, lastReload, once, deferred } = s;
  const verify = s.routes.filter(({ action }) => action === 'verify');
  const live = verify.map(({ path, liveSecrets }) => `${liveSecrets} on ${path}`).join(', ');
  const dates = certificates.map(({ file, notAfter }) => `${file} until ${dateText(notAfter).slice(0, 10)}`);
  const reloaded = lastReload !== null && `The last reload worked, at ${new Date(lastReload.at).toISOString()}.`;
  return {
    ready: s.ready && !s.draining && `The proxy is ready (version ${s.version}).`,
    secrets: verify.length > 0 && verify.every(({ liveSecrets }) => liveSecrets > 0) && `Live secrets: ${live}.`,
    upstream: upstream.reachable && `The upstream ${upstream.url} accepts connections.`,
    exposed: upstream.exposure === 'hidden' && 'Clients cannot bypass the proxy.',
    certificates: dates.length > 0 && `TLS certificates: ${dates.join(', ')}.`,
    reload: reloaded || 'No reload since the start.',
    once: once?.isKnown === true && `The store of delivered events (${once.store}) answers.`,
    redelivery: deferred?.state === 'works' && `The store of deferred deliveries (${deferred.store}) works.`,
  };
}
