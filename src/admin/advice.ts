// Advice on the state that the status page shows: one item for each problem, worst first. A pure function of the
// snapshot. It must never recommend weakening verification.
import { currentOf, isPrevious } from '../core/keyring.ts';
import { reports } from '../core/routes.ts';
import { spanText } from './html.ts';
import type { RouteStatus, SecretStatus, StatusSnapshot } from './status-snapshot.ts';

/** `bad`: deliveries fail now. `warn`: look at it. `calm`: nothing to do. */
export type Tone = 'bad' | 'warn' | 'calm';

export interface Advice {
  readonly tone: Tone;
  readonly sentence: string;
}

const bad = (sentence: string): Advice => ({ tone: 'bad', sentence });
const warn = (sentence: string): Advice => ({ tone: 'warn', sentence });
const calm = (sentence: string): Advice => ({ tone: 'calm', sentence });

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** The advice on a snapshot: at least one item; the first is the headline. */
export function adviceFor(s: StatusSnapshot): readonly Advice[] {
  const found = [
    s.draining ? DRAINING : null,
    ...s.routes.map((route) => noLiveSecret(route, s)),
    upstreamFailing(s),
    s.upstream.exposed ? EXPOSED : null,
    onceStore(s),
    reload(s),
    notReady(s),
    undelivered(s),
    refusals(s),
    ...s.secrets.map((secret) => secretAdvice(secret, s)),
    ...s.routes.map((route) => reportMode(route, s.now)),
    ...s.config.warnings.map((warning) => warn(`Configuration: ${warning}`)),
  ].filter((advice) => advice !== null);
  const of = (wanted: Tone) => found.filter(({ tone }) => tone === wanted);
  const worse = [...of('bad'), ...of('warn')];
  return [...(worse.length > 0 ? worse : [allIsWell(s)]), ...of('calm')];
}

const DRAINING = warn(
  'Draining: the proxy still serves but is not ready, so load balancers send requests elsewhere. The drain ends after 10 minutes without a SIGTERM.',
);

const EXPOSED = warn(
  'Clients can bypass the proxy and reach the upstream unverified: bind the upstream to 127.0.0.1 or close its port with a network policy.',
);

function noLiveSecret(route: RouteStatus, s: StatusSnapshot): Advice | null {
  if (route.action !== 'verify' || route.liveSecrets > 0) return null;
  const remedies = s.secrets.filter(({ id }) => route.secretIds.includes(id)).flatMap(outsideRemedy);
  const remedy = remedies.length > 0 ? remedies.join(' ') : valueRemedy(route);
  if (reports(route, s.now)) return warn(`No secret is live on ${route.path}, so nothing there is verified. ${remedy}`);
  return bad(`No secret is live on ${route.path}: senders get 503. ${remedy}`);
}

function outsideRemedy({ id, state, notBefore, notAfter }: SecretStatus): string[] {
  if (state === 'not_yet') return [`Secret ${id} is not valid before ${dateText(notBefore)}: correct its notBefore.`];
  if (state !== 'expired') return [];
  return [`Secret ${id} expired at ${dateText(notAfter)}: add its successor, or correct its notAfter.`];
}

function valueRemedy({ secretIds }: RouteStatus): string {
  if (secretIds.length === 0) return 'Add one under secrets in the configuration.';
  return `Store a value where ${secretIds.join(', ')} is read from; the proxy loads it without a restart.`;
}

function upstreamFailing(s: StatusSnapshot): Advice | null {
  const { url, reachable } = s.upstream;
  if (!reachable) return bad(`The upstream ${url} accepts no connections: start it, or correct upstream.url.`);
  if (s.recent.upstreamFailures === 0) return null;
  const failed = count(s.recent.upstreamFailures, 'request');
  return warn(`The upstream failed ${failed} ${lately(s)}: check its own log; verification is not the cause.`);
}

function onceStore({ once }: StatusSnapshot): Advice | null {
  if (once === null || once.trouble === null) return null;
  const refuses = once.onStoreFailure === 'refuse';
  const effect = refuses ? 'Routes with once answer 503' : 'Events may be delivered twice';
  const sentence = `The store of delivered events (${once.store}) fails: ${once.trouble}. ${effect} until it works again: check the store and once.passwordFile.`;
  return refuses ? bad(sentence) : warn(sentence);
}

function reload({ lastReload }: StatusSnapshot): Advice | null {
  const error = lastReload?.error ?? null;
  if (error === null) return null;
  return warn(`The last reload failed, so the previous configuration and secrets are still in use: ${error}`);
}

function notReady(s: StatusSnapshot): Advice | null {
  if (s.ready || s.draining) return null;
  return warn(`Not ready${s.causes.length > 0 ? `: ${s.causes.join('; ')}` : ''}`);
}

