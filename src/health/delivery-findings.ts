// The findings on the deliveries of each route: an episode of outcomes that fail, losses of the last day, and an app that
// is slow or only redirects. A route is judged by its last deliveries; once those are very old, that is said.
import { clockText } from '../core/keyring.ts';
import { diagnosisOfFailure } from '../core/request-diagnosis.ts';
import { UNMATCHED } from '../core/routes.ts';
import { causesOf, type Finding, type Findings, finding } from './diagnoses.ts';
import { type Cause, calmAfter, dueOf, FEW, hasRecovered, type RouteLedger } from './route-ledger.ts';
import { count, epoch, type Input, lastDay, named, refused, since, sinceWhy, whatChanged, whyOf } from './sentences.ts';
import { ago, clock, DAY, dateText, MINUTE, QUARTER, spanText } from './times.ts';

/** This many slow answers or departed senders in a quarter of an hour make the app slow. */
const SLOW_ANSWERS = 5;
/** This many redirects are a warning while one of the last RECENT answers is one. */
const REDIRECTS = 3;
const RECENT = 24;

/** Routes that lose deliveries come before those whose deliveries wait, and first what keeps the app from taking any. */
export function episodes(input: Input): readonly Finding[] {
  const { ledger, facts, now } = input;
  const { reachable, error } = facts.upstream;
  const lasting = reachable ? null : diagnosisOfFailure('connect', error);
  const lasts = ({ diagnosis }: Cause) => Number(diagnosis === lasting);
  const hasLost = (outcomes: RouteLedger) => Number(outcomes.lost(now) > 0);
  const ordered = ledger.routes.toSorted(([, one], [, other]) => hasLost(other) - hasLost(one));
  // A reload may have ended what was refused before it, and an app that accepts connections again is back.
  const isBack = (one: Cause) => reachable && one.detail.upstreamFailure === 'connect' && hasRecovered(one, now, FEW);
  const mayBeOver = (one: Cause) =>
    isBack(one) || (one.isRefusal && facts.reloads.some((at) => at > epoch(input, one.lastAt)));
  return ordered.flatMap(([path, outcomes]) => {
    // What failed at a path that a route takes since a reload is judged there; its losses stay.
    const isHere = ({ detail }: Cause) => path !== UNMATCHED || ledger.routeFor(detail.path) === UNMATCHED;
    const causes = outcomes.judgeCauses(now).filter(isHere);
    return causes
      .toSorted((cause, other) => lasts(other) - lasts(cause))
      .map((cause) => caused(cause.isFailed && !mayBeOver(cause) ? 'failed' : 'warning', path, outcomes, cause, input));
  });
}

export function* deliveryFindings(input: Input): Findings {
  const { ledger, facts } = input;
  const waiting = waitingText(input);
  if (facts.unanswered.amount >= SLOW_ANSWERS && waiting !== '') yield finding('warning', 'slow-app', `${waiting}.`);
  yield untakenProbe(input);
  for (const [path, outcomes] of ledger.all) yield losses(path, outcomes, input);
  for (const [path, outcomes] of ledger.routes) {
    yield slowApp(path, outcomes, input);
    yield redirects(path, outcomes, input);
  }
}

