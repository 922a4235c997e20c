// What to do about the state that the status page shows: one sentence for each thing that is wrong, worst first. Pure:
// the snapshot in, sentences out. It must never advise to weaken verification.
import { type Advice, bad, count, isReporting, lately, type Tone, warn } from './advice-parts.ts';
import { routesWithoutSecretAdvice, secretsAdvice } from './advice-secrets.ts';
import type { Refusal, RouteStatus, StatusSnapshot } from './status.ts';
import { spanText } from './status-text.ts';

/** At least one; the first is the headline. */
export function adviceFor(s: StatusSnapshot): readonly Advice[] {
  const found = [
    ...draining(s),
    ...routesWithoutSecretAdvice(s),
    ...upstream(s),
    ...onceStore(s),
    ...reload(s),
    ...notReady(s),
    ...undelivered(s),
    ...refusals(s),
    ...secretsAdvice(s),
    ...s.routes.flatMap((route) => reportMode(route, s.now)),
    ...warnings(s),
  ];
  const of = (wanted: Tone) => found.filter(({ tone }) => tone === wanted);
  const worse = [...of('bad'), ...of('warn')];
  return [...(worse.length > 0 ? worse : [calm(s)]), ...of('calm')];
}

function draining(s: StatusSnapshot): Advice[] {
  if (!s.draining) return [];
  return [
    warn(
      'Draining: still serving, but not ready, so that load balancers send elsewhere. It ends by itself after 10 minutes without a SIGTERM.',
    ),
  ];
}

function upstream(s: StatusSnapshot): Advice[] {
  const found: Advice[] = [];
  const { url, reachable, exposed } = s.upstream;
  const failures = s.recent.upstreamFailures;
  if (reachable === false)
    found.push(bad(`The upstream ${url} accepts no connection: start it, or correct upstream.url.`));
  else if (failures > 0) {
    found.push(
      warn(
        `The upstream failed ${count(failures, 'request')} ${lately(s)}: look at its own log; verification is not the cause.`,
      ),
    );
  }
  if (exposed)
    found.push(
      warn(
        'The upstream also answers past the proxy, unverified: bind it to 127.0.0.1 or close its port with a network policy.',
      ),
    );
  return found;
}

function onceStore({ once }: StatusSnapshot): Advice[] {
  if (once === null || once.trouble === null) return [];
  const what = `The store of delivered events (${once.store}) fails: ${once.trouble}.`;
  return once.onStoreFailure === 'refuse'
    ? [bad(`${what} Routes with once answer 503 until it is back: look at the store, and at once.passwordFile.`)]
    : [warn(`${what} Events may be delivered twice until it is back: look at the store, and at once.passwordFile.`)];
}

function reload(s: StatusSnapshot): Advice[] {
  if (s.lastReload === null || s.lastReload.ok) return [];
  const why = s.lastReload.error === null ? '' : `: ${s.lastReload.error}`;
  return [warn(`The last reload failed and the former state is still in use${why}`)];
}

function notReady(s: StatusSnapshot): Advice[] {
  if (s.ready || s.draining) return [];
  return [warn(`Not ready${s.causes.length > 0 ? `: ${s.causes.join('; ')}` : ''}`)];
}

function refusals(s: StatusSnapshot): Advice[] {
  const { rejected, accepted, duplicate, reported, noise, topReason } = s.recent;
  const refused = rejected + reported - noise;
  if (refused <= 0) return [];
  const mostly = topReason === null ? '' : `, mostly ${topReason}`;
  const explained = s.refusals.find((refusal) => refusal.reason === topReason && refusal.hint !== null);
  const signature = topReason === 'signature_mismatch' || topReason === 'expired_secret';
  if (accepted + duplicate === 0 && rejected > 0 && signature) {
    const because = explained === undefined ? '' : ` Likely cause: ${explained.hint}.`;
    return [
      bad(
        `No signature was accepted ${lately(s)} (${refused} refused${mostly}): compare the secret here with the one set at Entrupy.${because}`,
      ),
    ];
  }
  const verb = rejected === 0 ? 'would have been refused' : refused === 1 ? 'was refused' : 'were refused';
  return [warn(`${count(refused, 'request')} ${verb} ${lately(s)}${mostly}: ${whatToDo(signature, explained)}`)];
}

function whatToDo(signature: boolean, explained: Refusal | undefined): string {
  const { rule = null, header = null, hint = null } = explained ?? {};
  if (rule !== null) {
    const broken = header === null ? `rule ${rule}` : `rule ${rule}, header ${header}`;
    return `if they are yours, something in front of the proxy changes them (${broken}). To let them pass: ${hint}.`;
  }
  const because = hint === null ? '' : ` Likely cause: ${hint}.`;
  return signature
    ? `if a rotation is on, a sender may use a secret that is not here.${because}`
    : `nothing to do if you do not know the clients below.${because}`;
}

const HOUR = 3_600_000;

function undelivered(s: StatusSnapshot): Advice[] {
  const recent = s.undelivered.filter(({ at }) => s.now - at < 24 * HOUR);
  const [last] = recent;
  if (last === undefined) return [];
  const many = recent.length >= 20 ? 'At least 20 deliveries' : count(recent.length, 'delivery', 'deliveries');
  const bridge =
    last.cause === 'connect' ? ' Where the app was restarting, a longer upstream.retryConnectFor bridges it.' : '';
  const sentence = `${many} of the last day may be gone for good, the last one ${spanText(s.now - last.at)} ago: Entrupy documents no retry. They are listed below; ${FIND} says how to find them again.${bridge}`;
  return [warn(sentence)];
}

const FIND = 'docs/alerts.md (Find an event again)';

function reportMode(route: RouteStatus, now: number): Advice[] {
  if (!isReporting(route, now)) return [];
  return [
    warn(
      `${route.path} only reports: it forwards what it would have refused. Set mode: enforce once nothing is reported any more.`,
    ),
  ];
}

function warnings(s: StatusSnapshot): Advice[] {
  return s.config.warnings.map((warning) => warn(`Configuration: ${warning}`));
}

function calm(s: StatusSnapshot): Advice {
  const { accepted, forwarded, duplicate, noise } = s.recent;
  const served = accepted + forwarded + duplicate;
  const scanned = noise > 0 ? ` ${count(noise, 'other was', 'others were')} refused, as on any public port.` : '';
  const sentence =
    served > 0
      ? `All is well: ${count(served, 'request')} served and ${noise > 0 ? 'no delivery' : 'none'} refused ${lately(s)}.${scanned} Nothing to do.`
      : `All is well, and ${noise > 0 ? 'no delivery' : 'nothing'} came in ${lately(s)}.${scanned} To try it, send a signed request: entrupy-signature-proxy probe.`;
  return { tone: 'calm', sentence };
}
