// The stores of `once` and of redelivery: whether they work, what they lost, and what waits there.
import { isDirectory } from '../base/default-places.ts';
import type { DeferredFacts, Facts } from '../facts.ts';
import { count, type Findings, finding, type Input, named, whatChanged } from './sentences.ts';
import { ago, clock, DAY, HOUR, QUARTER, spanText } from './times.ts';

/** How often the app must have failed to take an event after it had taken others, as it does now. */
const POISON_ATTEMPTS = 3;
const MOST_POISON = 3;

export function* storeFindings(input: Input): Findings {
  const { deferred, once, now } = input.facts;
  yield* ofOnce(once);
  if (deferred === null) return;
  yield* ofLosses(deferred, now);
  yield* ofStore(deferred, now);
  yield* ofKept(deferred, now);
  yield* ofWaiting(deferred, input);
}

function* ofOnce(once: Facts['once']): Findings {
  if (once === null) return;
  const { store, problem, evicts, onStoreFailure } = once;
  if (evicts !== null) {
    const message = `The store of delivered events (${store}) may forget them before their time: its maxmemory-policy is ${evicts}.`;
    yield finding('warning', 'store-evicts', message);
  }
  if (problem === null) return;
  const refuses = onStoreFailure === 'refuse';
  const effect = refuses ? 'routes with once answer 503' : 'events may be delivered twice';
  const message = `The store of delivered events (${store}) fails: ${problem}. Until it works again, ${effect}.`;
  yield finding(refuses ? 'failed' : 'warning', 'once-store', message);
}

const many = (amount: number) => count(amount, 'deferred delivery', 'deferred deliveries');
const manyWait = (amount: number) => count(amount, 'deferred delivery waits', 'deferred deliveries wait');

function* ofLosses({ losses, lostLately, store, aside }: DeferredFacts, now: number): Findings {
  for (const { name, bytes, at, events } of aside) {
    const amount = events === null ? 'a number that is not known' : `up to ${many(events)}`;
    const message = `A damaged file of the store lies in ${store}/deferred since ${ago(at, now)}: ${name} (${bytes} bytes), with ${amount}.`;
    yield finding('failed', 'store-damaged', message);
  }
  const last = losses[0];
  if (last === undefined || lostLately === 0 || now - last.at >= DAY) return;
  const why = WHY_LOST[last.why] ?? last.why;
  const known = losses.some(({ events }) => events === null) ? ' or more' : '';
  const message = `${many(lostLately)}${known} of the last day ended untaken, the last one ${ago(last.at, now)}: ${why}.`;
  yield finding('warning', 'deferred-lost', message);
}

const WHY_LOST: Readonly<Record<string, string>> = {
  keep: 'nobody decided about it in time',
  room: 'a newer one needed its room',
  record: 'the store lost it',
};

/** Each store has the remedy of its own kind. */
const idOf = (state: 'full' | 'slow' | 'failing', store: string) => {
  if (state !== 'failing') return `store-${state}` as const;
  return isDirectory(store) ? 'store-fails' : 'redis-fails';
};

function* ofStore(deferred: DeferredFacts, now: number): Findings {
  const { store, state, firstEnd, waiting, problem, turnedAwayAt, evicts } = deferred;
  const name = `The store of deferred deliveries (${store})`;
  if (firstEnd !== null && waiting > 0 && isNear(firstEnd, now)) {
    const message = `${manyWait(waiting)}, and the time of the first ${endOf(firstEnd.at, now)}: then it is sent no more unless you ask.`;
    yield finding('failed', 'deferred-ending', message);
  }
  if (evicts !== null) {
    const message = `${name} may drop what waits in it: its maxmemory-policy is ${evicts}.`;
    yield finding('warning', 'store-evicts', message);
  }
  if (state === 'unknown' || state === 'works') return;
  const away = turnedAwayAt === null ? '' : `; a delivery was last turned away ${ago(turnedAwayAt, now)}`;
  const fails = state === 'full' ? 'is full' : `${state === 'slow' ? 'is slow' : 'fails'}: ${problem}`;
  if (!deferred.sends) {
    const message = `${name} ${fails}. No route has redeliver, so no delivery needs it.`;
    return yield finding('note', idOf(state, store), message);
  }
  const until = 'Until it works again, what the app does not take may be lost.';
  const isLate = turnedAwayAt === null || now - turnedAwayAt >= QUARTER;
  yield finding(isLate ? 'warning' : 'failed', idOf(state, store), `${name} ${fails}${away}. ${until}`);
}