/** Of one cause: its own number, and what holds for all of the route. */
function caused(state: Finding['state'], path: string, outcomes: RouteLedger, cause: Cause, input: Input): Finding {
  const { facts, now } = input;
  const { diagnosis, detail, times, all, lastAt, isRefusal } = cause;
  const began = epoch(input, cause.began);
  const latest = Math.max(lastAt, detail.startedAt); // or of a stored one that failed again, and does not count
  const silence = now - Math.max(latest, outcomes.lastTry);
  const last = times === 1 ? 'the last delivery' : `the last ${times} deliveries`;
  const amount = times < all ? `${times} of ${all} deliveries` : last;
  const from = times < all ? ` since ${clock(epoch(input, cause.knownAt), facts.now)}` : '';
  const when = times === 1 ? '' : `the last ${isRefusal ? 'one' : 'time'} `;
  const good = isRefusal && diagnosis !== 'other-address' ? epoch(input, cause.goodBefore) : Number.NaN;
  const parts = [
    `${toldOf(`${amount} to ${named(path, facts, detail)}${from}`, cause)}, ${when}`,
    `${sinceWhy(input, latest, isRefusal ? whyOf(detail, diagnosis, facts) : '')}.`,
    outcomes.good === 0 ? ' The app has taken none since the start.' : '',
    stored(path, cause, input),
    diagnosis === 'app-certificate-dates' ? ` ${datesOf(facts)}` : '',
    whatChanged(began, facts, good),
    silence < 5 * MINUTE
      ? ''
      : ` No delivery has come there for ${spanText(silence)}${path === UNMATCHED ? '' : ': if none is to come, remove the route'}.`,
    latest > lastAt ? '' : passedSince(cause, now, state === 'failed', path === UNMATCHED),
    silence < DAY ? '' : ' Whether it still fails is not known.',
  ];
  return { ...finding(state, diagnosis, parts.join(''), path), began };
}

function passedSince(cause: Cause, now: number, isFailed: boolean, isLeft: boolean): string {
  const { since: good, isRefusal, lastAt } = cause;
  const due = dueOf(cause);
  if (good === 0 && now - lastAt < 5 * MINUTE) return '';
  const what = isRefusal ? `was refused ${good} came through` : `failed the app took ${good}`;
  const elsewhere = isLeft && !isRefusal ? ', there or, an hour after that one, on a route' : '';
  const row = calmAfter(cause);
  const calm = isFailed && good < row && row < due ? `a warning after ${row}, and ` : '';
  const minute = now - lastAt < MINUTE ? ' and a minute' : '';
  const end = due === 0 ? 'a minute after that one' : `after ${due} in a row${minute}${elsewhere}`;
  return ` ${good === 0 ? 'This' : `Since the last that ${what}; this`} is ${calm}over ${end}.`;
}

/** What became of some requests of one cause, as the begin of a sentence. */
export function toldOf(which: string, { detail, times }: Pick<Cause, 'detail' | 'times'>): string {
  const { fate, upstreamFailure, upstreamStatus, upstreamError, hint, departedMs } = detail;
  if (fate === 'none') return `${which.replace(/^t/, 'T')} ${refused(detail, times)}`;
  const failure = [upstreamFailure ?? [], upstreamError ?? hint?.text ?? []].flat().join(', ');
  const more = failure === '' ? '' : ` (${failure})`;
  if (fate === 'abandoned')
    return `The sender left${departedMs < 0 ? '' : `, after ${spanText(departedMs)},`} before the app answered ${which}${more}`;
  if (upstreamFailure !== null) return `The app gave no whole answer to ${which}${more}`;
  return `${upstreamStatus > 0 ? `The app answered ${upstreamStatus}` : 'The proxy answered 503'} to ${which}${more}`;
}

/** The dates of the app's certificate, as far as they are known, and the clock by which they are judged. */
export function datesOf({ upstream: { certificate }, now }: Input['facts']): string {
  const clock = clockText(now, dateText);
  if (certificate === null) return `${clock.replace(/^t/, 'T')}.`;
  return `Its certificate is valid from ${dateText(certificate.notBefore)} to ${dateText(certificate.notAfter)}; ${clock}.`;
}

