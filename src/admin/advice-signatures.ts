// Advice on signatures that no live secret makes: whose they may be, and how to tell.

import { reports } from '../core/routes.ts';
import type { Advice } from './advice.ts';
import { PAGES } from './advice-pages.ts';
import { acceptedInAnHour, count } from './phrases.ts';
import type { RefusalGroup, RouteStatus, StatusSnapshot } from './status-snapshot.ts';
import { dateText, spanText } from './times.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

export function signatureAdvice(s: StatusSnapshot): readonly Advice[] {
  const found = s.routes.map((route) => refusedInARow(route, s)).filter((advice) => advice !== null);
  const some = found.length > 0 ? null : someRefused(s);
  return some === null ? found : [some];
}

/** The last signatures of a route were refused, and none was accepted since. */
function refusedInARow(route: RouteStatus, s: StatusSnapshot): Advice | null {
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
  const group = s.refusals.find((each) => isSignature(each) && each.route === route.path);
  return explained({ message, state: failed ? 'failed' : 'warning' }, group, s);
}

/** Signatures were refused beside others that were accepted. */
function someRefused(s: StatusSnapshot): Advice | null {
  const { signature_mismatch = 0, expired_secret = 0 } = s.recent.signedReasons;
  const amount = signature_mismatch + expired_secret;
  if (amount === 0) return null;
  const message = `${count(amount, 'signature was', 'signatures were')} refused in the last hour, beside ${acceptedInAnHour(s)} accepted.`;
  return explained({ message, state: 'warning' }, s.refusals.find(isSignature), s);
}

function isSignature({ reason }: RefusalGroup): boolean {
  return reason === 'signature_mismatch' || reason === 'expired_secret';
}

type Finding = Pick<Advice, 'message' | 'state'>;

function explained({ message, state }: Finding, group: RefusalGroup | undefined, { now }: StatusSnapshot): Advice {
  const advice = { id: 'signatures', state } as const;
  const hint = group?.hint ?? null;
  if (group?.reason === 'expired_secret') {
    return {
      ...advice,
      message: `${message} ${hint === null ? 'They are signed with a secret outside its dates' : sentence(hint)}.`,
      remedy: `If you know the client below, give it the live secret. If you do not, that secret has leaked: keep it out, and find out how. The clock of this machine says ${dateText(now)}; if that is wrong, set the clock.`,
      page: PAGES.expiredSecret,
    };
  }
  if (hint !== null) {
    return {
      ...advice,
      message: `${message} Likely cause: ${hint}.`,
      remedy: 'Mend that, at the sender, in front of the proxy or in the secret here.',
      page: PAGES.refused,
    };
  }
  return {
    ...advice,
    message: `${message} Each is ${EITHER}.`,
    remedy: TELL_APART,
    page: PAGES.mismatch,
  };
}

/** What a wrong signature is that no hint explains. */
export const EITHER = 'signed with another secret than the ones here, or its body was changed in front of the proxy';

const TELL_APART =
  'To tell which, send a signed probe through the front (probe --url https://… --secret-file F). If it gets 401, the front changes bodies. If not, set the secret of here at Entrupy. A front that decompresses bodies passes the probe, and leaves no trace: look at its configuration.';

const sentence = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
