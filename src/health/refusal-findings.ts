// Refused requests that are not known to be deliveries: those before the first acceptance, those that come where deliveries
// have stopped, and strangers'. Report mode's, and signatures that nobody looked at, are here, too.
import { shortened } from '../base/printable.ts';
import { diagnosisOf } from '../core/request-diagnosis.ts';
import { shownPath } from '../core/request-record.ts';
import { UNMATCHED } from '../core/routes.ts';
import { toldOf } from './delivery-findings.ts';
import { DIAGNOSES, type Diagnosis, type Finding, type Findings, finding } from './diagnoses.ts';
import { KINDS, type Kind, untakenBy } from './ledger.ts';
import type { Trait } from './senders.ts';
import { count, type Input, named, pathsOf, refused, since, sinceWhy, whyOf } from './sentences.ts';
import type { Tally } from './tallies.ts';
import { QUARTER } from './times.ts';

/** This many are no chance: with a signature, failed before the first acceptance, then a warning; without, a warning. */
const MANY = 3;

const REPORTED: readonly Kind[] = ['reported', 'untaken'];
/** Room that strangers can use up: a warning while it is recent, even if every delivery had room. */
const isRoom = (id: Diagnosis) => DIAGNOSES[id].subject === 'room' || id === 'upstream-loop';

export function* refusalFindings(input: Input): Findings {
  const { ledger, now } = input;
  // Where a cause is open, it tells what comes in place of deliveries that have stopped.
  const stopped = ledger.senders.stopped(now).filter(({ route }) => ledger.of(route).causes(now).size === 0);
  for (const one of stopped) yield suspected(one, input);
  for (const kind of KINDS) yield* unproven(kind, stopped, input);
  for (const [path, tally] of ledger.unverified) if (!ledger.isGone(path)) yield unverified(path, tally, input);
}

type Told = Readonly<{ kind: Kind; isMany: boolean; id: Diagnosis; route: string; tally: Tally; amount: number }>;

/** `stopped`: what is told beside them of the same requests. */
function* unproven(kind: Kind, stopped: readonly Trait[], input: Input): Findings {
  const { ledger, now } = input;
  const unordered = [...ledger.tallies[kind]].flatMap(([route, all]) =>
    [...all].map(([id, tally]) => ({ route, id, tally })),
  );
  const all = unordered.toSorted((one, other) => other.tally.total - one.tally.total);
  const isMany = all.reduce((sum, { tally }) => sum + tally.ofDay(now), 0) >= MANY;
  const [isClaim, isReport] = [kind === 'claims', REPORTED.includes(kind)];
  const mayBe =
    isClaim || ((kind === 'unsigned' || kind === 'turnedAway') && (isMany || all.some(({ id }) => isRoom(id))));
  for (const { route, id, tally } of all) {
    const isEarly = mayBe && ledger.senders.accepted === 0 && tally.lastAt >= ledger.began.at;
    const same = isClaim || isReport ? [] : stopped.filter(({ suspects }) => diagnosisOf(suspects.detail) === id);
    const others = same.reduce((sum, { suspected }) => sum + suspected, 0);
    const amount = isEarly && isClaim ? tally.total : tally.ofDay(now) - others;
    const tell = isReport ? reported : isEarly ? early : later;
    if (amount > 0) yield tell({ kind, isMany, id, route, tally, amount }, input);
  }
}

/** Before the first acceptance each may be a delivery. Signed ones are told after a day, too. */
function early({ kind, isMany, id, route, tally, amount }: Told, input: Input): Finding {
  const { ledger, facts } = input;
  const { detail } = tally;
  const isRequest = detail.reason !== 'none';
  const which = !isRequest ? '' : kind === 'claims' ? 'with a signature ' : 'without a signature that was read ';
  const where = detail.path === '' ? '' : ` on ${named(route, facts, detail)}`;
  const what = manyOf(tally, `${which}${refused(detail, amount)}${where}`, input, amount);
  const message = `No ${ledger.lastTaken > 0 ? 'fresh ' : ''}delivery was accepted since ${ledger.began.what}; ${what}.`;
  return finding(kind === 'claims' && isMany ? 'failed' : 'warning', id, message, configured(route, input));
}

