// Advice on refused requests: since when, and the likely cause. Those with a signature may be deliveries, but any
// stranger can send a signature, too.

import { clockText, whyOutside } from '../../core/keyring.ts';
import { REASONS, type Reason } from '../../core/reasons.ts';
import { reports, UNMATCHED } from '../../core/routes.ts';
import type { Diagnosis } from '../../health/diagnoses.ts';
import type { RefusalGroup, RouteStatus, StatusSnapshot } from '../snapshot.ts';
import { ago, DAY, dateText, HOUR, MINUTE, spanText } from './times.ts';
import { changesIn, count, type Finds, type Found, found, named, quiet, whatChanged } from './words.ts';

/** Reasons to refuse a signature. An expired secret has advice of its own. */
const SIGNATURE_REASONS: ReadonlySet<string> = new Set<Reason>([
  'signature_mismatch',
  'malformed_signature',
  'unsupported_algorithm',
  'multiple_signatures',
]);

export function signatureAdvice(s: StatusSnapshot): Finds {
  const outside = outsideAdvice(s);
  const rows = s.routes.map((route) => [route.path, refusedInARow(route, outside, s)] as const);
  const told = rows.flatMap(([path, row]) => (row === null ? [] : path));
  const others = Object.keys(s.recent.signedReasons) as Reason[];
  return [...rows.map(([, row]) => row), ...outside, ...others.map((reason) => refusedSome(reason, told, s))];
}

/** The latest signatures on a route were refused, and none was accepted since. */
function refusedInARow(route: RouteStatus, outside: readonly Found[], s: StatusSnapshot): Found | null {
  const { traffic } = route;
  const { lastAccepted, firstRefusedSignature: first, lastRefusedSignature: last } = traffic;
  const isTotal = isTotalRefusal(route, s);
  if (last === null || first === null || (silenceOf(route, s) <= SILENCE && !isTotal)) return null;
  const since =
    lastAccepted === null ? `since the start, ${ago(s.startedAt, s.now)}` : `for ${spanText(silenceOf(route, s))}`;
  const amount = traffic.refusedSignatures;
  const refused = `${amount} ${refusedText(amount, reports(route, s.now) ? 'reported' : 'rejected')}`;
  const message = `No signature was accepted on ${named(route)} ${since}; ${refused}, the last one ${ago(last, s.now)}.${whatChanged(first, last, s)}${unchanged(lastAccepted, s)}${quiet(last, route, s.now)}`;
  const state = isTotal ? 'failed' : 'warning';
  const groups = s.refusals.filter((group) => group.route === route.path && group.at >= (lastAccepted ?? 0));
  const own = groups.filter(({ reason }) => SIGNATURE_REASONS.has(reason));
  // If the only cause is a secret outside its dates, this finding joins the item on that secret.
  if (own.length === 0) return outside[0] === undefined ? null : { id: outside[0].id, state, message };
  const { diagnosis: id, text: why } = evidence(own, 'signature_mismatch');
  return { id, state, message: `${message} Likely cause: ${why}.` };
}

/** A sentence if nothing was changed here since the last accepted signature: the cause is elsewhere. Else empty. */
function unchanged(lastAccepted: number | null, s: StatusSnapshot): string {
  if (lastAccepted === null || changesIn(s).some(({ at }) => at >= lastAccepted)) return '';
  return ' Nothing was changed here since the last one that was accepted.';
}

export const refusedText = (amount: number, decision: string) =>
  decision === 'reported'
    ? 'would be refused (report mode forwarded them)'
    : `${amount === 1 ? 'was' : 'were'} refused`;

const SILENCE = 5 * MINUTE;
/** Milliseconds since a signature was last accepted. */
const silenceOf = ({ traffic: { lastAccepted } }: RouteStatus, { now }: StatusSnapshot) =>
  lastAccepted === null ? Number.POSITIVE_INFINITY : now - lastAccepted;

/**
 * True if the last requests with a signature were all refused, and were too many to be a stranger's tries: at least
 * three if none was accepted for SILENCE; else at least five from the client of the last accepted one, and no fewer
 * than were accepted in the last minutes.
 */
function isTotalRefusal(route: RouteStatus, s: StatusSnapshot): boolean {
  const { refusedSignatures, refusedOfSender } = route.traffic;
  const isLong = silenceOf(route, s) > SILENCE;
  const isTotal = isLong ? refusedSignatures >= 3 : refusedOfSender >= Math.max(5, s.recent.accepted);
  if (!isTotal || route.action !== 'verify' || reports(route, s.now)) return false;
  // While deliveries are verified on another route, refusals on `unmatched` are blamed on strangers.
  return route.path !== UNMATCHED || !s.routes.some((other) => other !== route && isVerified(other, s));
}

/** True if a delivery was verified in the last day. */
export const isVerified = ({ traffic }: RouteStatus, { now }: StatusSnapshot) =>
  now - (traffic.lastAccepted ?? 0) < DAY;

