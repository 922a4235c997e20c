// Refused requests that are not known to be deliveries: those before the first acceptance, those of a silent sender with
// another look, and strangers'. Report mode's, and signatures that nobody looked at, are here, too.

import { shortened } from '../base/printable.ts';
import type { RequestDiagnosis } from '../core/hint.ts';
import { clockText, whyOutside } from '../core/keyring.ts';
import { shownPath } from '../core/request-record.ts';
import { UNMATCHED } from '../core/routes.ts';
import type { RouteLedger } from './ledger.ts';
import { count, type Finding, type Findings, finding, type Input, named, pathsOf, since, whyOf } from './sentences.ts';
import type { OutcomeDiagnosis } from './series.ts';
import type { Tally } from './tally.ts';
import { dateText, HOUR, QUARTER } from './times.ts';

/** Before the first acceptance: this many requests with a signature are failed, without one a warning. */
const MANY_EARLY = 3;
const MANY_SUSPECTS = 3;

/** Room that strangers can use up: a warning while it is recent, even if every delivery had room. */
const ROOM: ReadonlySet<string> = new Set<RequestDiagnosis>([
  'bodies-full',
  'slots-full',
  'tunnels-full',
  'proxy-full',
  'upstream-loop',
]);

export function* refusalFindings(input: Input): Findings {
  yield* early(input);
  yield* suspects(input);
  yield* outsideDates(input);
  for (const [path, { reported }] of input.ledger.routes)
    for (const [diagnosis, tally] of reported.entries) yield reportedOnes(path, diagnosis, tally, input);
  for (const [path, known] of input.ledger.routes) yield unverified(path, known, input);
  yield turnedAway(input);
  for (const [diagnosis, tally] of input.ledger.strangers.entries) yield strangers(diagnosis, tally, input);
}

function* early(input: Input): Findings {
  const { ledger, now } = input;
  if (ledger.senders.accepted > 0) return;
  const { signed, unsigned } = ledger.early;
  const [withOne, without] = [signed.tally.ofDay(now), unsigned.tally.ofDay(now)];
  const last = signed.kept.at(-1);
  if (withOne > 0 && last !== undefined) {
    const { route } = last.detail;
    const were = withOne === 1 ? 'was' : 'were';
    const message = `No delivery was accepted since the start; ${count(withOne, 'request')} with a signature ${were} refused, the last one to ${named(route, input.facts, last.detail)} ${since(input, signed.tally.lastAt)}: ${whyOf(last.detail, last.diagnosis)}.`;
    yield finding(withOne >= MANY_EARLY ? 'failed' : 'warning', last.diagnosis, message, route);
  }
  const lastUnsigned = unsigned.kept.at(-1);
  if (without < MANY_EARLY || lastUnsigned === undefined) return;
  const { route } = lastUnsigned.detail;
  const message = `No delivery was accepted since the start; ${without} POSTs without a signature were refused, the last one to ${named(route, input.facts, lastUnsigned.detail)} ${since(input, unsigned.tally.lastAt)}${mostly(unsigned.tally)}.`;
  yield finding('warning', 'no-signature', message, route);
}

/** A known address, another look, and nothing accepted for very long: the sender may have changed. */
function* suspects(input: Input): Findings {
  const { ledger, now } = input;
  if (!ledger.senders.isSilent(now)) return;
  const all = [...ledger.suspects.entries].toSorted(([, one], [, other]) => other.lastAt - one.lastAt);
  const total = all.reduce((sum, [, tally]) => sum + tally.total, 0);
  const [[diagnosis, tally] = []] = all;
  if (total < MANY_SUSPECTS || diagnosis === undefined || tally === undefined) return;
  const { detail, lastAt } = tally;
  const message = `No delivery was accepted since ${since(input, ledger.senders.lastAccepted)}, longer than ever before, and ${total} requests from the address of a sender were refused, the last one ${since(input, lastAt)}: ${whyOf(detail, diagnosis)}. They look different from the deliveries before.`;
  yield finding('warning', diagnosis, message, detail.route);
}