/** Says until when stored deliveries are not lost. What the app refused is stopped, and told so. */
function stored(path: string, { open, lost, detail: { fate }, ...cause }: Cause, input: Input): string {
  const { deferred, now } = input.facts;
  const { deliveries = 0, end = null } = deferred?.waits.find(({ route }) => route === path) ?? {};
  const isSince = (at: number | undefined) => (at ?? 0) >= epoch(input, cause.began);
  if (lost > 0 && deferred?.crowded?.route === path && isSince(deferred.crowded.at))
    return ` Not stored, the last time ${ago(deferred.crowded.at, now)}: too many with its body waited already.`;
  if (lost > 0 || deferred?.lostLately || deferred?.expired) return '';
  // The store may hold one of them for a route that a reload has removed.
  const isEmpty = deferred === null || deferred.routes?.length === 0;
  if (open === 0) return isEmpty ? ' Nothing is lost: each of them was taken later, or ended by a person.' : '';
  if (deferred === null || deliveries === 0 || fate === 'refused' || isSince(deferred.turnedAway?.at)) return '';
  if (deferred.lastSeen !== null)
    return ` ${deliveries} waited when they were last counted, ${ago(deferred.lastSeen, now)}; what is there now is not known.`;
  const until = end === null ? '' : `, the first until ${clock(end, now)}`;
  const how = deferred.sends ? `to be sent again${until}` : 'unsent';
  return ` Nothing is lost yet: ${deliveries} ${deliveries === 1 ? 'waits' : 'wait'} ${how}.`;
}

/** Of a route that a reload has removed, too. */
function losses(path: string, outcomes: RouteLedger, input: Input): Finding | null {
  const total = outcomes.lost(input.now);
  if (total === 0) return null;
  const ids = [...new Set(outcomes.losses.map(({ id }) => id))].filter((id) => outcomes.lost(input.now, id) > 0);
  const amounts = ids.map((id) => (ids.length === 1 ? id : `${outcomes.lost(input.now, id)} ${id}`));
  const gone = input.ledger.isGone(path) ? ', a route that is gone,' : '';
  const to = path === UNMATCHED ? 'paths that no route took' : `${path}${gone}`;
  const message = `${count(total, 'delivery', 'deliveries')} ${lastDay(input)} to ${to} may be lost, the last one ${since(input, outcomes.lastLoss)} (${amounts.join(', ')}).`;
  // With its own path even then: a counter tells the same loss, and an alert must not tell it twice.
  const causes = ids.flatMap((id) => [id, ...causesOf(id)]);
  return { ...finding('warning', 'deliveries-lost', message, path), causes };
}

/** The last probe, if the app did not take it and has taken nothing since. */
function untakenProbe(input: Input): Finding | null {
  const { failedProbe: probe } = input.ledger;
  if (probe === null) return null;
  const message = `${toldOf('the last probe', probe)}, ${since(input, probe.lastAt)}.`;
  return finding('note', probe.diagnosis, message, probe.detail.route);
}

/** Empty if a delivery that came later than those which wait was taken. */
export function waitingText({ ledger, facts: { unanswered }, now }: Input): string {
  const { amount, longestMs } = unanswered;
  if (amount === 0 || now - ledger.lastTaken <= longestMs) return '';
  const some = count(amount, 'delivery waits', 'deliveries wait');
  return `${some} for the app's answer, the first for ${spanText(longestMs)}, and none was taken meanwhile`;
}

function slowApp(path: string, { slow, slowMs }: RouteLedger, { facts, now }: Input): Finding | null {
  const recent = slow.sum(now);
  // Where none was answered it is not slow: what its senders met says so.
  if (recent < SLOW_ANSWERS || slowMs < 0) return null;
  const message = `The app is slow on ${named(path, facts)}: ${recent} deliveries in ${spanText(QUARTER)} took long, waits for one of upstream.connections included, or their sender left first; the last of them was answered after ${spanText(slowMs)}.`;
  return finding('warning', 'slow-app', message, path);
}

/** They count as taken, since senders may follow a redirect; where some of the last had one, as many may be lost. */
function redirects(path: string, outcomes: RouteLedger, { now }: Input): Finding | null {
  const amount = outcomes.redirected.sum(now);
  if (amount === 0) return null;
  const message = `The app answered ${count(amount, 'delivery', 'deliveries')} of the last day to ${path} with 3xx (${outcomes.redirectStatus}): they count as taken, but a sender that follows no redirect reaches nothing.`;
  const isRecent = outcomes.good - outcomes.redirectAt < RECENT && amount >= REDIRECTS;
  return finding(isRecent ? 'warning' : 'note', 'app-redirects', message, path);
}
