// Refused requests that are not known to be deliveries: those before the first acceptance, those that come where deliveries
// have stopped, and strangers'. Report mode's, and signatures that nobody looked at, are here, too.
import { shortened } from '../base/printable.ts';
import type { RequestDiagnosis } from '../core/hint.ts';
import { clockText, whyOutside } from '../core/keyring.ts';
import { shownPath } from '../core/request-record.ts';
import { UNMATCHED } from '../core/routes.ts';
import type { OutcomeDiagnosis } from './causes.ts';
import type { RouteLedger } from './ledger.ts';
import {
  count,
  type Finding,
  type Findings,
  finding,
  type Input,
  lastOf,
  named,
  pathsOf,
  since,
  whyOf,
} from './sentences.ts';
import type { Tally } from './tally.ts';
import { dateText, HOUR, QUARTER } from './times.ts';

/** Before the first acceptance: this many requests with a signature are failed, without one a warning. */
const MANY_EARLY = 3;

/** Room that strangers can use up: a warning while it is recent, even if every delivery had room. */
const ROOM: ReadonlySet<string> = new Set<RequestDiagnosis>([
  'bodies-full',
  'slots-full',
  'tunnels-full',
  'proxy-full',
  'upstream-loop',
]);

export function* refusalFindings(input: Input): Findings {
  const { ledger } = input;
  if (ledger.senders.accepted === 0) {
    yield early(ledger.early.signed.tally, 'signed', input);
    yield early(ledger.early.unsigned.tally, 'unsigned', input);
  }
  yield* suspects(input);
  yield* outsideDates(input);
  for (const [path, known] of ledger.routes) {
    for (const [diagnosis, tally] of known.reported.entries) yield reportedOnes(path, { diagnosis, tally }, input);
    yield unverified(path, known, input);
  }
  yield turnedAway(input);
  for (const [diagnosis, tally] of ledger.strangers.entries) yield strangers(diagnosis, tally, input);
}

function early(tally: Tally, kind: 'signed' | 'unsigned', input: Input): Finding | null {
  const isSigned = kind === 'signed';
  const lately = tally.ofDay(input.now);
  const amount = isSigned ? tally.total : lately;
  if (amount < (isSigned ? 1 : MANY_EARLY)) return null;
  const { diagnosis, detail } = tally.causes.commonest();
  const what = isSigned ? `${count(amount, 'request')} with a signature` : `${amount} POSTs without a signature`;
  const why = isSigned ? `: ${whyOf(detail, diagnosis)}` : '';
  const message = `No delivery was accepted since ${input.ledger.early.since}; ${what} ${amount === 1 ? 'was' : 'were'} refused, ${lastOf(tally, input)}, to ${named(detail.route, input.facts, detail)}${why}.`;
  const state = isSigned && lately >= MANY_EARLY ? 'failed' : 'warning';
  return finding(state, isSigned ? diagnosis : 'no-signature', message, detail.route);
}

/** Deliveries have stopped, and refused requests come from there or to there: the sender, or what is in front, may have changed. */
function* suspects(input: Input): Findings {
  for (const { route, lastAccepted, suspected, suspects: tally } of input.ledger.senders.stopped(input.now)) {
    if (tally === null) continue;
    const { diagnosis, detail } = tally.causes.commonest(suspected);
    const message = `No delivery to ${named(route, input.facts, detail)} was accepted since ${since(input, lastAccepted)}, longer than ever before, and ${suspected} requests that may be deliveries were refused, ${lastOf(tally, input)}: ${whyOf(detail, diagnosis)}. They look different from the deliveries before.`;
    yield finding('warning', diagnosis, message, route);
  }
}

/** A secret outside its dates that somebody signs with may have leaked. */
function* outsideDates(input: Input): Findings {
  const { ledger, facts, now } = input;
  for (const [id, { lastAt, causes, host, total }] of ledger.outside.entries) {
    const secret = facts.secrets.find((one) => one.id === id);
    if (secret === undefined ? now - lastAt >= HOUR : secret.state === 'live') continue;
    const { detail } = causes.commonest(1);
    const state = secret?.state === 'not_yet' ? 'not_yet' : 'expired';
    const dates = secret === undefined ? null : whyOutside(state, secret, dateText);
    const which = dates === null ? `a secret outside its dates (${id})` : `secret ${id}, ${dates}`;
    const others = host === detail.client && total === 1 ? '' : ` (${count(total, 'request')})`;
    const message = `${shortened(detail.client, 64)} signed with ${which}, the last time ${since(input, lastAt)}${others}; ${clockText(facts.now, dateText)}.`;
    yield finding('warning', state === 'not_yet' ? 'early-secret' : 'expired-secret', message, detail.route);
  }
}

interface Told {
  readonly diagnosis: OutcomeDiagnosis;
  readonly tally: Tally;
}

function reportedOnes(path: string, { diagnosis, tally }: Told, input: Input): Finding | null {
  const amount = tally.ofDay(input.now);
  if (amount === 0) return null;
  const { detail } = tally.causes.commonest();
  const message = `${count(amount, 'request')} of the last day to ${named(path, input.facts, detail)} would be refused (report mode forwarded them), ${lastOf(tally, input)}: ${whyOf(detail, diagnosis)}.`;
  return finding('warning', diagnosis, message, path);
}

/** Failed only if no delivery was ever verified, since any stranger can send a signature. */
function unverified(path: string, known: RouteLedger, input: Input): Finding | null {
  const { ledger, facts, now } = input;
  const { unverified: tally, unverifiedDeliveries } = known;
  const amount = tally.ofDay(now);
  if (amount === 0) return null;
  const { detail } = tally.causes.commonest(1);
  const verified = pathsOf(facts.routes.filter(({ action }) => action === 'verify').slice(0, 3));
  const message = `${count(amount, 'request')} with a signature ${amount === 1 ? 'was' : 'were'} forwarded without a look at it, the last to ${shownPath(detail.path)} ${since(input, tally.lastAt)}; verified is ${verified || 'none'}: is your route's path right?`;
  const onUnmatched = ledger.senders.accepted > 0 ? 'warning' : 'failed';
  return finding(
    path !== UNMATCHED || unverifiedDeliveries === 0 ? 'note' : onUnmatched,
    'signed-unverified',
    message,
    path,
  );
}

function turnedAway(input: Input): Finding | null {
  const { turnedAway: tally } = input.ledger;
  if (!(input.now - tally.lastAt < QUARTER)) return null;
  const message = `${count(tally.ofDay(input.now), 'connection')} of the last day ended before any answer, since limits.connections was reached, ${lastOf(tally, input)}. None is known to be a sender's.`;
  return finding('warning', 'connections-full', message);
}

/** Strangers are a note with a number; but before any delivery was accepted they may be senders, and room is room. */
function strangers(diagnosis: OutcomeDiagnosis, tally: Tally, input: Input): Finding | null {
  const amount = tally.ofDay(input.now);
  if (amount === 0) return null;
  const isRecent = ROOM.has(diagnosis) && input.now - tally.lastAt < QUARTER;
  const one = amount === 1 ? 'was refused' : 'were refused';
  const message = `${count(amount, 'request')} of the last day ${one}, ${lastOf(tally, input)}: ${whyOf(tally.causes.commonest().detail, diagnosis)}. None looks like a delivery.`;
  return finding(isRecent ? 'warning' : 'note', diagnosis, message);
}