/** A secret outside its dates that somebody signs with may have leaked. */
function* outsideDates(input: Input): Findings {
  const { ledger, facts, now } = input;
  for (const [id, { lastAt, detail, host, total }] of ledger.outside.entries) {
    const secret = facts.secrets.find((one) => one.id === id);
    if (secret === undefined ? now - lastAt >= HOUR : secret.state === 'live') continue;
    const state = secret?.state === 'not_yet' ? 'not_yet' : 'expired';
    const which =
      secret === undefined
        ? `a secret outside its dates (${id})`
        : `secret ${id}, ${whyOutside(state, secret, dateText)}`;
    const others = host === detail.client && total === 1 ? '' : ` (${count(total, 'request')})`;
    const message = `${shortened(detail.client, 64)} signed with ${which}, the last time ${since(input, lastAt)}${others}; ${clockText(facts.now, dateText)}.`;
    yield finding('warning', state === 'not_yet' ? 'early-secret' : 'expired-secret', message, detail.route);
  }
}

function reportedOnes(path: string, diagnosis: OutcomeDiagnosis, tally: Tally, input: Input): Finding | null {
  const amount = tally.ofDay(input.now);
  if (amount === 0) return null;
  const message = `${count(amount, 'request')} of the last day to ${named(path, input.facts, tally.detail)} would be refused (report mode forwarded them), the last one ${since(input, tally.lastAt)}: ${whyOf(tally.detail, diagnosis)}.`;
  return finding('warning', diagnosis, message, path);
}

/** Failed only if no delivery was ever verified, since any stranger can send a signature. */
function unverified(
  path: string,
  { unverified: tally, unverifiedDeliveries: deliveries }: RouteLedger,
  input: Input,
): Finding | null {
  const { ledger, facts, now } = input;
  const amount = tally.ofDay(now);
  if (amount === 0) return null;
  const verified = pathsOf(facts.routes.filter(({ action }) => action === 'verify').slice(0, 3));
  const were = amount === 1 ? 'was' : 'were';
  const message = `${count(amount, 'request')} with a signature ${were} forwarded without a look at it, the last to ${shownPath(tally.detail.path)} ${since(input, tally.lastAt)}; verified is ${verified || 'none'}: is your route's path right?`;
  const onUnmatched = ledger.senders.accepted > 0 ? 'warning' : 'failed';
  return finding(path !== UNMATCHED || deliveries === 0 ? 'note' : onUnmatched, 'signed-unverified', message, path);
}

function turnedAway(input: Input): Finding | null {
  const { turnedAway: tally } = input.ledger;
  if (!(input.now - tally.lastAt < QUARTER)) return null;
  const message = `${count(tally.ofDay(input.now), 'connection')} of the last day ended before any answer, since limits.connections was reached, the last one ${since(input, tally.lastAt)}${mostly(tally)}. None is known to be a sender's.`;
  return finding('warning', 'connections-full', message);
}

/** Strangers are a note with a number; but before any delivery was accepted they may be senders, and room is room. */
function strangers(diagnosis: OutcomeDiagnosis, tally: Tally, input: Input): Finding | null {
  const amount = tally.ofDay(input.now);
  if (amount === 0) return null;
  const isRecent = ROOM.has(diagnosis) && input.now - tally.lastAt < QUARTER;
  const message = `${count(amount, 'request')} of the last day ${amount === 1 ? 'was' : 'were'} refused, the last one ${since(input, tally.lastAt)}${mostly(tally)}: ${whyOf(tally.detail, diagnosis)}. None looks like a delivery.`;
  return finding(isRecent ? 'warning' : 'note', diagnosis, message);
}

/** The host that sent most of a flood, and how many. */
function mostly({ host, ofHost, total }: Tally): string {
  if (ofHost * 2 <= total || total === 1) return '';
  return ofHost === total ? `, all from ${host}` : `, ${ofHost} of ${total} from ${host}`;
}
