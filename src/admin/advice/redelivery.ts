// Advice on deferred deliveries: a store that fails, past and imminent losses, deliveries that are not sent again
// automatically, and long waits.
import type { DeferredStatus, StatusSnapshot } from '../snapshot.ts';
import { ago, clock, DAY, HOUR, MINUTE, spanText } from './times.ts';
import { count, type Found, found, named, whatChanged } from './words.ts';

/** Milliseconds after which a wait is a warning, as in the alert, and a turned-away delivery is no longer recent. */
const LONG_MS = 15 * MINUTE;
/** The number of attempts after which an event is suspect if the app takes others. */
const POISON_ATTEMPTS = 3;
const MOST_POISON = 3;

export function* redeliveryAdvice(s: StatusSnapshot): Generator<Found> {
  const { deferred, lost, now } = s;
  const last = s.undelivered.find(({ fate }) => fate === 'expired');
  const when = last === undefined ? '' : `, the last one ${ago(last.at, now)}`;
  const kinds = lost.expired > 0 ? [`${lost.expired} not taken in time${when}`] : [];
  if (lost.dropped > 0) kinds.push(`${lost.dropped} dropped`);
  const untaken = `${many(lost.expired + lost.dropped)} of the last day ended untaken: ${kinds.join(', ')}.`;
  if (kinds.length > 0) yield found('warning', 'deferred-lost', untaken);
  if (deferred === null) return;
  yield* ofStore(deferred, now);
  yield* ofUnsent(deferred);
  yield* ofWaiting(deferred, s);
}

const many = (amount: number) => count(amount, 'deferred delivery', 'deferred deliveries');
const manyWait = (amount: number) => count(amount, 'deferred delivery waits', 'deferred deliveries wait');

const STORE = { full: 'store-full', slow: 'store-slow', failing: 'store-fails', recovered: 'store-fails' } as const;

function* ofStore(deferred: DeferredStatus, now: number): Generator<Found> {
  const { store, storeLost, firstLoss, waiting, problem, problemKind, turnedAwayAt } = deferred;
  const name = `The store of deferred deliveries (${store})`;
  if (storeLost !== null && now - storeLost.at < DAY) {
    const message = `${name} lost what waited in it ${ago(storeLost.at, now)}: ${storeLost.problem}.`;
    yield found('warning', 'deferred-lost', message);
  }
  // `failed` in the last hour before the loss, or in the last quarter of the delivery's time if that is shorter.
  if (firstLoss !== null && waiting > 0 && firstLoss.at - now <= Math.min(HOUR, (firstLoss.at - firstLoss.came) / 4)) {
    const { at } = firstLoss;
    const when = at <= now ? 'is over now' : `ends in ${spanText(at - now)}, at ${clock(at, now)}`;
    const message = `${manyWait(waiting)}, and the time of the first ${when}: then it is lost.`;
    yield found('failed', 'deferred-ending', message);
  }
  if (problem === null) return;
  const away = turnedAwayAt === null ? '' : `; a delivery was last turned away ${ago(turnedAwayAt, now)}`;
  const worksAgain = problemKind === 'recovered';
  const fails = problemKind === 'full' ? 'is full' : `${worksAgain ? 'failed' : 'fails'}: ${problem}`;
  const until = worksAgain
    ? 'It works again; no delivery has needed it since.'
    : 'Until it works again, what the app does not take may be lost.';
  const isLate = turnedAwayAt === null || now - turnedAwayAt >= LONG_MS;
  yield found(isLate ? 'warning' : 'failed', STORE[problemKind], `${name} ${fails}${away}. ${until}`);
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

function* ofUnsent({ unverified, whys, stopped }: DeferredStatus): Generator<Found> {
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
  const they = stopped === 1 ? 'it is' : 'they are';
  const refused = `The app refused ${many(stopped)} (4xx), so ${they} sent again only when you ask.`;
  if (stopped > 0) yield found('warning', 'deferred-stopped', refused);
}

function* ofWaiting(deferred: DeferredStatus, s: StatusSnapshot): Generator<Found> {
  const { deliveries, waiting, oldest, sends, firstLoss } = deferred;
  const { routes, now } = s;
  // Events that the app fails to take again and again, while it takes others.
  const poison = deliveries.flatMap(({ id, state, route: path, at, attempts, lastFailure }) => {
    const route = routes.find((each) => each.path === path);
    const isAnswered = state === 'waiting' && lastFailure !== 'connect' && attempts >= POISON_ATTEMPTS;
    if (!isAnswered || route === undefined || (route.traffic.lastTaken ?? 0) <= at) return [];
    return `The app takes other deliveries to ${named(route)}, and not the event ${id}, which came ${ago(at, now)}: it was sent ${attempts} times, and the last answer was ${lastFailure}.`;
  });
  for (const message of poison.slice(0, MOST_POISON)) yield found('warning', 'poison', message);
  if (waiting === 0 || (sends && Math.min(poison.length, MOST_POISON) >= waiting)) return;
  const wait = manyWait(waiting);
  if (!sends)
    return yield found('warning', 'deferred-unsent', `${wait}, and nothing is sent, since no route has redeliver.`);
  const came = oldest ?? now;
  const end = firstLoss === null ? '' : ` The first is lost at ${clock(firstLoss.at, now)}, if it is not taken before.`;
  const message = `${wait} to be sent again, the oldest since ${clock(came, now)}, for ${spanText(now - came)}.${end}`;
  if (now - came < LONG_MS) yield found('ok', 'deferred-waits', message);
  else yield found('warning', 'deferred-long', `${message}${whatChanged(came, came, s)}`);
}
