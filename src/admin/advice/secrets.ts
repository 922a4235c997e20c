// Advice on secrets: none live, expiring, in rotation, not proven yet; and for each, whether it can be removed.

import { currentOf, isPrevious, whyOutside } from '../../core/keyring.ts';
import { reports } from '../../core/routes.ts';
import type { RouteStatus, SecretStatus, StatusSnapshot } from '../snapshot.ts';
import { ago, count, DAY, dateText, type Finds, type Found, found, HOUR, named, spanText } from './words.ts';

/** Routes that lack the same secrets share an item. */
export function withoutLiveSecret(s: StatusSnapshot): Finds {
  const without = s.routes.filter(isWithout);
  const alike = (route: RouteStatus) => `${reports(route, s.now)} ${route.secretIds}`;
  return Object.values(Object.groupBy(without, alike)).map((routes = []) => noneLive(routes, s));
}

const isWithout = ({ action, liveSecrets }: RouteStatus) => action === 'verify' && liveSecrets === 0;

function noneLive(routes: readonly RouteStatus[], s: StatusSnapshot): Found | null {
  const [route] = routes;
  if (route === undefined) return null;
  const ours = s.secrets.filter(({ id }) => route.secretIds.includes(id));
  const outside = ours.flatMap((secret) => whyNotLive(secret) ?? []);
  // A route that takes all secrets lists those alone that can be used.
  const unusable = s.secrets.filter(({ state }) => state === 'unusable').map(({ id }) => id);
  const listed = route.secretIds.length === 0 ? unusable : route.secretIds;
  const missing = listed.length === 0 ? 'it lists none' : `${listed.join(', ')} cannot be used`;
  const why = outside.length > 0 ? `${outside.join(', ')}; ${clockText(s.now)}` : missing;
  const only = reports(route, s.now);
  const effect = only ? 'so nothing there is verified' : 'so senders get 503';
  const message = `No secret is live on ${routes.map(named).join(', ')}, ${effect}: ${why}.`;
  return found(only ? 'warning' : 'failed', outside.length > 0 ? 'secrets-outside-dates' : 'no-live-secret', message);
}

function whyNotLive(secret: SecretStatus): string | null {
  const { id, state } = secret;
  if (state !== 'not_yet' && state !== 'expired') return null;
  return `secret ${id} ${state === 'not_yet' ? 'is ' : ''}${whyOutside(state, secret, dateText)}`;
}

/** Dates are compared with this machine's clock, which may be the one that is wrong. */
export const clockText = (now: number) => `the clock of this machine says ${dateText(now)}`;

export function secretAdvice(s: StatusSnapshot): Finds {
  return s.secrets.flatMap((secret) => [ofSecret(secret, s), noteOn(secret)]);
}

function ofSecret(secret: SecretStatus, s: StatusSnapshot): Found | null {
  const { id, state, source, problem, notAfter } = secret;
  if (problem !== null) {
    const message = `Secret ${id}${state === 'unusable' ? ' cannot be used' : ''} (${source}): ${problem}.`;
    return found('warning', 'secret-problem', message);
  }
  if (isPrevious(id)) return state === 'live' ? rotation(secret, s) : null;
  if (state === 'expired') return expired(secret, s);
  if (notAfter !== null && state === 'live' && notAfter - s.now <= 7 * DAY) return expiresSoon(secret, s);
  return unproven(secret, s);
}

function noteOn({ id, source, note: text }: SecretStatus): Found | null {
  return text === null ? null : found('note', 'secret-value', `Secret ${id} (${source}): ${text}.`);
}

function expired(secret: SecretStatus, s: StatusSnapshot): Found | null {
  const { id } = secret;
  const routes = s.routes.filter(({ secretIds }) => secretIds.includes(id));
  const verifies = (route: RouteStatus) =>
    s.secrets.some((other) => other.state === 'live' && other.lastMatch > 0 && route.secretIds.includes(other.id));
  // If somebody still signs with it, the advice on signatures says so.
  if (routes.every(verifies) || routes.some(isWithout) || isUsedOutside(secret, s)) return null;
  return found('warning', 'secret-expired', `Secret ${id} ${whyOutside('expired', secret, dateText)}.`);
}

