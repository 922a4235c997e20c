// Secrets: none live, expiring, in rotation, not proven yet; and for each, whether it can be removed.
import { clockText, currentOf, isPrevious, whyOutside } from '../core/keyring.ts';
import { reports } from '../core/routes.ts';
import type { Facts, RouteFacts, SecretFacts } from '../facts.ts';
import type { Ledger } from './ledger.ts';
import { count, type Finding, type Findings, finding, type Input, pathsOf } from './sentences.ts';
import { ago, DAY, dateText, HOUR, spanText } from './times.ts';

/** Routes that lack the same secrets share an item. */
export function* withoutLiveSecret({ facts }: Input): Findings {
  const { routes, secrets, now } = facts;
  const alike = (route: RouteFacts) => `${reports(route, now)} ${route.secretIds}`;
  // `secretIds` has only usable secrets, so if it is empty, every unusable secret is named.
  const unusable = secrets.filter(({ state }) => state === 'unusable').map(({ id }) => id);
  for (const lacking of Map.groupBy(routes.filter(isWithout), alike).values()) {
    const [ids = []] = lacking.map(({ secretIds }) => secretIds);
    const outside = secrets.filter(({ id }) => ids.includes(id)).flatMap((secret) => whyNotLive(secret) ?? []);
    const listed = (ids.length === 0 ? unusable : ids).join(', ');
    const missing = listed === '' ? 'it lists none' : `${listed} cannot be used`;
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

export function* secretFindings({ facts, ledger }: Input): Findings {
  for (const secret of facts.secrets) {
    const { id, source, note } = secret;
    yield ofSecret(secret, facts, ledger);
    if (note !== null) yield finding('note', 'secret-value', `Secret ${id} (${source}): ${note}.`);
  }
}

function ofSecret(secret: SecretFacts, s: Facts, ledger: Ledger): Finding | null {
  const { id, state, source, problem, notAfter } = secret;
  if (problem !== null) {
    const message = `Secret ${id}${state === 'unusable' ? ' cannot be used' : ''} (${source}): ${problem}.`;
    // One whose value is in use concerns its own routes; the start, or the reload that failed, found it.
    const routes = s.routes.filter(({ secretIds }) => state === 'unusable' || secretIds.includes(id));
    const began = s.lastReload?.error == null ? s.startedAt : s.lastReload.at;
    return { ...finding('warning', 'secret-problem', message), began, routes: routes.map(({ path }) => path) };
  }
  if (isPrevious(id)) return state === 'live' ? rotation(secret, s) : null;
  if (state === 'expired') return expired(secret, s, ledger);
  if (state !== 'live') return null;
  if (notAfter === null || notAfter - s.now > 7 * DAY) return unproven(secret, s, ledger);
  const alone = onlySecretOf(secret, s);
  const then = alone === '' ? '' : ` From then on senders to ${alone} get 503.`;
  const message = `Secret ${id} expires in ${spanText(notAfter - s.now)}, at ${dateText(notAfter)}.${then}`;
  return finding('warning', 'secret-ends', message);
}

/** Where somebody still signs with the expired secret, the finding on signatures says so. */
function expired(secret: SecretFacts, s: Facts, ledger: Ledger): Finding | null {
  const { id } = secret;
  const proven = s.secrets.filter(({ state, lastMatch }) => state === 'live' && lastMatch > 0);
  const routes = s.routes.filter(({ secretIds }) => secretIds.includes(id));
  const verifies = ({ secretIds }: RouteFacts) => proven.some((other) => secretIds.includes(other.id));
  if (routes.every(verifies) || routes.some(isWithout) || ledger.outside.has(id)) return null;
  return finding('warning', 'secret-expired', `Secret ${id} ${whyOutside('expired', secret, dateText)}.`);
}

/** A new value that has verified nothing yet, where a route that accepted requests has no other live secret. */
function unproven({ id, lastMatch, changedAt }: SecretFacts, s: Facts, ledger: Ledger): Finding | null {
  if (changedAt === null || lastMatch > 0) return null;
  const others = s.secrets.filter((other) => other.id !== id && other.state === 'live');
  const only = s.routes.filter(({ path, secretIds }) => {
    return (
      secretIds.includes(id) &&
      Object.values(ledger.of(path).fates).some(Boolean) &&
      !others.some((other) => secretIds.includes(other.id))
    );
  });
  if (only.length === 0) return null;
  const message = `The value of ${id} that was loaded ${ago(changedAt, s.now)} has verified nothing yet, and no other secret is live on ${pathsOf(only)}.`;
  return finding('warning', 'secret-unproven', message);
}

/** A previous value expires by design; only senders that still use it need attention. */
function rotation({ id, lastMatch, notAfter }: SecretFacts, s: Facts): Finding | null {
  const current = currentOf(id);
  const left = (notAfter ?? s.now) - s.now;
  if (lastMatch > 0 && s.now - lastMatch * 1000 < HOUR) {
    const message = `Rotation: senders still sign with the old value of ${current}, the last one ${ago(lastMatch * 1000, s.now)}; it ends in ${spanText(left)}.`;
    return finding('warning', 'old-secret-used', message);
  }
  if (!s.secrets.some((other) => other.id === current && other.lastMatch === 0)) return null;
  const message = `Rotation: the new value of ${current} has verified nothing yet, and the old one ends in ${spanText(left)}.`;
  return finding(left < 6 * HOUR ? 'warning' : 'ok', 'secret-unproven', message);
}

/** The paths of the routes on which no other secret is live; empty if there are none. */
const onlySecretOf = ({ id }: SecretFacts, { routes }: Facts) =>
  pathsOf(routes.filter(({ liveSecrets, secretIds }) => liveSecrets === 1 && secretIds.includes(id)));

/** Says whether a secret can be removed: once it has expired, or another has matched more recently. */
export function secretVerdict(secret: SecretFacts, s: Facts & { readonly signedOutside: readonly string[] }): string {
  const { id, state, lastMatch, deferred } = secret;
  // Without the secret, deliveries signed with it cannot be verified, and so are never sent.
  const many = count(deferred ?? 0, 'deferred delivery is', 'deferred deliveries are');
  const signed = `${deferred === null ? 'deferred deliveries may be' : many} signed with it`;
  if (isPrevious(id)) return `ends by itself${deferred === 0 ? '' : `; ${signed}, and not sent after that`}`;
  if (deferred !== 0) return `keep it: ${signed}`;
  if (state === 'expired')
    return s.signedOutside.includes(id) ? 'a client still signs with it: see the refusals below' : 'can be removed';
  if (state !== 'live') return '–'; // its state says all
  if (lastMatch > 0 && s.now - lastMatch * 1000 < HOUR) return 'in use: keep it';
  const alone = onlySecretOf(secret, s);
  if (alone !== '') return `the only live secret of ${alone}: keep it`;
  const isReplaced = s.secrets.some((other) => other.id !== id && other.lastMatch > lastMatch);
  if (!isReplaced) return 'too early to tell: no other has matched since';
  return 'can be removed once its last match is older than your sender retries';
}
