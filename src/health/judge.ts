// THE JUDGE: all that is wrong, in one place, worst first, one item for each cause and route. Page, API, `check`, log and
// metrics show its items and judge nothing. The facts are written in a file for each subject, the remedies in
// diagnoses.ts. It must never say that all is well while deliveries are lost.
import type { Facts } from '../facts.ts';
import { deliveryFindings, episodes, waitingText } from './delivery-findings.ts';
import { causesOf, DIAGNOSES, type Finding, finding, type State, type Subject } from './diagnoses.ts';
import { standingFindings, stateFindings } from './proxy-findings.ts';
import { refusalFindings } from './refusal-findings.ts';
import { isFresh } from './route-ledger.ts';
import { count, type Input, lastDay, since, sinceStart } from './sentences.ts';
import { storeFindings } from './store-findings.ts';
import { dateText } from './times.ts';

export interface Advice extends Pick<Finding, 'id' | 'state' | 'message' | 'route'> {
  readonly remedy: string;
  /** Its section of the docs, such as `alerts.md#app-down`. */
  readonly page: string;
  /** Findings that are consequences of this one, and so have no item of their own. */
  readonly follows: readonly Finding[];
}

export function judge(input: Input) {
  input.ledger.keepStored(input.facts.deferred?.routes ?? null);
  // Of findings of one state those that come first are told first: what is lost now before what may be.
  const findings = [
    ...episodes(input),
    ...stateFindings(input),
    ...deliveryFindings(input),
    ...refusalFindings(input),
    ...storeFindings(input),
    ...standingFindings(input),
  ].filter((one) => one !== null);
  const items = causes(findings);
  const advice = (items.some(isWrong) ? items : [toAdvice(allIsWell(input)), ...items]).toSorted(byState);
  return {
    /** At least one item; the first is the headline. */
    advice,
    /** A true sentence for each configured subject that has no problem; subjects in BESIDE_WARNINGS may have one. */
    right: rightBeside(advice, input.facts),
    /** True while a cause is too fresh to say whether its route fails. */
    isFresh: input.ledger.routes.some(([, outcomes]) =>
      [...outcomes.causes(input.now).values()].some((cause) => isFresh(cause, input.now)),
    ),
  };
}

/** The order of items: the worst first. */
const STATES: readonly State[] = ['failed', 'warning', 'ok', 'note'];
const byState = (one: Finding, other: Finding) => STATES.indexOf(one.state) - STATES.indexOf(other.state);
export const isWrong = ({ state }: Finding) => state === 'failed' || state === 'warning';
const worst = (all: readonly Finding[]) => all.reduce((one, other) => (byState(one, other) > 0 ? other : one));

/** One item per cause and route, with what follows from it (all share one room) and the worst state. Notes stay apart. */
function causes(findings: readonly Finding[]): readonly Advice[] {
  const alike = Map.groupBy(findings, (one) => (one.state === 'note' ? one : `${one.id} ${one.route}`));
  const messageOf = (same: readonly Finding[]) => same.map(({ message }) => message).join(' ');
  const items = [...alike.values()].map((same) => ({ ...worst(same), message: messageOf(same) }));
  const wrong = items.filter(isWrong);
  const causeOf = (one: Finding): Finding => {
    if (one.state === 'note') return one;
    const possibleIds = one.causes ?? causesOf(one.id);
    const where = DIAGNOSES[one.id].subject === 'room' ? undefined : placesOf(one);
    const possible = wrong.filter((other) => {
      // Where deliveries fail, that the app accepts no connections is told once.
      if (other.id === one.id) return one.route === null && other.route !== null;
      // A cause on a route that is only a warning by its own share makes nothing worse.
      if (one.state === 'failed' && other.state === 'warning' && other.route !== null && other.began) return false;
      const isLater = (other.began ?? 0) > (one.began ?? Number.POSITIVE_INFINITY);
      return possibleIds.includes(other.id) && !isLater && concerns(other, where);
    });
    const cause = possible.find(({ route }) => route === one.route) ?? possible[0];
    return cause === undefined ? one : causeOf(cause);
  };
  return [...Map.groupBy(items, causeOf)].map(([cause, all]) => {
    const follows = all.filter((one) => one !== cause);
    return toAdvice({ ...cause, state: worst(all).state }, follows);
  });
}

