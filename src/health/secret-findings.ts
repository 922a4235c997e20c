// Secrets: none live, expiring, in rotation, not proven yet; and for each, whether it can be removed.
import { clockText, currentOf, isPrevious, whyOutside } from '../core/keyring.ts';
import { reports } from '../core/routes.ts';
import type { Facts, RouteFacts, SecretFacts } from '../facts.ts';
import { type Finding, type Findings, finding } from './diagnoses.ts';
import type { Ledger } from './ledger.ts';
import { count, type Input, pathsOf } from './sentences.ts';
import { ago, DAY, dateText, HOUR, nearly, spanText } from './times.ts';

/** Routes that lack the same secrets share an item. */
export function* withoutLiveSecret({ facts }: Input): Findings {
  const { routes, secrets, now } = facts;
  const alike = (route: RouteFacts) => `${reports(route, now)} ${route.secretIds} ${route.unknownIds}`;
  // `secretIds` has only usable secrets, so if it is empty, every unusable secret is named.
  const unusable = secrets.filter(({ state }) => state === 'unusable').map(({ id }) => id);
  for (const lacking of Map.groupBy(routes.filter(isWithout), alike).values()) {
    const [ids = []] = lacking.map(({ secretIds }) => secretIds);
    const [unknown = []] = lacking.map(({ unknownIds }) => unknownIds);
    const outside = secrets.filter(({ id }) => ids.includes(id)).flatMap((secret) => whyNotLive(secret) ?? []);
    const listed = (ids.length === 0 ? unusable : ids).join(', ');
    const lists = `it lists ${unknown.length === 0 ? 'none' : `${unknown.join(', ')}, which no secret has`}`;
    const missing = listed === '' || unknown.length > 0 ? lists : `${listed} cannot be used`;
    const why = outside.length > 0 ? `${outside.join(', ')}; ${clockText(now, dateText)}` : missing;
    const only = lacking.some((route) => reports(route, now));
    const effect = only ? 'so nothing there is verified' : 'so senders get 503';
    const message = `No secret is live on ${pathsOf(lacking)}, ${effect}: ${why}.`;
    const id = outside.length > 0 ? 'secrets-outside-dates' : 'no-live-secret';
    yield finding(only ? 'warning' : 'failed', id, message);
  }
}

const isWithout = ({ action, liveSecrets }: RouteFacts) => action === 'verify' && liveSecrets === 0;

function whyNotLive(secret: SecretFacts): string | null {
  const { id, state } = secret;
  if (state !== 'not_yet' && state !== 'expired') return null;
  return `secret ${id} ${state === 'not_yet' ? 'is ' : ''}${whyOutside(state, secret, dateText)}`;
}

const NOT_BEGUN = 'Put the new value there: its rotation has not begun. Or remove this copy.';

export function* secretFindings({ facts, ledger }: Input): Findings {
  for (const route of facts.routes) yield unproven(route, facts, ledger);
  for (const secret of facts.secrets) {
    const { id, source, note, sameAs } = secret;
    yield ofSecret(secret, facts, ledger);
    const noted = finding('note', 'secret-value', `Secret ${id} (${source}): ${note}.`);
    const isUseless = routesOf(secret, facts).some(({ secretIds }) => sameAs !== null && secretIds.includes(sameAs));
    if (isUseless) yield { ...noted, state: 'warning', remedy: NOT_BEGUN };
    else if (note !== null) yield noted;
  }
}

function ofSecret(secret: SecretFacts, s: Facts, ledger: Ledger): Finding | null {
  const { id, state, source, problem, notAfter } = secret;
  if (problem !== null) {
    const message = `Secret ${id}${state === 'unusable' ? ' cannot be used' : ''}${id === source ? '' : ` (${source})`}: ${problem}.`;
    // One whose value is in use concerns its own routes; the start, or the reload that failed, found it.
    const routes = state === 'unusable' ? s.routes : routesOf(secret, s);
    const began = s.lastReload?.error == null ? s.startedAt : s.lastReload.at;
    return { ...finding('warning', 'secret-problem', message), began, routes: routes.map(({ path }) => path) };
  }
  if (isPrevious(id)) return state === 'live' ? rotation(secret, s) : null;
  if (state === 'expired') return expired(secret, s, ledger);
  if (state !== 'live' || notAfter === null || notAfter - s.now > 7 * DAY) return null;
  const alone = onlySecretOf(secret, s);
  if (alone === '' && isReplaced(secret, s) && !isInUse(secret, s)) return null; // its end is planned
  const then = alone === '' ? '' : ` From then on senders to ${alone} get 503.`;
  const message = `Secret ${id} expires in ${spanText(notAfter - s.now)}, at ${dateText(notAfter)}.${then}`;
  return finding(isLossNear(secret, s) ? 'failed' : 'warning', 'secret-ends', message);
}

