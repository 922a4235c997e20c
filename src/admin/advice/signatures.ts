// Advice on requests that were refused, and had a signature: since when, and what the last of them tells. They may be
// deliveries, and any stranger can send some.

import type { Hint } from '../../core/diagnoses-and-remedies.ts';
import { clockText, whyOutside } from '../../core/keyring.ts';
import { REASONS, type Reason } from '../../core/reasons.ts';
import { reports, UNMATCHED } from '../../core/routes.ts';
import type { RefusalGroup, RouteStatus, StatusSnapshot } from '../snapshot.ts';
import { ago, DAY, dateText, HOUR, MINUTE, spanText } from './times.ts';
import { changesIn, count, type Finds, type Found, found, named, quiet, whatChanged } from './words.ts';

/** Why a signature is refused; one of an expired secret is told of apart. */
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

/** The last signatures of a route were refused, and none was accepted since. */
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
  // One that is of a secret outside its dates alone is one item with what tells of that secret.
  if (own.length === 0) return outside[0] === undefined ? null : { id: outside[0].id, state, message };
  const { diagnosis: id, text: why } = evidence(own, 'signature_mismatch');
  return { id, state, message: `${message} Likely cause: ${why}.` };
}

/** Then the change was at the sender, or on the way. A sentence, or nothing. */
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
 * True if each of the last requests with a signature was refused, and they are more than a stranger's tries: three where
 * deliveries have been absent for a while, else five from the client whose delivery was the last, and as many as were
 * accepted meanwhile.
 */
function isTotalRefusal(route: RouteStatus, s: StatusSnapshot): boolean {
  const { refusedSignatures, refusedOfSender } = route.traffic;
  const isLong = silenceOf(route, s) > SILENCE;
  const isTotal = isLong ? refusedSignatures >= 3 : refusedOfSender >= Math.max(5, s.recent.accepted);
  if (!isTotal || route.action !== 'verify' || reports(route, s.now)) return false;
  // While deliveries come to another route, `unmatched` has the requests of strangers.
  return route.path !== UNMATCHED || !s.routes.some((other) => other !== route && isVerified(other, s));
}

/** True if a delivery was verified within a day. */
export const isVerified = ({ traffic }: RouteStatus, { now }: StatusSnapshot) =>
  now - (traffic.lastAccepted ?? 0) < DAY;

/** Requests with a signature were refused for one reason, perhaps beside others that were accepted. */
function refusedSome(reason: Reason, told: readonly string[], s: StatusSnapshot): Found | null {
  // One that a request with a signature never has would be told to be ignored.
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
  // As it was at the last one: large bodies become no failure because nothing comes after them.
  const isTotal = route !== undefined && isTotalRefusal(route, { ...s, now: at });
  return found(isFull || isTotal ? 'failed' : 'warning', id, message);
}

/** The likely cause of refusals for a reason, the newest first: by the last that has a hint, if one has. */
export function evidence(groups: readonly RefusalGroup[], of: Reason): Hint {
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

/** Secrets outside their dates with which somebody signs. Newer forged signatures must not hide a leak. */
function outsideAdvice({ refusals, secrets, now }: StatusSnapshot): readonly Found[] {
  const refused = refusals.filter(({ reason }) => reason === 'expired_secret');
  const bySecret = Map.groupBy(refused, (group) => secrets.find(({ id }) => id === group.secret) ?? null);
  return [...bySecret].flatMap(([secret, all]) => {
    // Null: its entry is gone.
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
