// The findings on the deliveries of each route: an episode of outcomes that fail, losses of the last day, and an app that
// is slow or only redirects. A route is judged by its last deliveries; once those are very old, that is said.
import { clockText } from '../core/keyring.ts';
import { REASONS } from '../core/reasons.ts';
import { diagnosisOfFailure } from '../core/request-diagnosis.ts';
import { shownPath } from '../core/request-record.ts';
import { reports, UNMATCHED } from '../core/routes.ts';
import type { Facts } from '../facts.ts';
import { type Cause, type Detail, FEW } from './causes.ts';
import { causesOf, FIND, type Finding, type Findings, finding, LOST, PORT } from './diagnoses.ts';
import { type Episode, KEPT } from './episode.ts';
import { AT_ONCE, type RouteLedger, wentAstray } from './ledger.ts';
import { LOST_ENDS } from './route-outcomes.ts';
import { count, epoch, type Input, named, refused, since, sinceWhy, whatChanged, whyOf } from './sentences.ts';
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
  const hasLost = ({ outcomes }: RouteLedger) => Number(outcomes.lost(now) > 0);
  const ordered = ledger.routes.toSorted(([, one], [, other]) => hasLost(other) - hasLost(one));
  return ordered.flatMap(([path, known]) => {
    const episode = known.outcomes.episode(now);
    if (episode === null) return [];
    // Since a reload report mode lets pass what was refused for its signature.
    const isLetting = facts.routes.some((route) => route.path === path && reports(route, facts.now));
    const isLet = ({ detail: { reason } }: Cause) => isLetting && reason !== 'none' && REASONS[reason].status === 401;
    const isBack = (one: Cause) => reachable && one.detail.upstreamFailure === 'connect' && one.hasRecovered(now, FEW);
    // What failed at a path that a route takes since a reload is judged there; its losses stay.
    const isHere = ({ detail }: Cause) => path !== UNMATCHED || ledger.routeFor(detail.path) === UNMATCHED;
    const told = episode.told(now).toSorted((one, other) => lasts(other) - lasts(one));
    const stateOf = (one: Cause) =>
      one.isFailed && !isLet(one) && !isBack(one) && !isTaken(one, input) ? 'failed' : 'warning';
    return told.filter(isHere).map((cause) => caused({ path, known, episode, state: stateOf(cause) }, cause, input));
  });
}

/** True if the path for which it was refused is taken since a reload. */
function isTaken({ detail: { reason, path: refused }, lastAt }: Cause, input: Input): boolean {
  if (reason !== 'route_rejected' || input.facts.reloads.every((at) => at < epoch(input, lastAt))) return false;
  return input.facts.routes.some(({ path, action }) => path === input.ledger.routeFor(refused) && action !== 'reject');
}

export function* deliveryFindings(input: Input): Findings {
  const { ledger, facts } = input;
  const waiting = waitingText(input);
  if (facts.unanswered.amount >= SLOW_ANSWERS && waiting !== '') yield finding('warning', 'slow-app', `${waiting}.`);
  yield untakenProbe(input);
  for (const [path, known] of ledger.all) yield losses(path, known, input);
  for (const [path, known] of ledger.routes) {
    yield slowApp(path, known, input);
    yield redirects(path, known, input);
  }
}

type Failing = Readonly<{ path: string; state: Finding['state']; known: RouteLedger; episode: Episode }>;

const STILL = ' The app was not asked, or for a moment: the proxy, or its machine, may have stood still.';
const RUN = 'Give the proxy more CPU, or look at its machine. If it never stood still: senders wait for no answer.';

