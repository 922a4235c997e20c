// What to do about secrets, for the status page: none live, one that cannot be used or has ended, a rotation under way.
// It must never advise to weaken verification.
import { type Advice, bad, isReporting, warn } from './advice-parts.ts';
import type { RouteStatus, SecretStatus, StatusSnapshot } from './status.ts';
import { spanText } from './status-text.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

export function routesWithoutSecretAdvice(s: StatusSnapshot): readonly Advice[] {
  return s.routes.flatMap((route) => noLiveSecret(route, s));
}

export function secretsAdvice(s: StatusSnapshot): readonly Advice[] {
  return [
    ...s.secrets.flatMap((secret) => secretAdvice(secret, s)),
    ...s.secrets.flatMap((secret) => rotation(secret, s.now)),
  ];
}

function noLiveSecret(route: RouteStatus, s: StatusSnapshot): Advice[] {
  if (route.action !== 'verify' || route.liveSecrets > 0) return [];
  const mine = s.secrets.filter(({ id }) => route.secretIds.includes(id));
  const outside = mine.filter(({ state }) => state === 'expired' || state === 'not_yet');
  const remedy = outside.length > 0 ? outside.map(outsideRemedy).join(' ') : valueRemedy(route);
  if (isReporting(route, s.now))
    return [warn(`No secret is live on ${route.path}, so nothing there is verified. ${remedy}`)];
  return [bad(`No secret is live on ${route.path}: senders get 503. ${remedy}`)];
}

function valueRemedy({ secretIds }: RouteStatus): string {
  if (secretIds.length === 0) return 'Name one under secrets in the configuration.';
  return `Put a value where ${secretIds.join(', ')} is read from; it is picked up without a restart.`;
}

function outsideRemedy({ id, state, notBefore, notAfter }: SecretStatus): string {
  if (state === 'not_yet') return `Secret ${id} is not valid before ${dateText(notBefore)}: correct its notBefore.`;
  return `Secret ${id} expired at ${dateText(notAfter)}: add its successor, or correct its notAfter.`;
}

const dateText = (ms: number | null) =>
  new Date(ms ?? 0)
    .toISOString()
    .replace(/:\d\d\.\d{3}Z/, ' UTC')
    .replace('T', ' ');

function secretAdvice(secret: SecretStatus, s: StatusSnapshot): Advice[] {
  const { id, state, source, problem, notAfter } = secret;
  if (state === 'unusable')
    return [warn(`Secret ${id} cannot be used (${source})${problem === null ? '' : `: ${problem}`}`)];
  if (problem !== null) return [warn(`Secret ${id} (${source}): ${problem}`)];
  const told = s.routes.some((route) => noLiveSecret(route, s).length > 0 && route.secretIds.includes(id));
  if (state === 'expired' && !told && !id.endsWith(PREVIOUS))
    return [warn(`Secret ${id} expired at ${dateText(notAfter)}: remove it once its successor verifies.`)];
  // A replaced value ends by design: no reason to act.
  if (state !== 'live' || notAfter === null || id.endsWith(PREVIOUS) || notAfter - s.now > 7 * DAY) return [];
  return [warn(`Secret ${id} expires on ${new Date(notAfter).toISOString().slice(0, 10)}: add its successor before.`)];
}

const PREVIOUS = '.previous';

function rotation({ id, state, lastMatch, notAfter }: SecretStatus, now: number): Advice[] {
  if (state !== 'live' || !id.endsWith(PREVIOUS) || notAfter === null) return [];
  const current = id.slice(0, -PREVIOUS.length);
  const since = now - lastMatch * 1000;
  const left = spanText(notAfter - now);
  if (lastMatch > 0 && since < HOUR) {
    return [
      warn(
        `Rotation: senders still sign with the old value of ${current} (${spanText(since)} ago), which ends in ${left}: give them the new one.`,
      ),
    ];
  }
  const sentence = `Rotation: nobody has signed with the old value of ${current} within the last hour; it ends by itself in ${left}.`;
  return [{ tone: 'calm', sentence }];
}

/** One line a secret: whether it may go. Only a secret that verified nothing while another did can be done without. */
export function secretVerdict(secret: SecretStatus, s: StatusSnapshot): string {
  const { id, state, lastMatch, notBefore, notAfter } = secret;
  if (state === 'unusable') return 'cannot be used: mend it, or take its entry out';
  if (state === 'not_yet') return `waits for ${dateText(notBefore)}`;
  if (state === 'expired') return id.endsWith(PREVIOUS) ? 'ended: it goes by itself' : 'ended: may go';
  const alone = s.routes.filter(({ liveSecrets, secretIds }) => liveSecrets === 1 && secretIds.includes(id));
  const silent = lastMatch > 0 ? s.now - lastMatch * 1000 : s.now - s.startedAt;
  const what =
    lastMatch > 0
      ? `verified nothing for ${spanText(silent)}`
      : `verified nothing since the start, ${spanText(silent)} ago`;
  if (lastMatch > 0 && silent < HOUR) return 'in use: keep it';
  if (alone.length > 0) return `${what}; the only one of ${alone.map(({ path }) => path).join(', ')}: keep it`;
  if (id.endsWith(PREVIOUS))
    return `${what}; ends by itself ${notAfter === null ? '' : `in ${spanText(notAfter - s.now)}`}`.trim();
  const others = s.secrets.some((other) => other.id !== id && other.lastMatch > lastMatch);
  if (!others) return `${what}, and no other did: nothing to tell yet`;
  return `${what}; may go when that is longer than your sender retries`;
}