function expiresSoon(secret: SecretStatus, s: StatusSnapshot): Found {
  const { id, notAfter } = secret;
  const alone = onlySecretOf(secret, s);
  const then = alone === '' ? '' : ` From then on senders to ${alone} get 503.`;
  const message = `Secret ${id} expires in ${spanText((notAfter ?? s.now) - s.now)}, at ${dateText(notAfter)}.${then}`;
  return found('warning', 'secret-ends', message);
}

/** A new value that nothing has matched yet, while the one that verified deliveries before has ended. */
function unproven({ id, state, lastMatch, changedAt }: SecretStatus, s: StatusSnapshot): Found | null {
  if (state !== 'live' || changedAt === null || lastMatch > 0) return null;
  const routes = s.routes.filter(({ secretIds, traffic }) => secretIds.includes(id) && traffic.lastAccepted !== null);
  const others = s.secrets.filter((other) => other.id !== id && other.state === 'live');
  const isProven = (route: RouteStatus) => others.some((other) => route.secretIds.includes(other.id));
  const only = routes.filter((route) => !isProven(route)).map(({ path }) => path);
  if (only.length === 0) return null;
  const message = `The value of ${id} that was loaded ${ago(changedAt, s.now)} has verified nothing yet, and no other secret is live on ${only.join(', ')}.`;
  return found('warning', 'secret-unproven', message);
}

/** A previous value expires by design; only senders that still use it need attention. */
function rotation({ id, lastMatch, notAfter }: SecretStatus, s: StatusSnapshot): Found | null {
  const current = currentOf(id);
  const end = (notAfter ?? s.now) - s.now;
  if (lastMatch > 0 && s.now - lastMatch * 1000 < HOUR) {
    const message = `Rotation: senders still sign with the old value of ${current}, the last one ${ago(lastMatch * 1000, s.now)}; it ends in ${spanText(end)}.`;
    return found('warning', 'old-secret-used', message);
  }
  if (s.secrets.some((other) => other.id === current && other.lastMatch === 0)) {
    const message = `Rotation: the new value of ${current} has verified nothing yet, and the old one ends in ${spanText(end)}.`;
    return found(end < 6 * HOUR ? 'warning' : 'ok', 'secret-unproven', message);
  }
  return null;
}

/** True if a refused request of late was signed with this secret, which is outside its dates. */
function isUsedOutside({ id }: SecretStatus, s: StatusSnapshot): boolean {
  return s.refusals.some(({ secret }) => secret === id);
}

/** The paths of the routes on which no other secret is live; empty if there are none. */
function onlySecretOf({ id }: SecretStatus, { routes }: StatusSnapshot): string {
  const alone = routes.filter(({ action, liveSecrets }) => action === 'verify' && liveSecrets === 1);
  const its = alone.filter(({ secretIds }) => secretIds.includes(id));
  return its.map(({ path }) => path).join(', ');
}

/** Says whether a secret can be removed: only if it verified nothing while another one did. */
export function secretVerdict(secret: SecretStatus, s: StatusSnapshot): string {
  const { id, state, lastMatch, deferred } = secret;
  // Without the secret nothing verifies what it signed, so that would never be sent.
  const signed = `${count(deferred, 'deferred delivery is', 'deferred deliveries are')} signed with it`;
  if (isPrevious(id)) return `ends by itself${deferred > 0 ? `; ${signed}, and not sent after that` : ''}`;
  if (deferred > 0) return `keep it: ${signed}`;
  if (state === 'expired')
    return isUsedOutside(secret, s) ? 'a client still signs with it: see the refusals below' : 'can be removed';
  if (state !== 'live') return '–'; // its state says all
  if (lastMatch > 0 && s.now - lastMatch * 1000 < HOUR) return 'in use: keep it';
  const alone = onlySecretOf(secret, s);
  if (alone !== '') return `the only live secret of ${alone}: keep it`;
  const isReplaced = s.secrets.some((other) => other.id !== id && other.lastMatch > lastMatch);
  if (!isReplaced) return 'too early to tell: no other has matched since';
  return 'can be removed once its last match is older than your sender retries';
}