/** A claim may be a new sender's or a forger's, and no scanner's. The others are a note with a number. */
function later({ kind, isMany, id, route, tally, amount }: Told, input: Input): Finding {
  const { detail, lastAt } = tally;
  const [isClaim, isRead] = [kind === 'claims', detail.path !== ''];
  const which = isClaim && isRead ? 'with a signature ' : '';
  const why = isRead ? 'no delivery with their look had come from there' : 'a head that was not read shows no sender';
  const end = isClaim ? `Nothing proves that a sender of yours sent them: ${why}` : 'None is known to be a delivery';
  // A secret outside its dates that somebody signs with may have leaked.
  const secret = detail.hint?.secret;
  const isLive = input.facts.secrets.some(({ id, state }) => id === secret && state === 'live');
  const hasLeaked = secret !== undefined && !isLive;
  const isTold = hasLeaked || (isClaim && isMany) || (isRoom(id) && input.now - lastAt < QUARTER);
  const who = hasLeaked ? ` (the last from ${shortened(detail.client, 64)})` : '';
  const what = `${which}of the last day ${refused(detail, amount)}${who}`;
  const message = `${manyOf(tally, what, input, amount)}. ${end}.`;
  return finding(isTold ? 'warning' : 'note', id, message, configured(route, input));
}

/** What report mode let pass: why it would be refused, and what the app did. */
function reported({ kind, id, route, tally, amount }: Told, input: Input): Finding | null {
  const { ledger, facts } = input;
  if (ledger.isGone(route)) return null;
  const some = `${count(amount, 'request')} of the last day to ${route} that report mode forwarded`;
  if (kind === 'untaken')
    return finding('warning', id, `${toldOf(some, { ...tally, times: amount })}, ${lastOf(tally, input, '')}.`, route);
  // Where nothing was ever verified, they may be deliveries that lost their header.
  const isNote = id === 'no-signature' && (tally.total < MANY || ledger.of(route).hasVerified);
  const what = `of the last day to ${named(route, facts, tally.detail)} would be refused (report mode forwarded them)`;
  return finding(isNote ? 'note' : 'warning', id, `${manyOf(tally, what, input)}.`, route);
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
function suspected({ route, lastAccepted, suspected, suspects }: Trait, input: Input): Finding {
  const begin = `No delivery to ${named(route, input.facts, suspects.detail)} was accepted since ${since(input, lastAccepted)}, longer than ever before`;
  const others = manyOf(suspects, 'that may be deliveries were refused', input, suspected);
  const message = `${begin}, and ${others}. Nothing proves it: their look, address or signature is not that of the deliveries before.`;
  return finding('warning', suspects.diagnosis, message, route);
}

/** Failed only if several came, no delivery was ever verified, and no route was chosen: any stranger can send a signature. */
function unverified(path: string, tally: Tally, input: Input): Finding | null {
  const { ledger, facts, now } = input;
  const outcomes = ledger.of(path);
  const amount = tally.ofDay(now);
  if (amount === 0) return null;
  const untaken = untakenBy(tally.detail, now);
  const { path: last } = tally.detail;
  const isOver = path === UNMATCHED && ledger.routeFor(last) !== UNMATCHED;
  const verified = pathsOf(facts.routes.filter(({ action }) => action === 'verify').slice(0, 3));
  const is = outcomes.hasVerified ? 'before a reload they were verified' : `verified is ${verified || 'none'}`;
  const question = isOver ? 'it is a route since a reload.' : `${is}: is your route's path right?`;
  const message = `${count(amount, 'request')} with a signature ${amount === 1 ? 'was' : 'were'} forwarded without a look at it, the last to ${shownPath(last)} ${since(input, tally.lastAt)}; ${question}${untaken === null ? '' : ` ${toldOf('the last one', untaken)}.`}`;
  const isMany = amount >= MANY && outcomes.unverifiedDeliveries >= MANY;
  const mayFail = isMany && ledger.senders.accepted === 0 && (path === UNMATCHED || outcomes.hasVerified);
  const state = outcomes.unverifiedDeliveries === 0 || isOver ? 'note' : mayFail ? 'failed' : 'warning';
  return finding(state, 'signed-unverified', message, path);
}
