// Advice on secrets: none live, expiring, in rotation, not proven yet.

import { currentOf, isPrevious } from '../core/keyring.ts';
import { reports } from '../core/routes.ts';
import { whyOutside } from '../core/secret-validity.ts';
import type { Advice } from './advice.ts';
import { PAGES } from './advice-pages.ts';
import type { RefusalGroup, RouteStatus, SecretStatus, StatusSnapshot } from './status-snapshot.ts';
import { DAY, dateText, HOUR, spanText } from './times.ts';

const ADVICE = { id: 'secrets', state: 'warning', page: PAGES.rotation } as const;

/** Routes that lack the same secrets share an item. */
export function withoutLiveSecret(s: StatusSnapshot): readonly Advice[] {
  const without = s.routes.filter(isWithout);
  const alike = (route: RouteStatus) => `${reports(route, s.now)} ${route.secretIds}`;
  return Object.values(Object.groupBy(without, alike)).flatMap((routes) => noneLive(routes ?? [], s) ?? []);
}

export function secretAdvice(s: StatusSnapshot): readonly (Advice | null)[] {
  return s.secrets.map((secret) => ofSecret(secret, s));
}

const isWithout = ({ action, liveSecrets }: RouteStatus) => action === 'verify' && liveSecrets === 0;

function noneLive(routes: readonly RouteStatus[], s: StatusSnapshot): Advice | null {
  const [route] = routes;
  if (route === undefined) return null;
  const ours = s.secrets.filter(({ id }) => route.secretIds.includes(id));
  const remedies = ours.flatMap((secret) => outsideRemedy(secret, s.now));
  const remedy = remedies.length > 0 ? remedies.join(' ') : valueRemedy(route);
  const only = reports(route, s.now);
  const effect = only ? 'so nothing there is verified' : 'so senders get 503';
  const message = `No secret is live on ${routes.map(({ path }) => path).join(', ')}, ${effect}.`;
  return { id: 'secrets', state: only ? 'warning' : 'failed', message, remedy, page: PAGES.noLiveSecret };
}

function outsideRemedy(secret: SecretStatus, now: number): string[] {
  const { id, state } = secret;
  if (state !== 'not_yet' && state !== 'expired') return [];
  const [is, fix] =
    state === 'not_yet' ? ['is ', 'correct its notBefore'] : ['', 'add its successor, or correct its notAfter'];
  return [`Secret ${id} ${is}${whyOutside(state, secret, dateText)}. ${clockAdvice(now)}; if it is right, ${fix}.`];
}

/** Dates are compared with this machine's clock, which may be the one that is wrong. */
export function clockAdvice(now: number): string {
  return `The clock of this machine says ${dateText(now)}: if that is wrong, set the clock`;
}

function valueRemedy({ secretIds }: RouteStatus): string {
  if (secretIds.length === 0) return 'Add one under secrets in the configuration.';
  return `Store a value where ${secretIds.join(', ')} is read from; the proxy loads it without a restart.`;
}

function ofSecret(secret: SecretStatus, s: StatusSnapshot): Advice | null {
  const { id, state, source, problem, notAfter } = secret;
  if (problem !== null) {
    const unusable = state === 'unusable';
    const message = `Secret ${id}${unusable ? ' cannot be used' : ''} (${source}): ${problem}.`;
    const remedy = `Correct it there${unusable ? '; the proxy loads it without a restart' : ''}.`;
    return { ...ADVICE, message, remedy, page: PAGES.start };
  }
  if (isPrevious(id)) return state === 'live' ? rotation(secret, s) : null;
  if (state === 'expired') return expired(secret, s);
  if (notAfter !== null && state === 'live' && notAfter - s.now <= 7 * DAY) return expiresSoon(secret, s);
  return unproven(secret, s);
}