/** The routes that it concerns; undefined: all. */
const placesOf = ({ route, routes }: Finding) => (route === null ? routes : [route]);
const concerns = (one: Finding, places: readonly string[] | undefined) =>
  places === undefined || (placesOf(one)?.some((place) => places.includes(place)) ?? true);

function toAdvice(one: Finding, follows: readonly Finding[] = []): Advice {
  const { page, remedy } = DIAGNOSES[one.id];
  const shown = ({ id, state, message, route }: Finding) => ({ id, state, message, route });
  return { ...shown(one), remedy: one.remedy ?? remedy, page, follows: follows.map(shown) };
}

/** Nothing is known to be wrong. It is well only if what proves it is younger than what could speak against it. */
function allIsWell(input: Input): Finding {
  const { lastTaken, refusedSince, failedProbe: probe, routes } = input.ledger;
  const isNever = Number.isNaN(lastTaken);
  const waiting = waitingText(input);
  const taken = isNever
    ? `the app has taken no delivery ${sinceStart(input)}`
    : `the app took the last delivery ${since(input, lastTaken)}`;
  const doubts = [
    !isNever && routes.every(([, { good }]) => good === 0) && ', on a route that a reload has removed since',
    refusedSince > 0 &&
      `; since it took a fresh one, ${count(refusedSince, 'request was', 'requests were')} refused: perhaps deliveries of a sender that has changed`,
    waiting !== '' && `; ${waiting}`,
  ];
  const doubt = doubts.find((one) => one !== false);
  const why = `${probe === null ? 'Nothing' : 'The app did not take the last probe. Nothing else'} is known to be wrong, but this is not proven: ${taken}${isNever ? '' : (doubt ?? '')}.`;
  if (isNever || doubt !== undefined || probe !== null) return finding('ok', 'nothing-proven', why);
  return finding('ok', 'all-is-well', `All is well: ${taken}, and ${lastDay(input)} none is known to be lost.`);
}

/** Subjects whose sentence is shown even beside a warning about them, since `sentences` gives only what is true. */
const BESIDE_WARNINGS: ReadonlySet<string> = new Set<Subject>(['secrets', 'upstream']);

/** No sentence may give the all-clear beside a problem of the same subject. */
function rightBeside(advice: readonly Advice[], facts: Facts) {
  const wrong = advice.flatMap((one) => [one, ...one.follows]).filter(isWrong);
  const subjects = new Set<string>(wrong.map(({ id }) => DIAGNOSES[id].subject));
  const isRight = (id: string) => BESIDE_WARNINGS.has(id) || !subjects.has(id);
  const all = Object.entries(sentences(facts)) as [Subject, string | false][];
  return all.flatMap(([id, message]) => (message !== false && isRight(id) ? { id, message } : []));
}

/** The sentence for each subject; false where it is not configured, or the sentence would not be true. */
function sentences(s: Facts): Partial<Record<Subject, string | false>> {
  const { upstream, certificates, lastReload, once, deferred } = s;
  const verify = s.routes.filter(({ action }) => action === 'verify');
  const live = verify.map(({ path, liveSecrets }) => `${liveSecrets} on ${path}`).join(', ');
  const dates = certificates.map(({ file, notAfter }) => `${file} until ${dateText(notAfter).slice(0, 10)}`);
  const reloaded = lastReload !== null && `The last reload worked, at ${new Date(lastReload.at).toISOString()}.`;
  return {
    ready: s.ready && !s.draining && `The proxy is ready (version ${s.version}).`,
    secrets: verify.length > 0 && verify.every(({ liveSecrets }) => liveSecrets > 0) && `Live secrets: ${live}.`,
    upstream: upstream.reachable && `The upstream ${upstream.url} accepts connections.`,
    exposed:
      upstream.exposure === 'hidden' && "Past the proxy, the upstream does not answer at this pod's own address.",
    certificates: dates.length > 0 && `TLS certificates: ${dates.join(', ')}.`,
    reload: reloaded || 'No reload since the start.',
    once: once?.isKnown === true && `The store of delivered events (${once.store}) answers.`,
    redelivery: deferred?.state === 'works' && `The store of deferred deliveries (${deferred.store}) works.`,
  };
}