/** True in the last hour before an end, or in the last quarter of the delivery's time if that is shorter. */
const isNear = ({ at, came }: { at: number; came: number }, now: number) => at - now <= Math.min(HOUR, (at - came) / 4);

const endOf = (at: number, now: number) =>
  at <= now ? 'is over now' : `ends in ${spanText(at - now)}, at ${clock(at, now)}`;

/** Why a delivery cannot be verified, as part of a sentence; keyed by the word in `deferred list` and in the log. */
const WHYS: Readonly<Record<string, string>> = {
  name: 'of another redelivery.name',
  limits: 'larger than maxBody, limits.maxHeader or limits.bufferedBytes now allow',
  route_gone: 'whose route takes them no longer',
  altered: 'altered in the store',
  unreadable: 'unreadable',
};
const MOST_WHYS = 3;

function* ofKept({ unverified, whys, stopped, expired, firstUnverified }: DeferredFacts, now: number): Findings {
  const causes = new Map<string, number>();
  for (const { why, secret, deliveries } of whys) {
    const gone = `whose secret ${secret} is gone or has another value`;
    const text = why === 'secret_gone' ? gone : (WHYS[why] ?? `refused now (${why})`);
    causes.set(text, deliveries + (causes.get(text) ?? 0));
  }
  const texts = [...causes].slice(0, MOST_WHYS).map(([text, deliveries]) => `${deliveries} ${text}`);
  const others = causes.size > MOST_WHYS ? ', and others' : '';
  const isEnding = firstUnverified !== null && isNear(firstUnverified, now);
  const ends = isEnding ? ` The time of the first ${endOf(firstUnverified.at, now)}.` : '';
  const odd = `${many(unverified)} cannot be verified, so not sent: ${texts.join(', ')}${others}.${ends}`;
  if (unverified > 0) yield finding(isEnding ? 'failed' : 'warning', 'deferred-unverified', odd);
  const late = `The app did not take ${many(expired)} in time: sent no more by itself, and kept until you deliver or drop it.`;
  if (expired > 0) yield finding('failed', 'deferred-expired', late);
  const they = stopped === 1 ? 'it is' : 'they are';
  const refused = `The app refused ${many(stopped)} (4xx), so ${they} sent again only when you ask.`;
  if (stopped > 0) yield finding('warning', 'deferred-stopped', refused);
}

function* ofWaiting(deferred: DeferredFacts, { facts }: Input): Findings {
  const { deliveries, waiting, oldest, sends, firstEnd } = deferred;
  const { now } = facts;
  // Events that the app fails to take again and again, while it takes others now.
  const poison = deliveries.flatMap(({ id, state, route, at, attempts, passed, appTakes, lastFailure }) => {
    if (state !== 'waiting' || passed < POISON_ATTEMPTS || !appTakes || route === null) return [];
    const message = `The app takes other deliveries to ${named(route, facts)}, and not the event ${id}, which came ${ago(at, now)}: it was sent ${attempts} times, and the last answer was ${lastFailure}.`;
    return finding('warning', 'poison', message, route);
  });
  yield* poison.slice(0, MOST_POISON);
  if (waiting === 0 || (sends && Math.min(poison.length, MOST_POISON) >= waiting)) return;
  const wait = manyWait(waiting);
  if (!sends)
    return yield finding('warning', 'deferred-unsent', `${wait}, and nothing is sent, since no route has redeliver.`);
  const came = oldest ?? now;
  const end = firstEnd === null ? '' : ` The time of the first ends at ${clock(firstEnd.at, now)}.`;
  const message = `${wait} to be sent again, the oldest since ${clock(came, now)}, for ${spanText(now - came)}.${end}${whatChanged(came, facts)}`;
  yield finding('warning', 'deferred-waits', message);
}