function undelivered(s: StatusSnapshot): Advice | null {
  const recent = s.undelivered.filter(({ at }) => s.now - at < DAY);
  const [last] = recent;
  if (last === undefined) return null;
  const many = recent.length >= 20 ? 'At least 20 deliveries' : count(recent.length, 'delivery', 'deliveries');
  const bridge =
    last.cause === 'connect' ? ' If the app was restarting, a longer upstream.retryConnectFor covers that.' : '';
  return warn(
    `${many} of the last day may be lost, the last one ${spanText(s.now - last.at)} ago: Entrupy documents no retry. They are listed below; docs/alerts.md (Find an event again) explains how to recover them.${bridge}`,
  );
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
    return bad(
      `No signature was accepted ${lately(s)} (${refused} refused${mostly}): compare the secret here with the one set at Entrupy.${cause}`,
    );
  }
  const were = refused === 1 ? 'was' : 'were';
  const requests = `${count(refused, 'request')} ${rejected === 0 ? 'would have been' : were} refused ${lately(s)}${mostly}`;
  if (rule !== null) {
    const broken = header === null ? `rule ${rule}` : `rule ${rule}, header ${header}`;
    return warn(
      `${requests}: if they are yours, something in front of the proxy changes them (${broken}). To let them pass: ${hint}.`,
    );
  }
  if (signature)
    return warn(`${requests}: during a rotation, a sender may use a secret that is not configured here.${cause}`);
  return warn(`${requests}: ignore them if you do not know the clients below.${cause}`);
}

function secretAdvice(secret: SecretStatus, s: StatusSnapshot): Advice | null {
  const { id, state, source, problem, notAfter } = secret;
  const unusable = state === 'unusable' ? ' cannot be used' : '';
  if (problem !== null) return warn(`Secret ${id}${unusable} (${source}): ${problem}`);
  if (notAfter === null) return null;
  if (isPrevious(id)) return state === 'live' ? rotation(secret, notAfter, s.now) : null;
  if (state === 'expired') {
    const isNamed = s.routes.some((route) => route.secretIds.includes(id) && noLiveSecret(route, s) !== null);
    return isNamed
      ? null
      : warn(`Secret ${id} expired at ${dateText(notAfter)}: remove it once its successor verifies.`);
  }
  if (state !== 'live' || notAfter - s.now > 7 * DAY) return null;
  return warn(`Secret ${id} expires on ${dateText(notAfter).slice(0, 10)}: add its successor before then.`);
}

/** A previous value expires by design; only senders that still use it need attention. */
function rotation({ id, lastMatch }: SecretStatus, notAfter: number, now: number): Advice {
  const current = currentOf(id);
  const since = now - lastMatch * 1000;
  const remaining = spanText(notAfter - now);
  if (lastMatch > 0 && since < HOUR) {
    return warn(
      `Rotation: senders still sign with the old value of ${current} (${spanText(since)} ago), which ends in ${remaining}: switch them to the new one.`,
    );
  }
  return calm(
    `Rotation: nobody has signed with the old value of ${current} within the last hour; it expires by itself in ${remaining}.`,
  );
}

function reportMode(route: RouteStatus, now: number): Advice | null {
  if (!reports(route, now)) return null;
  return warn(
    `${route.path} only reports: it forwards requests that it would otherwise refuse. Set mode: enforce once no request is reported any more.`,
  );
}

function allIsWell(s: StatusSnapshot): Advice {
  const { accepted, forwarded, duplicate, noise } = s.recent;
  const served = accepted + forwarded + duplicate;
  const scanned = noise > 0 ? ` ${count(noise, 'other was', 'others were')} refused, as on any public port.` : '';
  const none = (word: string) => (noise > 0 ? 'no delivery' : word);
  const [what, next] =
    served > 0
      ? [`: ${count(served, 'request')} served and ${none('none')} refused`, 'Nothing to do.']
      : [`, and ${none('nothing')} came in`, 'To try it, send a signed request: entrupy-signature-proxy probe.'];
  return calm(`All is well${what} ${lately(s)}.${scanned} ${next}`);
}

/** Says whether a secret can be removed: only if it verified nothing while another one did. */
export function secretVerdict(secret: SecretStatus, s: StatusSnapshot): string {
  const { id, state, lastMatch, notBefore, notAfter } = secret;
  if (state === 'unusable') return 'cannot be used: fix it, or remove its entry';
  if (state === 'not_yet') return `not valid before ${dateText(notBefore)}`;
  if (state === 'expired') return isPrevious(id) ? 'expired: it is removed automatically' : 'expired: can be removed';
  const silent = lastMatch > 0 ? s.now - lastMatch * 1000 : s.now - s.startedAt;
  if (lastMatch > 0 && silent < HOUR) return 'in use: keep it';
  const span = spanText(silent);
  const idle = lastMatch > 0 ? `verified nothing for ${span}` : `verified nothing since the start, ${span} ago`;
  const alone = s.routes.filter(({ liveSecrets, secretIds }) => liveSecrets === 1 && secretIds.includes(id));
  if (alone.length > 0) return `${idle}; the only live secret of ${alone.map(({ path }) => path).join(', ')}: keep it`;
  if (isPrevious(id)) {
    return `${idle}; expires by itself${notAfter === null ? '' : ` in ${spanText(notAfter - s.now)}`}`;
  }
  const others = s.secrets.some((other) => other.id !== id && other.lastMatch > lastMatch);
  if (!others) return `${idle}, and neither did any other: too early to tell`;
  return `${idle}; can be removed once that is longer than your sender retries`;
}

function lately(s: StatusSnapshot): string {
  return `in the last ${Math.round(s.recent.windowSeconds / 60)} minutes`;
}

function count(amount: number, noun: string, plural = `${noun}s`): string {
  return `${amount} ${amount === 1 ? noun : plural}`;
}

/** `2026-11-24 12:00 UTC`. */
function dateText(ms: number | null): string {
  return `${new Date(ms ?? 0).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
