// Refused requests that are not known to be deliveries: those before the first acceptance, those that come where deliveries
// have stopped, and strangers'. Report mode's, and signatures that nobody looked at, are here, too.
import { shortened } from '../base/printable.ts';
import { clockText, whyOutside } from '../core/keyring.ts';
import { shownPath } from '../core/request-record.ts';
import { UNMATCHED } from '../core/routes.ts';
import type { Tally } from './counts.ts';
import { toldOf } from './delivery-findings.ts';
import { DIAGNOSES, type Diagnosis, type Finding, type Findings, finding } from './diagnoses.ts';
import { type RouteLedger, strangerDiagnosis, type Unproven, untakenBy } from './ledger.ts';
import type { Known } from './senders.ts';
import { count, type Input, named, pathsOf, refused, since, sinceWhy, whyOf } from './sentences.ts';
import { dateText, HOUR, QUARTER } from './times.ts';

/** This many are no chance: with a signature, failed before the first acceptance, then a warning; without, a warning. */
const MANY = 3;

/** Room that strangers can use up: a warning while it is recent, even if every delivery had room. */
const isRoom = (id: Diagnosis) => DIAGNOSES[id].subject === 'room' || id === 'upstream-loop';

export function* refusalFindings(input: Input): Findings {
  const { ledger, now } = input;
  // Where an episode is open, it tells what comes in place of deliveries that have stopped.
  const stopped = ledger.senders.stopped(now).filter(({ route }) => ledger.of(route).outcomes.episode(now) === null);
  for (const one of stopped) yield suspected(one, input);
  yield* outsideDates(input);
  for (const [path, known] of ledger.routes) {
    yield* reported(path, known, input);
    yield unverified(path, known, input);
  }
  for (const kind of Object.keys(WHICH) as Unproven[]) yield* unproven(kind, stopped, input);
}

/** What report mode let pass: why it would be refused, and what the app did. */
function* reported(path: string, { reported, untaken, hasVerified }: RouteLedger, input: Input): Findings {
  const { facts, now } = input;
  for (const [id, tally] of reported) {
    const what = `of the last day to ${named(path, facts, tally.detail)} would be refused (report mode forwarded them)`;
    // Where nothing was ever verified, they may be deliveries that lost their header.
    const isNote = id === 'no-signature' && (tally.total < MANY || hasVerified);
    if (tally.ofDay(now) > 0) yield finding(isNote ? 'note' : 'warning', id, `${manyOf(tally, what, input)}.`, path);
  }
  for (const [id, tally] of untaken) {
    const times = tally.ofDay(now);
    const what = `${count(times, 'request')} of the last day to ${path} that report mode forwarded`;
    const message = `${toldOf(what, { ...tally, times })}, ${lastOf(tally, input, '')}.`;
    if (times > 0) yield finding('warning', id, message, path);
  }
}

const WHICH: Readonly<Record<Unproven, string>> = {
  claims: 'with a signature ',
  unsigned: 'without a signature that was read ',
  turnedAway: '',
  others: '',
};

type Told = Readonly<{ kind: Unproven; id: Diagnosis; route: string; tally: Tally; amount: number; isMany: boolean }>;

/** `stopped`: what is told beside them of the same requests. */
function* unproven(kind: Unproven, stopped: readonly Known[], input: Input): Findings {
  const { ledger, facts, now } = input;
  const known = [...ledger.unproven[kind]].flatMap(([route, tallies]) =>
    [...tallies].map(([id, tally]) => ({ route, id, tally })),
  );
  const all = known.toSorted((one, other) => other.tally.total - one.tally.total);
  // What every port gets, where deliveries are to come on other paths.
  const verified = facts.routes.some(({ action, path }) => action === 'verify' && path !== UNMATCHED);
  const isNoise = (route: string, id: Diagnosis) => verified && route === UNMATCHED && id === 'no-signature';
  const isMany =
    all.reduce((sum, { route, id, tally }) => sum + (isNoise(route, id) ? 0 : tally.ofDay(now)), 0) >= MANY;
  const mayBe = kind === 'claims' || (kind !== 'others' && (isMany || all.some(({ id }) => isRoom(id))));
  for (const { route, id, tally } of all) {
    const isEarly = mayBe && !isNoise(route, id) && ledger.senders.accepted === 0 && tally.lastAt >= ledger.began.at;
    const told = stopped.filter(({ suspects }) => strangerDiagnosis(suspects.detail) === id);
    const others = kind === 'claims' ? 0 : told.reduce((sum, { suspected }) => sum + suspected, 0);
    const amount = isEarly && kind === 'claims' ? tally.total : tally.ofDay(now) - others;
    if (amount > 0) yield (isEarly ? early : later)({ kind, id, route, tally, amount, isMany }, input);
  }
}

/** Before the first acceptance each may be a delivery. Signed ones are told after a day, too. */
function early({ kind, id, route, tally, amount, isMany }: Told, input: Input): Finding {
  const { ledger, facts } = input;
  const where = tally.detail.path === '' ? '' : ` on ${named(route, facts, tally.detail)}`;
  const what = manyOf(tally, `${WHICH[kind]}${refused(tally.detail, amount)}${where}`, input, amount);
  const message = `No ${ledger.lastTaken > 0 ? 'fresh ' : ''}delivery was accepted since ${ledger.began.what}; ${what}.`;
  return finding(kind === 'claims' && isMany ? 'failed' : 'warning', id, message, configured(route, input));
}