/** Of one cause: its own number, and what holds for all of the route. */
function caused({ path, state, known: { outcomes, slow }, episode }: Failing, cause: Cause, input: Input): Finding {
  const { facts, now } = input;
  const { diagnosis, detail, times, all, first, lastAt, isRefusal } = cause;
  const latest = Math.max(lastAt, detail.startedAt); // or of a stored one that failed again, and does not count
  const silence = now - Math.max(latest, episode.lastAt);
  const last = times === 1 ? 'the last delivery' : `the last ${times} deliveries`;
  const amount = times < all ? `${times} of ${first.beside === KEPT ? 'over ' : ''}${all} deliveries` : last;
  const from = times < all ? ` since ${clock(epoch(input, first.began), facts.now)}` : '';
  const which = `${amount} to ${whereTo(path, facts, detail)}${from}`;
  const when = times === 1 ? '' : `the last ${isRefusal ? 'one' : 'time'} `;
  const good = isRefusal && diagnosis !== 'other-address' ? epoch(input, first.goodBefore) : Number.NaN;
  const left = leftText(cause, slow.sum(0, now));
  const parts = [
    `${toldOf(which, cause)}, ${when}${sinceWhy(input, latest, isRefusal ? whyOf(detail, diagnosis, facts) : '')}.`,
    outcomes.good === 0 ? ' The app has taken none since the start.' : '',
    stored(path, cause, input),
    left,
    diagnosis === 'app-certificate-dates' ? ` ${datesOf(facts)}` : '',
    whatChanged(epoch(input, first.began), facts, good),
    silence < 5 * MINUTE ? '' : ` No delivery has come there for ${spanText(silence)}.`,
    latest > lastAt ? '' : passedSince(cause, state, now),
    silence < DAY ? '' : ' Whether it still fails is not known.',
  ];
  const unsaid = [...(cause.lost === 0 ? [FIND, LOST] : []), cause.between + cause.since > 0 ? PORT : ''];
  const found = { ...finding(state, diagnosis, parts.join(''), path), began: epoch(input, first.began), unsaid };
  if (isTaken(cause, input)) return { ...found, remedy: 'The path is taken now: the next deliveries tell.' };
  return left === STILL ? { ...found, remedy: RUN } : found;
}

/** Who leaves at once tells nothing of the app. `slow`: how many left later, of late. */
function leftText({ diagnosis, detail, times, all }: Cause, slow: number): string {
  if (diagnosis !== 'sender-leaves') return '';
  if (detail.departedMs < AT_ONCE && slow === 0) return STILL;
  return times === all ? ' The app has answered none since the first.' : '';
}

/** Where they were sent, if that was no route that takes them, is said beside the route whose sender they have. */
function whereTo(path: string, facts: Facts, detail: Detail): string {
  if (detail.fate !== 'none' || !wentAstray(detail) || path === UNMATCHED) return named(path, facts, detail);
  if (detail.path === '') return `${path}, or from their address with a head that was not read,`;
  return detail.path === path ? path : `${path}, or like those but sent to ${shownPath(detail.path)},`;
}

function passedSince(cause: Cause, state: Finding['state'], now: number): string {
  const { since: good, due, outage, isRefusal, lastAt } = cause;
  if (good === 0 && now - lastAt < 5 * MINUTE) return '';
  const ends = [due === 0 ? '' : `after ${due} in a row`, now - lastAt >= MINUTE ? '' : 'a minute after that one'];
  const what = isRefusal ? `was refused ${good} came through` : `failed the app took ${good}`;
  const before =
    state === 'failed' && outage > good ? `a warning after ${outage} in a row and ${spanText(QUARTER)}, and ` : '';
  const end = `${ends.filter(Boolean).join(' and ')}${due > KEPT ? ', or after a day' : ''}`;
  return ` ${good === 0 ? 'This' : `Since the last that ${what}; this`} is ${before}over ${end}.`;
}

