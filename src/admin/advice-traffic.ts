// Advice on what the requests of late tell: deliveries that the app did not take, signatures that were refused.
import type { Advice } from './advice.ts';
import { PAGES } from './advice-pages.ts';
import { spanText } from './html.ts';
import { count } from './phrases.ts';
import type { StatusSnapshot } from './status-snapshot.ts';

const DAY = 24 * 3_600_000;

export function trafficAdvice(s: StatusSnapshot): readonly Advice[] {
  const found = [upstreamFailing(s), undelivered(s), refusals(s)];
  return found.filter((advice) => advice !== null);
}

function upstreamFailing(s: StatusSnapshot): Advice | null {
  if (!s.upstream.reachable || s.recent.upstreamFailures === 0) return null;
  const failed = count(s.recent.upstreamFailures, 'request');
  return {
    id: 'upstream',
    state: 'warning',
    message: `The upstream failed ${failed} ${lately(s)}. Verification is not the cause.`,
    remedy: 'Look at the log of the app.',
    page: PAGES.upstream,
  };
}

function undelivered(s: StatusSnapshot): Advice | null {
  const recent = s.undelivered.filter(({ at }) => s.now - at < DAY);
  const [last] = recent;
  if (last === undefined) return null;
  const many = recent.length >= 20 ? 'At least 20 deliveries' : count(recent.length, 'delivery', 'deliveries');
  const bridge =
    last.cause === 'connect' ? ' If the app was restarting, a longer upstream.retryConnectFor covers that.' : '';
  return {
    id: 'deliveries',
    state: 'warning',
    message: `${many} of the last day may be lost, the last one ${spanText(s.now - last.at)} ago: Entrupy documents no retry. They are listed below.`,
    remedy: `Find the events again, and process them.${bridge}`,
    page: PAGES.findAgain,
  };
}

function refusals(s: StatusSnapshot): Advice | null {
  const { rejected, accepted, duplicate, reported, noise, topReason } = s.recent;
  const refused = rejected + reported - noise;
  if (refused <= 0) return null;
  const mostly = topReason === null ? '' : `, mostly ${topReason}`;
  const explained = s.refusals.find(({ reason, hint }) => reason === topReason && hint !== null);
  const { rule = null, header = null, hint = null } = explained ?? {};
  const cause = hint === null ? '' : ` Likely cause: ${hint}.`;
  const signature = topReason === 'signature_mismatch' || topReason === 'expired_secret';
  if (accepted + duplicate === 0 && rejected > 0 && signature) {
    return {
      id: 'signatures',
      state: 'failed',
      message: `No signature was accepted ${lately(s)} (${refused} refused${mostly}).${cause}`,
      remedy: 'Compare the secret here with the one set at Entrupy.',
      page: PAGES.refused,
    };
  }
  const were = refused === 1 ? 'was' : 'were';
  const requests = `${count(refused, 'request')} ${rejected === 0 ? 'would have been' : were} refused ${lately(s)}${mostly}.`;
  const advice = { id: 'refusals', state: 'warning', page: PAGES.refused } as const;
  if (rule !== null) {
    const broken = header === null ? `rule ${rule}` : `rule ${rule}, header ${header}`;
    const message = `${requests} If they are yours, something in front of the proxy changes them (${broken}).`;
    return { ...advice, message, remedy: `To let them pass: ${hint}.`, page: PAGES.ingress };
  }
  if (signature) {
    const message = `${requests}${cause}`;
    return { ...advice, message, remedy: 'During a rotation, a sender may use a secret that is not configured here.' };
  }
  return { ...advice, message: `${requests}${cause}`, remedy: 'Ignore them if you do not know the clients below.' };
}

function lately(s: StatusSnapshot): string {
  return `in the last ${Math.round(s.recent.windowSeconds / 60)} minutes`;
}
