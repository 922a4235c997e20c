// Advice on deferred deliveries: a store that fails, what is lost or soon will be, what is not sent again by itself, and
// what waits for long.
import type { DeferredStatus, StatusSnapshot } from '../snapshot.ts';
import { ago, clock, DAY, HOUR, MINUTE, spanText } from './times.ts';
import { count, type Finds, type Found, found, named, whatChanged } from './words.ts';

/** As the alert. */
const LONG_MS = 15 * MINUTE;
/** So often the app has answered an event, and taken others. */
const POISON_ATTEMPTS = 3;

export function redeliveryAdvice(s: StatusSnapshot): Finds {
  const { deferred, now } = s;
  if (deferred === null) return [ended(s)];
  const poisoned = poison(deferred, s);
  const still = [unverified(deferred), stopped(deferred), ...poisoned, waiting(deferred, poisoned.length, s)];
  return [ended(s), storeLost(deferred, now), ending(deferred, now), storeFails(deferred, now), ...still];
}

const many = (amount: number) => count(amount, 'deferred delivery', 'deferred deliveries');

function ended({ lost: { expired, dropped }, undelivered, now }: StatusSnapshot): Found | null {
  if (expired + dropped === 0) return null;
  const last = undelivered.find(({ fate }) => fate === 'expired');
  const when = last === undefined ? '' : `, the last one ${ago(last.at, now)}`;
  const kinds = [expired > 0 ? `${expired} not taken in time${when}` : [], dropped > 0 ? `${dropped} dropped` : []];
  const message = `${many(expired + dropped)} of the last day ended untaken: ${kinds.flat().join(', ')}.`;
  return found('warning', 'deferred-lost', message);
}

function storeLost({ store, storeLost }: DeferredStatus, now: number): Found | null {
  if (storeLost === null || now - storeLost.at >= DAY) return null;
  const message = `The store of deferred deliveries (${store}) lost what waited in it ${ago(storeLost.at, now)}: ${storeLost.problem}.`;
  return found('warning', 'deferred-lost', message);
}

/** Red from an hour before, or from a quarter of the time that an event has. */
function ending({ firstLoss, waiting }: DeferredStatus, now: number): Found | null {
  if (firstLoss === null || waiting === 0) return null;
  const { at, came } = firstLoss;
  if (at - now > Math.min(HOUR, (at - came) / 4)) return null;
  const when = at <= now ? 'is over now' : `ends in ${spanText(at - now)}, at ${clock(at, now)}`;
  const message = `${count(waiting, 'deferred delivery waits', 'deferred deliveries wait')}, and the time of the first ${when}: then it is lost.`;
  return found('failed', 'deferred-ending', message);
}

const STORE = { full: 'store-full', slow: 'store-slow', failing: 'store-fails', failed: 'store-fails' } as const;

function storeFails({ store, problem, problemKind, turnedAwayAt }: DeferredStatus, now: number): Found | null {
  if (problem === null) return null;
  const away = turnedAwayAt === null ? '' : `; a delivery was last turned away ${ago(turnedAwayAt, now)}`;
  const fails = problemKind === 'full' ? 'is full' : `${problemKind === 'failed' ? 'failed' : 'fails'}: ${problem}`;
  const until =
    problemKind === 'failed'
      ? 'It works again; no delivery has needed it since.'
      : 'Until it works again, what the app does not take may be lost.';
  const message = `The store of deferred deliveries (${store}) ${fails}${away}. ${until}`;
  const isLate = turnedAwayAt === null || now - turnedAwayAt >= LONG_MS;
  return found(isLate ? 'warning' : 'failed', STORE[problemKind], message);
}

/** By the word that the list and the log have, too. */
const WHYS: Readonly<Record<string, string>> = {
  name: 'of another redelivery.name',
  limits: 'larger than maxBody, limits.maxHeader or limits.bufferedBytes now allow',
  route_gone: 'whose route takes them no longer',
  altered: 'altered in the store',
  unreadable: 'unreadable',
};
const MOST_WHYS = 3;

function unverified({ unverified, whys }: DeferredStatus): Found | null {
  if (unverified === 0) return null;
  const causes = whys.map(({ why, secret, deliveries }) => {
    const gone = `whose secret ${secret} is gone or has another value`;
    return `${deliveries} ${why === 'secret_gone' ? gone : (WHYS[why] ?? `refused now (${why})`)}`;
  });
  const others = causes.length > MOST_WHYS ? ', and others' : '';
  const message = `${many(unverified)} cannot be verified, so not sent: ${causes.slice(0, MOST_WHYS).join(', ')}${others}.`;
  return found('warning', 'deferred-unverified', message);
}

function stopped({ stopped }: DeferredStatus): Found | null {
  if (stopped === 0) return null;
  const message = `The app refused ${many(stopped)} (4xx), so ${stopped === 1 ? 'it is' : 'they are'} sent again only when you ask.`;
  return found('warning', 'deferred-stopped', message);
}

/** Events that the app has answered again and again, while it took others. */
function poison({ deliveries }: DeferredStatus, { routes, now }: StatusSnapshot): readonly Found[] {
  const answered = deliveries.filter(({ state, lastFailure }) => state === 'waiting' && lastFailure !== 'connect');
  const never = answered.flatMap((one) => {
    const route = routes.find(({ path }) => path === one.route);
    const isPoison = one.attempts >= POISON_ATTEMPTS && (route?.traffic.lastTaken ?? 0) > one.at;
    return route !== undefined && isPoison ? { ...one, where: named(route) } : [];
  });
  return never.slice(0, 3).map(({ id, where, at, attempts, lastFailure }) => {
    const message = `The app takes other deliveries to ${where}, and not the event ${id}, which came ${ago(at, now)}: it was sent ${attempts} times, and the last answer was ${lastFailure}.`;
    return found('warning', 'poison', message);
  });
}

function waiting(deferred: DeferredStatus, poisoned: number, s: StatusSnapshot): Found | null {
  const { waiting, oldest, sends, firstLoss } = deferred;
  if (waiting === 0 || (sends && poisoned >= waiting)) return null;
  const wait = count(waiting, 'deferred delivery waits', 'deferred deliveries wait');
  if (!sends) return found('warning', 'deferred-unsent', `${wait}, and nothing is sent, since no route has redeliver.`);
  const came = oldest ?? s.now;
  const end =
    firstLoss === null ? '' : ` The first is lost at ${clock(firstLoss.at, s.now)}, if it is not taken before.`;
  const message = `${wait} to be sent again, the oldest since ${clock(came, s.now)}, for ${spanText(s.now - came)}.${end}`;
  if (s.now - came < LONG_MS) return found('ok', 'deferred-waits', message);
  return found('warning', 'deferred-long', `${message}${whatChanged(came, came, s)}`);
}