/** Where somebody still signs with the expired secret, the finding on signatures says so. */
function expired(secret: SecretFacts, s: Facts, ledger: Ledger): Finding | null {
  const { id } = secret;
  if (isReplaced(secret, s) || routesOf(secret, s).some(isWithout) || ledger.outside.has(id)) return null;
  return finding('warning', 'secret-expired', `Secret ${id} ${whyOutside('expired', secret, dateText)}.`);
}

/** A route that accepted requests, with other secrets than those that are live now. */
function unproven(route: RouteFacts, { secrets, now }: Facts, ledger: Ledger): Finding | null {
  const { path, secretIds, liveSecrets, provenSecrets } = route;
  if (liveSecrets === 0 || provenSecrets > 0 || !ledger.all.get(path)?.hasVerified) return null;
  const live = secrets.filter(({ id, state }) => state === 'live' && secretIds.includes(id));
  const names = live.map(({ id, changedAt: at }) => (at === null ? id : `${id}, loaded ${ago(at, now)}`));
  const message = `No secret that is live on ${path} (${names.join('; ')}) has verified anything there yet: what was accepted had another one.`;
  return finding('warning', 'secret-unproven', message, path);
}

/** A previous value ends by design: senders that use it need attention only in its last hours. */
function rotation(secret: SecretFacts, s: Facts): Finding | null {
  const { id, lastMatch, notAfter } = secret;
  const current = currentOf(id);
  const left = (notAfter ?? s.now) - s.now;
  const next = s.secrets.find((other) => other.id === current)?.lastMatch ?? Number.POSITIVE_INFINITY;
  const isUsed = isInUse(secret, s) || (next > 0 && next <= lastMatch);
  if (!isUsed && next > 0) return null;
  const what = isUsed
    ? `senders still sign with the old value of ${current}, the last one ${ago(lastMatch * 1000, s.now)}; it`
    : `the new value of ${current} has verified nothing yet, and the old one`;
  const message = `Rotation: ${what} ends in ${spanText(left)}.`;
  const state = isLossNear(secret, s) ? 'failed' : left < 6 * HOUR ? 'warning' : 'ok';
  return finding(state, isUsed ? 'old-secret-used' : 'secret-unproven', message);
}

/** True if its end is near, and an enforcing route refuses from then on everything, or what somebody signs with it now. */
function isLossNear(secret: SecretFacts, s: Facts): boolean {
  const { id, notAfter: at, notBefore, lastMatch } = secret;
  const came = s.secrets.find((other) => other.id === currentOf(id))?.changedAt ?? notBefore ?? 0;
  if (at === null || at - s.now > nearly({ at, came })) return false;
  const enforcing = routesOf(secret, s).filter((route) => !reports(route, s.now));
  // The last that came was signed with it, though its successor was there; or somebody signs with it now.
  const isUsed = (lastMatch * 1000 > came && !isReplaced(secret, s)) || s.now - lastMatch * 1000 < nearly({ at, came });
  return enforcing.some(({ liveSecrets }) => liveSecrets === 1 || isUsed);
}

/** True if it verified something in the last hour. */
const isInUse = ({ lastMatch }: SecretFacts, { now }: Facts) => now - lastMatch * 1000 < HOUR;

const routesOf = ({ id }: SecretFacts, { routes }: Facts) => routes.filter(({ secretIds }) => secretIds.includes(id));

/** True if on each of its routes another one verified something later. */
function isReplaced(one: SecretFacts, s: Facts): boolean {
  const later = s.secrets.filter(({ state, lastMatch }) => state === 'live' && lastMatch > one.lastMatch);
  return routesOf(one, s).every(({ secretIds }) => later.some(({ id }) => secretIds.includes(id)));
}

/** The paths of the routes on which no other secret is live; empty if there are none. */
const onlySecretOf = (one: SecretFacts, s: Facts) =>
  pathsOf(routesOf(one, s).filter(({ liveSecrets }) => liveSecrets === 1));

/** Says whether a secret can be removed: once it has expired, or another has matched more recently. */
export function secretVerdict(secret: SecretFacts, s: Facts & { readonly signedOutside: readonly string[] }): string {
  const { id, state, deferred } = secret;
  // Without the secret, deliveries signed with it cannot be verified, and so are never sent.
  const many = count(deferred ?? 0, 'deferred delivery is', 'deferred deliveries are');
  const signed = `${deferred === null ? 'deferred deliveries may be' : many} signed with it`;
  if (isPrevious(id)) return `ends by itself${deferred === 0 ? '' : `; ${signed}, and not sent after that`}`;
  if (deferred !== 0) return `keep it: ${signed}`;
  if (state === 'expired')
    return s.signedOutside.includes(id) ? 'a client still signs with it: see the refusals below' : 'can be removed';
  if (state !== 'live') return '–'; // its state says all
  if (isInUse(secret, s)) return 'in use: keep it';
  const alone = onlySecretOf(secret, s);
  if (alone !== '') return `the only live secret of ${alone}: keep it`;
  if (!isReplaced(secret, s)) return 'too early to tell: no other has matched since';
  return 'can be removed once its last match is older than your sender retries';
}