function expired(secret: SecretStatus, s: StatusSnapshot): Advice | null {
  const { id } = secret;
  if (s.routes.some((route) => route.secretIds.includes(id) && isWithout(route))) return null;
  // If somebody still signs with it, the advice on signatures says so.
  if (isUsedOutside(secret, s)) return null;
  const message = `Secret ${id} ${whyOutside('expired', secret, dateText)}.`;
  const routes = s.routes.filter(({ secretIds }) => secretIds.includes(id));
  const verifies = (route: RouteStatus) =>
    s.secrets.some(({ id, state, lastMatch }) => state === 'live' && lastMatch > 0 && route.secretIds.includes(id));
  if (routes.every(verifies)) return { ...ADVICE, state: 'ok', message, remedy: 'Remove it: its successor verifies.' };
  return { ...ADVICE, message, remedy: 'Remove it once its successor verifies.' };
}

function expiresSoon(secret: SecretStatus, s: StatusSnapshot): Advice {
  const { id, notAfter } = secret;
  const alone = onlySecretOf(secret, s);
  const then = alone.length === 0 ? '' : ` From then on senders to ${alone.join(', ')} get 503.`;
  const message = `Secret ${id} expires in ${spanText((notAfter ?? s.now) - s.now)}, at ${dateText(notAfter)}.${then}`;
  return { ...ADVICE, message, remedy: 'Add its successor before then, and set that at Entrupy.' };
}

/** A new value that nothing has matched yet, while the one that verified deliveries before has ended. */
function unproven({ id, state, lastMatch, changedAt }: SecretStatus, s: StatusSnapshot): Advice | null {
  if (state !== 'live' || changedAt === null || lastMatch > 0) return null;
  const routes = s.routes.filter(({ secretIds, traffic }) => secretIds.includes(id) && traffic.lastAccepted !== null);
  const others = s.secrets.filter((other) => other.id !== id && other.state === 'live');
  const isProven = (route: RouteStatus) => others.some((other) => route.secretIds.includes(other.id));
  const only = routes.filter((route) => !isProven(route)).map(({ path }) => path);
  if (only.length === 0) return null;
  return {
    ...ADVICE,
    message: `The value of ${id} that was loaded ${spanText(s.now - changedAt)} ago has verified nothing yet, and no other secret is live on ${only.join(', ')}.`,
    remedy:
      'Is it the one set at Entrupy? Only the next delivery proves it. If in doubt, put the former value beside it.',
  };
}

/** True if a refused request of late was signed with this secret, which is outside its dates. */
export function isUsedOutside(secret: SecretStatus, s: StatusSnapshot): boolean {
  return s.refusals.some((group) => isSignedWith(secret, group));
}

/** True for requests that only this secret signs, outside its dates: their hint names it. */
export function isSignedWith({ id }: SecretStatus, { reason, hint }: RefusalGroup): boolean {
  return reason === 'expired_secret' && hint?.includes(`"${id}"`) === true;
}

/** The paths of the routes on which no other secret is live. */
export function onlySecretOf({ id }: SecretStatus, { routes }: StatusSnapshot): readonly string[] {
  const verifying = routes.filter(({ action, secretIds }) => action === 'verify' && secretIds.includes(id));
  const alone = verifying.filter(({ liveSecrets }) => liveSecrets === 1);
  return alone.map(({ path }) => path);
}

/** A previous value expires by design; only senders that still use it need attention. */
function rotation({ id, lastMatch, notAfter }: SecretStatus, s: StatusSnapshot): Advice {
  const current = currentOf(id);
  const since = s.now - lastMatch * 1000;
  const end = (notAfter ?? s.now) - s.now;
  if (lastMatch > 0 && since < HOUR) {
    const message = `Rotation: senders still sign with the old value of ${current} (${spanText(since)} ago), which ends in ${spanText(end)}.`;
    return { ...ADVICE, state: 'warning', message, remedy: 'Switch them to the new one.' };
  }
  if (s.secrets.some((other) => other.id === current && other.lastMatch === 0)) {
    const message = `Rotation: the new value of ${current} has verified nothing yet, and the old one ends in ${spanText(end)}.`;
    const remedy = 'Is the new one set at Entrupy? Only a delivery proves it.';
    return { ...ADVICE, state: end < 6 * HOUR ? 'warning' : 'ok', message, remedy };
  }
  const message = `Rotation: nobody has signed with the old value of ${current} within the last hour; it expires by itself in ${spanText(end)}.`;
  return { ...ADVICE, state: 'ok', message, remedy: 'Nothing to do.' };
}