/** Requests with a signature were refused for one reason, perhaps while others were accepted. */
function refusedSome(reason: Reason, told: readonly string[], s: StatusSnapshot): Found | null {
  // An expired secret has its own advice, and no request with a signature is refused for a missing one.
  if (reason === 'expired_secret' || reason === 'missing_signature') return null;
  const groups = s.refusals.filter((group) => group.reason === reason);
  const [last] = groups;
  if (SIGNATURE_REASONS.has(reason) && told.includes(last?.route ?? '')) return null;
  const { diagnosis: id, text: why } = evidence(groups, reason);
  const amount = s.recent.signedReasons[reason] ?? 0;
  const { at, path } = last ?? { at: s.now, path: null };
  const route = s.routes.find(({ path }) => path === last?.route);
  const { lastAccepted = null, refusedSignatures = 0 } = route?.traffic ?? {};
  const none = s.routes.every(({ traffic }) => s.now - (traffic.lastAccepted ?? 0) >= HOUR);
  const since = refusedSignatures === 0 ? 'after them' : `and none of the ${refusedSignatures} since`;
  const some = lastAccepted === null ? '' : `; one was accepted there ${ago(lastAccepted, s.now)}, ${since}`;
  const were = refusedText(amount, last?.decision ?? '');
  const message = `${count(amount, 'signed request')} ${were} in the last hour, the last one${path === null ? '' : ` to ${path}`} ${ago(at, s.now)}${none ? ', and none was accepted' : some}: ${why}.${route === undefined ? '' : quiet(at, route, s.now)}`;
  const isFull = reason === 'overloaded' && (none || s.now - at < 15 * MINUTE);
  // Judged as of the last refusal, because the silence after it must not turn one refused body into a failure.
  const isTotal = route !== undefined && isTotalRefusal(route, { ...s, now: at });
  return found(isFull || isTotal ? 'failed' : 'warning', id, message);
}

/** The likely cause of refusals, from the newest one that has a hint, else the newest. `groups`: newest first. */
export function evidence(groups: readonly RefusalGroup[], of: Reason): { diagnosis: Diagnosis; text: string } {
  const telling = groups.find((one) => one.hint !== null) ?? groups[0];
  const { rule = null, header = null, hint = null } = telling ?? {};
  const reason = telling === undefined || telling.reason === 'none' ? of : telling.reason;
  const { meaning } = REASONS[reason];
  const diagnosis = telling?.diagnosis ?? REASONS[reason].diagnosis;
  const broken = rule === null ? '' : ` (rule ${rule}${header === null ? '' : `, header ${header}`})`;
  if (hint === null) return { diagnosis, text: `${meaning}${broken}` };
  if (rule !== null) return { diagnosis, text: `${meaning}${broken}. To let them pass: ${hint}` };
  const saysAll = reason === 'overloaded' || SIGNATURE_REASONS.has(reason);
  return { diagnosis, text: saysAll ? hint : `${meaning} (${hint})` };
}

/** Secrets outside their dates that somebody signs with. Newer forged signatures must not hide a leak. */
function outsideAdvice({ refusals, secrets, now }: StatusSnapshot): readonly Found[] {
  const refused = refusals.filter(({ reason }) => reason === 'expired_secret');
  const bySecret = Map.groupBy(refused, (group) => secrets.find(({ id }) => id === group.secret) ?? null);
  return [...bySecret].flatMap(([secret, all]) => {
    // A null secret is unknown, or no longer configured.
    const groups = all.filter(({ at }) => (secret === null ? now - at < HOUR : secret.state !== 'live'));
    const [last] = groups;
    if (last === undefined) return [];
    const state = secret?.state === 'not_yet' ? 'not_yet' : 'expired';
    const which =
      secret === null ? 'a secret outside its dates' : `secret ${secret.id}, ${whyOutside(state, secret, dateText)}`;
    const clients = `${last.client}${groups.some(({ client }) => client !== last.client) ? ' and others' : ''}`;
    const message = `${clients} signed with ${which}, the last time ${ago(last.at, now)}; ${clockText(now, dateText)}.`;
    return found('warning', state === 'not_yet' ? 'early-secret' : 'expired-secret', message);
  });
}

/** Up to this many requests have no advice: they may just be `probe --unsigned`. */
const FEW = 2;
const TOLD: readonly Reason[] = [
  'loop_detected',
  'missing_signature',
  'bad_request',
  'header_too_large',
  'header_timeout',
  'overloaded',
];

export const unsignedAdvice = (s: StatusSnapshot): Finds => TOLD.map((reason) => unsigned(reason, s));

function unsigned(reason: Reason, s: StatusSnapshot): Found | null {
  const amount = s.recent.reasons[reason] ?? 0;
  if (amount <= FEW) return null;
  const { accepted, duplicate, rejected, windowSeconds } = s.recent;
  const groups = s.refusals.filter((group) => group.reason === reason);
  const { diagnosis: id, text: why } = evidence(groups, reason);
  const isReported = rejected === 0 && s.routes.some((route) => reports(route, s.now));
  const were = refusedText(amount, isReported ? 'reported' : 'rejected');
  const through = count(accepted + duplicate, 'delivery', 'deliveries');
  const message = `${amount} requests without a signature ${were} in the last ${windowSeconds / 60} minutes, ${reason}: ${why}. ${through} got through.`;
  return found('warning', id, message);
}
