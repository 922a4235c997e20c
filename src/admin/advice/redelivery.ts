// Advice on deferred deliveries: a store that fails, past and imminent losses, deliveries that are not sent again
// automatically, and long waits.
import type { DeferredStatus, StatusSnapshot } from '../snapshot.ts';
import { ago, clock, DAY, HOUR, MINUTE, spanText } from './times.ts';
import { count, type Found, found, named, whatChanged } from './words.ts';

/** Milliseconds after which a wait is a warning, as in the alert, and a turned-away delivery is no longer recent. */
const LONG_MS = 15 * MINUTE;
/** How often the app must have failed to take an event since it took others that came no earlier. */
const POISON_ATTEMPTS = 3;
const MOST_POISON = 3;

export function* redeliveryAdvice(s: StatusSnapshot): Generator<Found> {
  const { deferred, lost, now } = s;
  if (lost.dropped > 0) yield found('warning', 'deferred-lost', `${many(lost.dropped)} of the last day: dropped.`);
  if (deferred === null) return;
  yield* ofLosses(deferred, now);
  yield* ofStore(deferred, now);
  yield* ofKept(deferred);
  yield* ofWaiting(deferred, s);
}

const many = (amount: number) => count(amount, 'deferred delivery', 'deferred deliveries');
const manyWait = (amount: number) => count(amount, 'deferred delivery waits', 'deferred deliveries wait');

function* ofLosses({ losses, lostLately, store, aside }: DeferredStatus, now: number): Generator<Found> {
  for (const { name, bytes, at, events } of aside) {
    const amount = events === null ? 'a number that is not known' : `up to ${many(events)}`;
    const message = `A damaged file of the store lies in ${store}/deferred since ${ago(at, now)}: ${name} (${bytes} bytes), with ${amount}.`;
    yield found('failed', 'store-damaged', message);
  }
  const last = losses[0];
  if (last === undefined || lostLately === 0 || now - last.at >= DAY) return;
  const why = WHY_LOST[last.why] ?? last.why;
  const known = losses.some(({ events }) => events === null) ? ' or more' : '';
  const message = `${many(lostLately)}${known} of the last day ended untaken, the last one ${ago(last.at, now)}: ${why}.`;
  yield found('warning', 'deferred-lost', message);
}

const WHY_LOST: Readonly<Record<string, string>> = {
  keep: 'nobody decided about it in time',
  room: 'a newer one needed its room',
  record: 'the store lost it',
};

const STORE = { full: 'store-full', slow: 'store-slow', failing: 'store-fails' } as const;

function* ofStore(deferred: DeferredStatus, now: number): Generator<Found> {
  const { store, state, firstEnd, waiting, problem, turnedAwayAt, evicts } = deferred;
  const name = `The store of deferred deliveries (${store})`;
  // `failed` in the last hour of its time, or in the last quarter if that is shorter.
  if (firstEnd !== null && waiting > 0 && firstEnd.at - now <= Math.min(HOUR, (firstEnd.at - firstEnd.came) / 4)) {
    const { at } = firstEnd;
    const when = at <= now ? 'is over now' : `ends in ${spanText(at - now)}, at ${clock(at, now)}`;
    const message = `${manyWait(waiting)}, and the time of the first ${when}: then it is sent no more unless you ask.`;
    yield found('failed', 'deferred-ending', message);
  }
  if (evicts !== null) {
    const message = `${name} may drop what waits in it: its maxmemory-policy is ${evicts}.`;
    yield found('warning', 'store-evicts', message);
  }
  if (state === 'unknown' || state === 'works') return;
  const away = turnedAwayAt === null ? '' : `; a delivery was last turned away ${ago(turnedAwayAt, now)}`;
  const fails = state === 'full' ? 'is full' : `${state === 'slow' ? 'is slow' : 'fails'}: ${problem}`;
  const until = 'Until it works again, what the app does not take may be lost.';
  const isLate = turnedAwayAt === null || now - turnedAwayAt >= LONG_MS;
  yield found(isLate ? 'warning' : 'failed', STORE[state], `${name} ${fails}${away}. ${until}`);
}

/** Why a delivery cannot be verified, as part of a sentence; keyed by the word in `deferred list` and in the log. */
const WHYS: Readonly<Record<string, string>> = {
  name: 'of another redelivery.name',
  limits: 'larger than maxBody, limits.maxHeader or limits.bufferedBytes now allow',
  route_gone: 'whose route takes them no longer',
  altered: 'altered in the store',
  unreadable: 'unreadable',
};
const MOST_WHYS = 3;

function* ofKept({ unverified, whys, stopped, expired }: DeferredStatus): Generator<Found> {
  const causes = new Map<string, number>();
  for (const { why, secret, deliveries } of whys) {
    const gone = `whose secret ${secret} is gone or has another value`;
    const text = why === 'secret_gone' ? gone : (WHYS[why] ?? `refused now (${why})`);
    causes.set(text, deliveries + (causes.get(text) ?? 0));
  }
  const texts = [...causes].slice(0, MOST_WHYS).map(([text, deliveries]) => `${deliveries} ${text}`);
  const others = causes.size > MOST_WHYS ? ', and others' : '';
  const odd = `${many(unverified)} cannot be verified, so not sent: ${texts.join(', ')}${others}.`;
  if (unverified > 0) yield found('warning', 'deferred-unverified', odd);
  const late = `The app did not take ${many(expired)} in time: sent no more by itself, and kept until you deliver or drop it.`;
  if (expired > 0) yield found('failed', 'deferred-expired', late);
  const they = stopped === 1 ? 'it is' : 'they are';
  const refused = `The app refused ${many(stopped)} (4xx), so ${they} sent again only when you ask.`;
  if (stopped > 0) yield found('warning', 'deferred-stopped', refused);
}

function* ofWaiting(deferred: DeferredStatus, s: StatusSnapshot): Generator<Found> {
  const { deliveries, waiting, oldest, sends, firstEnd } = deferred;
  const { routes, now } = s;
  // Events that the app fails to take again and again, while it takes others.
  const poison = deliveries.flatMap(({ id, state, route: path, at, attempts, passed, lastFailure }) => {
    const route = routes.find((each) => each.path === path);
    if (state !== 'waiting' || passed < POISON_ATTEMPTS || route === undefined) return [];
    return `The app takes other deliveries to ${named(route)}, and not the event ${id}, which came ${ago(at, now)}: it was sent ${attempts} times, and the last answer was ${lastFailure}.`;
  });
  for (const message of poison.slice(0, MOST_POISON)) yield found('warning', 'poison', message);
  if (waiting === 0 || (sends && Math.min(poison.length, MOST_POISON) >= waiting)) return;
  const wait = manyWait(waiting);
  if (!sends)
    return yield found('warning', 'deferred-unsent', `${wait}, and nothing is sent, since no route has redeliver.`);
  const came = oldest ?? now;
  const end = firstEnd === null ? '' : ` The time of the first ends at ${clock(firstEnd.at, now)}.`;
  const message = `${wait} to be sent again, the oldest since ${clock(came, now)}, for ${spanText(now - came)}.${end}`;
  if (now - came < LONG_MS) yield found('ok', 'deferred-waits', message);
  else yield found('warning', 'deferred-long', `${message}${whatChanged(came, came, s)}`);
}