/** What became of some requests of one cause, as the begin of a sentence. */
export function toldOf(which: string, { detail, times }: Pick<Cause, 'detail' | 'times'>): string {
  const { fate, upstreamFailure, upstreamStatus, upstreamError, hint, departedMs } = detail;
  if (fate === 'none') return `${which.replace(/^t/, 'T')} ${refused(detail, times)}`;
  const known = [upstreamFailure ?? [], upstreamError ?? hint?.text ?? []].flat().join(', ');
  const more = known === '' ? '' : ` (${known})`;
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
function stored(path: string, { open, lost, detail: { fate }, first }: Cause, input: Input): string {
  const { deferred, now } = input.facts;
  const { deliveries = 0, end = null } = deferred?.waits.find(({ route }) => route === path) ?? {};
  const began = epoch(input, first.began);
  const crowded = deferred?.crowded?.route === path && deferred.crowded.at >= began ? deferred.crowded : null;
  if (lost > 0 && crowded !== null)
    return ` One was not stored, the last time ${ago(crowded.at, now)}: too many with its body waited already.`;
  if (lost > 0 || deferred?.lostLately || deferred?.expired) return '';
  if (open === 0) return deliveries > 0 ? '' : ' Nothing is lost: each of them was taken later, or ended by a person.';
  const isUnsure = fate === 'refused' || (deferred?.turnedAway?.at ?? 0) >= began;
  if (deferred === null || deliveries === 0 || isUnsure) return '';
  if (deferred.lastSeen !== null)
    return ` ${deliveries} waited when they were last counted, ${ago(deferred.lastSeen, now)}; what is there now is not known.`;
  const until = end === null ? '' : `, the first until ${clock(end, now)}`;
  const how = deferred.sends ? `to be sent again${until}` : 'unsent';
  return ` Nothing is lost yet: ${deliveries} ${deliveries === 1 ? 'waits' : 'wait'} ${how}.`;
}

/** Of a route that a reload has removed, too. */
function losses(path: string, { outcomes }: RouteLedger, input: Input): Finding | null {
  const total = outcomes.lost(input.now);
  if (total === 0) return null;
  const all = [...outcomes.losses].map(([id, one]) => ({ id, amount: outcomes.lost(input.now, LOST_ENDS, [one]) }));
  const recent = all.filter(({ amount }) => amount > 0);
  const ids = recent.map(({ id, amount }) => (amount === total ? id : `${amount} ${id}`));
  const gone = input.ledger.isGone(path) ? ', a route that is gone,' : '';
  const to = path === UNMATCHED ? 'paths that no route took' : `${path}${gone}`;
  const message = `${count(total, 'delivery', 'deliveries')} of the last day to ${to} may be lost, the last one ${since(input, outcomes.lastLoss)} (${ids.join(', ')}).`;
  // With its own path even then: a counter tells the same loss, and an alert must not tell it twice.
  const causes = recent.flatMap(({ id }) => [id, ...causesOf(id)]);
  return { ...finding('warning', 'deliveries-lost', message, path), causes };
}

/** The last probe, if the app did not take it and has taken nothing since. */
function untakenProbe(input: Input): Finding | null {
  const { failedProbe: probe } = input.ledger;
  if (probe === null) return null;
  const message = `${toldOf('the last probe', probe)}, ${since(input, probe.lastAt)}.`;
  return { ...finding('note', probe.diagnosis, message, probe.detail.route), unsaid: [FIND] };
}

/** Empty if a delivery that came later than those which wait was taken. */
export function waitingText({ ledger, facts: { unanswered }, now }: Input): string {
  const { amount, longestMs } = unanswered;
  if (amount === 0 || now - ledger.lastTaken <= longestMs) return '';
  const some = count(amount, 'delivery waits', 'deliveries wait');
  return `${some} for the app's answer, the first for ${spanText(longestMs)}, and none was taken meanwhile`;
}

function slowApp(path: string, { slow, slowMs }: RouteLedger, { facts, now }: Input): Finding | null {
  const recent = slow.sum(0, now);
  // Where none was answered it is not slow: what its senders met says so.
  if (recent < SLOW_ANSWERS || slowMs < 0) return null;
  const message = `The app is slow on ${named(path, facts)}: ${recent} deliveries in ${spanText(QUARTER)} took long, or their sender left first; it last answered after ${spanText(slowMs)}.`;
  return finding('warning', 'slow-app', message, path);
}

/** A redirect counts as taken, since senders may follow it; where some of the last had one, as many may be lost. */
function redirects(path: string, { outcomes }: RouteLedger, { now }: Input): Finding | null {
  const { good, redirectAt, redirectStatus, redirected } = outcomes;
  const amount = redirected.sum(0, now);
  if (amount === 0) return null;
  const isRedirect = /^30[12378]$/.test(`${redirectStatus}`);
  const but = isRedirect ? 'a sender that follows none of them reaches nothing' : 'nothing says that it took them';
  const message = `The app answered ${count(amount, 'delivery', 'deliveries')} of the last day to ${path} with ${isRedirect ? 'redirects' : '3xx'} (${redirectStatus}): they count as taken, but ${but}.`;
  const state = good - redirectAt < RECENT && amount >= REDIRECTS ? 'warning' : 'note';
  const found = finding(state, 'app-redirects', message, path);
  return isRedirect ? found : { ...found, remedy: 'Look at the log of the app, and let it answer 2xx.' };
}
