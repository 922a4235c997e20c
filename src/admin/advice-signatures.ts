// Advice on signatures that no live secret makes: whose they may be, and how to tell.

import { reports } from '../core/routes.ts';
import { whyOutside } from '../core/secret-validity.ts';
import type { Advice } from './advice.ts';
import { PAGES } from './advice-pages.ts';
import { clockAdvice, isSignedWith } from './advice-secrets.ts';
import { acceptedInAnHour, count } from './amounts.ts';
import { hintRemedy } from './hint-remedies.ts';
import type { RefusalGroup, RouteStatus, SecretStatus, StatusSnapshot } from './status-snapshot.ts';
import { dateText, HOUR, MINUTE, spanText } from './times.ts';

export function signatureAdvice(s: StatusSnapshot): readonly Advice[] {
  const outside = outsideAdvice(s);
  const found = s.routes.map((route) => refusedInARow(route, outside, s)).filter((advice) => advice !== null);
  const some = found.length > 0 ? null : someRefused(s);
  const untold = outside.filter(({ message }) => !found.some((told) => told.message.endsWith(message)));
  return [...found, ...untold, ...(some === null ? [] : [some])];
}

/** The last signatures of a route were refused, and none was accepted since. */
function refusedInARow(route: RouteStatus, outside: readonly Advice[], s: StatusSnapshot): Advice | null {
  const { refusedSignatures: amount, lastRefusedSignature: last, lastAccepted } = route.traffic;
  if (amount === 0 || last === null) return null;
  const silence = lastAccepted === null ? Number.POSITIVE_INFINITY : s.now - lastAccepted;
  if (silence <= 5 * MINUTE) return null;
  const reported = reports(route, s.now);
  // One or two that came long ago may be a forger's, and no delivery may have come since.
  const failed = !reported && ((silence > HOUR && s.now - last < HOUR) || amount >= 3);
  const since =
    lastAccepted === null ? `since the start, ${spanText(s.now - s.startedAt)} ago` : `for ${spanText(silence)}`;
  const refused = `${amount} ${reported ? 'would have been' : amount === 1 ? 'was' : 'were'} refused`;
  const message = `No signature was accepted on ${route.path} ${since}; ${refused}, the last one ${spanText(s.now - last)} ago.`;
  const state = failed ? 'failed' : 'warning';
  const group = s.refusals.find(
    (each) => isMismatch(each) && each.route === route.path && each.at >= (lastAccepted ?? 0),
  );
  const [only] = outside;
  if (group === undefined && only !== undefined) return { ...only, state, message: `${message} ${only.message}` };
  return explained({ message, state }, group);
}

/** Signatures were refused beside others that were accepted, or since the last one, a moment ago. */
function someRefused(s: StatusSnapshot): Advice | null {
  const { signature_mismatch: amount = 0 } = s.recent.signedReasons;
  if (amount === 0) return null;
  const [traffic] = s.routes
    .map((route) => route.traffic)
    .toSorted((a, b) => b.refusedSignatures - a.refusedSignatures);
  const { refusedSignatures: since = 0, lastAccepted = null } = traffic ?? {};
  const others =
    since > 0 && lastAccepted !== null
      ? `, the last one ${spanText(s.now - lastAccepted)} ago; ${since} refused since`
      : '';
  const message = `${count(amount, 'signature was', 'signatures were')} refused in the last hour, beside ${acceptedInAnHour(s)} accepted${others}.`;
  return explained({ message, state: 'warning' }, s.refusals.find(isMismatch));
}

const isMismatch = ({ reason }: RefusalGroup) => reason === 'signature_mismatch';

/** Secrets outside their dates with which somebody signs. Newer forged signatures must not hide a leak. */
function outsideAdvice(s: StatusSnapshot): readonly Advice[] {
  const groups = s.refusals.filter(({ reason }) => reason === 'expired_secret');
  const named = s.secrets
    .filter((secret) => secret.state !== 'live')
    .map((secret) => {
      const own = groups.filter((group) => isSignedWith(secret, group));
      return outside(own, secret, s);
    });
  const unnamed = groups.filter(
    (group) => s.now - group.at < HOUR && !s.secrets.some((one) => isSignedWith(one, group)),
  );
  return [...named, outside(unnamed, null, s)].filter((advice) => advice !== null);
}

/** `groups`: the newest first. `secret`: null if its entry is gone. */
function outside(groups: readonly RefusalGroup[], secret: SecretStatus | null, { now }: StatusSnapshot): Advice | null {
  const [last] = groups;
  if (last === undefined) return null;
  const isEarly = secret?.state === 'not_yet';
  const state = isEarly ? 'not_yet' : 'expired';
  const which =
    secret === null ? 'a secret outside its dates' : `secret ${secret.id}, ${whyOutside(state, secret, dateText)}`;
  const clients = `${last.client}${new Set(groups.map(({ client }) => client)).size > 1 ? ' and others' : ''}`;
  return {
    id: 'signatures',
    state: 'warning',
    message: `${clients} signed with ${which}, the last time ${spanText(now - last.at)} ago.`,
    remedy: isEarly
      ? `${clockAdvice(now)}; if it is right, correct the secret's notBefore.`
      : `If you know this client, give it the live secret. If you do not, that secret has leaked: keep it out, and find out how. ${clockAdvice(now)}.`,
    page: isEarly ? PAGES.start : PAGES.expiredSecret,
  };
}

function explained({ message, state }: Pick<Advice, 'message' | 'state'>, group: RefusalGroup | undefined): Advice {
  const advice = { id: 'signatures', state } as const;
  const hint = group?.hint ?? null;
  if (hint !== null) {
    const [remedy, page] = hintRemedy(hint);
    return { ...advice, message: `${message} Likely cause: ${hint}.`, remedy, page };
  }
  const forger = group?.decision === 'reported' ? '' : ', or a forger sent it: none got through';
  return { ...advice, message: `${message} Each is ${EITHER}${forger}.`, remedy: TELL_APART, page: PAGES.mismatch };
}

/** What a wrong signature is that no hint explains. */
export const EITHER = 'signed with another secret than the ones here, or its body was changed in front of the proxy';

const TELL_APART =
  'To tell which, send a signed probe through the front (probe --url https://… --secret-file F). If it gets 401, the front changes bodies, unless check --probe fails too. If not, Entrupy has another secret: add that one here, beside the present one. A front that decompresses passes the probe: look at its configuration.';