/** A claim may be a new sender's or a forger's, and no scanner's. The others are a note with a number. */
function later({ kind, id, route, tally, amount, isMany }: Told, input: Input): Finding {
  const [isClaim, isRead] = [kind === 'claims', tally.detail.path !== ''];
  const which = isClaim && isRead ? WHICH.claims : '';
  const what = manyOf(tally, `${which}of the last day ${refused(tally.detail, amount)}`, input, amount);
  const why = isRead ? 'no delivery with their look came from there' : 'a head that was not read shows no sender';
  const end = isClaim ? `Nothing proves that a sender of yours sent them: ${why}` : 'None is known to be a delivery';
  const isTold = (isClaim && isMany) || (isRoom(id) && input.now - tally.lastAt < QUARTER);
  return finding(isTold ? 'warning' : 'note', id, `${what}. ${end}.`, configured(route, input));
}

/** `9 requests WHAT, 7 of 9 from 192.0.2.1, the last one 9 min ago (11:51 UTC): WHY`. */
function manyOf(tally: Tally, what: string, input: Input, amount = tally.ofDay(input.now)): string {
  const noun = tally.detail.reason === 'none' ? 'connection' : 'request';
  return `${count(amount, noun)} ${what}, ${lastOf(tally, input, whyOf(tally.detail, tally.diagnosis, input.facts))}`;
}

/** The host that sent most of several, and when the last one came, and why it was refused. */
function lastOf({ lastAt, host, ofHost, total }: Tally, input: Input, why: string): string {
  const from = ofHost === total ? `all from ${host}, ` : `${ofHost} of ${total} from ${host}, `;
  return `${total > 1 && ofHost * 2 > total ? from : ''}the last one ${sinceWhy(input, lastAt, why)}`;
}

/** A route of a request, null if a reload has removed it since: metrics have it as a label. */
const configured = (route: string, { ledger }: Input) => (route === '' || ledger.isGone(route) ? null : route);

/** Deliveries have stopped, and refused requests come from there or to there: the sender, or what is in front, may have changed. */
function suspected({ route, lastAccepted, suspected, suspects }: Known, input: Input): Finding {
  const begin = `No delivery to ${named(route, input.facts, suspects.detail)} was accepted since ${since(input, lastAccepted)}, longer than ever before`;
  const others = manyOf(suspects, 'that may be deliveries were refused', input, suspected);
  const message = `${begin}, and ${others}. Nothing proves it: their look, address or signature is not that of the deliveries before.`;
  return finding('warning', suspects.diagnosis, message, route);
}

/** A secret outside its dates that somebody signs with may have leaked. */
function* outsideDates(input: Input): Findings {
  const { ledger, facts, now } = input;
  for (const [id, { lastAt, detail, host, total }] of ledger.outside) {
    const secret = facts.secrets.find((one) => one.id === id);
    if (secret === undefined ? now - lastAt >= HOUR : secret.state === 'live') continue;
    const state = secret?.state === 'not_yet' ? 'not_yet' : 'expired';
    const dates = secret === undefined ? null : whyOutside(state, secret, dateText);
    const which = dates === null ? `a secret outside its dates (${id})` : `secret ${id}, ${dates}`;
    const others = host === detail.client && total === 1 ? '' : ` (${count(total, 'request')})`;
    const message = `${shortened(detail.client, 64)} signed with ${which}, the last time ${since(input, lastAt)}${others}; ${clockText(facts.now, dateText)}.`;
    const diagnosis = state === 'not_yet' ? 'early-secret' : 'expired-secret';
    yield finding('warning', diagnosis, message, configured(detail.route, input));
  }
}

/** Failed only if no delivery was ever verified, since any stranger can send a signature. */
function unverified(path: string, known: RouteLedger, input: Input): Finding | null {
  const { ledger, facts, now } = input;
  const { unverified: tally, unverifiedDeliveries } = known;
  const amount = tally.ofDay(now);
  if (amount === 0) return null;
  const untaken = untakenBy(tally.detail, now);
  const { path: last } = tally.detail;
  const isOver = path === UNMATCHED && ledger.routeFor(last) !== UNMATCHED;
  const verified = pathsOf(facts.routes.filter(({ action }) => action === 'verify').slice(0, 3));
  const is = known.hasVerified ? 'before a reload they were verified' : `verified is ${verified || 'none'}`;
  const question = isOver ? 'it is a route since a reload.' : `${is}: is your route's path right?`;
  const message = `${count(amount, 'request')} with a signature ${amount === 1 ? 'was' : 'were'} forwarded without a look at it, the last to ${shownPath(last)} ${since(input, tally.lastAt)}; ${question}${untaken === null ? '' : ` ${toldOf('the last one', untaken)}.`}`;
  const state = unverifiedDeliveries === 0 || isOver ? 'note' : ledger.senders.accepted > 0 ? 'warning' : 'failed';
  return finding(state, 'signed-unverified', message, path);
}
