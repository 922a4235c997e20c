// The stores of `once` and of redelivery: whether they work, what they lost, and what waits there.
import { isDirectory } from '../base/default-places.ts';
import { POISON_ATTEMPTS } from '../core/fate-by-status.ts';
import type { DeferredFacts, Facts } from '../facts.ts';
import { type Diagnosis, type Finding, type Findings, finding, type State } from './diagnoses.ts';
import { count, type Input, named, whatChanged } from './sentences.ts';
import { ago, clock, DAY, MINUTE, nearly, QUARTER, SECOND, spanText } from './times.ts';

const MOST_POISON = 3;
const MOST_WHYS = 3;
/** The fate of a delivery that was turned away is known once the store has answered, which takes it ten seconds at most. */
const LATEST = 11 * SECOND;
const FEW = 3;
const TWICE = 'If it matters that the app got an event twice, look for these there.';
const NEARLY_FULL = 0.9; // of `redelivery.maxBytes`

export function* storeFindings(input: Input): Findings {
  const { deferred, once, now } = input.facts;
  if (once !== null) yield* ofOnce(once, input);
  if (deferred === null) return;
  const { evicts, lastSeen: at } = deferred;
  if (evicts !== null) yield evicting(`${nameOf(deferred)} may drop what waits in it`, evicts);
  yield* ofLosses(deferred, now);
  yield ofStore(deferred, input);
  const [begin, end] =
    at === null ? ['', ''] : [`When last counted, ${ago(at, now)}: `, ' What is there now is not known.'];
  for (const one of [...ofKept(deferred, now), ...ofWaiting(deferred, input)])
    yield { ...one, message: `${begin}${one.message}${end}` };
}

function* ofOnce(
  { store, problem, evicts, unclaimed, onStoreFailure, isUnnamed }: NonNullable<Facts['once']>,
  input: Input,
): Findings {
  const { lastTaken, routes } = input.ledger;
  const name = `The store of delivered events (${store})`;
  if (evicts !== null) yield evicting(`${name} may forget them before their time`, evicts);
  const refuses = onStoreFailure === 'refuse';
  const effect = refuses ? 'routes with once answer 503' : 'events may be delivered twice';
  const isRecent = unclaimed !== null && input.facts.now - unclaimed.at < QUARTER;
  const without = isRecent
    ? ` Since the start ${count(unclaimed.count, 'delivery', 'deliveries')} went to the app without it, the last one ${ago(unclaimed.at, input.facts.now)}.`
    : '';
  const fails = `${name} fails: ${problem}. Until it works again, ${effect}.${without}`;
  if (problem !== null) yield finding(refuses ? 'failed' : 'warning', 'once-store', fails);
  else if (isRecent) yield { ...finding('warning', 'once-store', `${name} works again.${without}`), remedy: TWICE };
  const duplicates = routes.reduce((sum, [, { fates }]) => sum + fates.duplicate, 0);
  if (store === 'memory' || !Number.isNaN(lastTaken) || duplicates < FEW) return;
  // Other replicas have a name in common, too: then it is no more than a note.
  const why = isUnnamed ? ', which has no name' : ' and its name, or another replica took them';
  const message = `${duplicates} deliveries were answered as duplicates, and the app has taken none since the start: another app may share the store of delivered events${why}.`;
  const remedy = 'Give each app an once.name of its own.';
  yield { ...finding(isUnnamed ? 'warning' : 'note', 'once-store', message), remedy };
}

const evicting = (what: string, policy: string): Finding =>
  finding('warning', 'store-evicts', `${what}: its maxmemory-policy is ${policy}.`);

const many = (amount: number) => count(amount, 'deferred delivery', 'deferred deliveries');
const manyWait = (amount: number) => count(amount, 'deferred delivery waits', 'deferred deliveries wait');

const nameOf = ({ store }: DeferredFacts) => `The store of deferred deliveries (${store})`;

function* ofLosses({ losses, lostLately, store, aside }: DeferredFacts, now: number): Findings {
  for (const { name, bytes, at, events } of aside) {
    const amount = events === null ? 'a number that is not known' : events === 0 ? 'none' : `up to ${events}`;
    const message = `A damaged file of the store lies in ${store}/deferred since ${ago(at, now)}: ${name} (${bytes} bytes). Deferred deliveries in it: ${amount}.`;
    yield finding('failed', 'store-damaged', message);
  }
  const recent = losses.filter(({ at }) => now - at < DAY);
  const [last] = recent;
  if (last === undefined || !lostLately) return;
  const unknown = recent.filter(({ events }) => events === null).length; // each counts as one in `lostLately`
  const whys = [...new Set(recent.map(({ why }) => WHY_LOST[why] ?? why))].join('; ');
  const numbered = lostLately - unknown;
  const number = numbered === 0 ? 'An unknown number of deferred deliveries' : many(numbered);
  const others = numbered === 0 || unknown === 0 ? '' : ', and others whose number is not known,';
  const message = `${number}${others} of the last day left the store untaken, the last one ${ago(last.at, now)}: ${whys}.`;
  yield finding('warning', 'deferred-lost', message);
}

const WHY_LOST: Readonly<Record<string, string>> = {
  keep: 'nobody decided within redelivery.keep (a longer one leaves more time)',
  room: 'newer ones needed the room (raise redelivery.maxBytes, or decide sooner)',
  record: 'the store lost what it held (look at its disk, or at the Redis)',
};

function ofStore(deferred: DeferredFacts, input: Input): Finding | null {
  const { store, state, turnedAway, sends, filling } = deferred;
  const { now } = input.facts;
  const fails = isDirectory(store) ? 'store-fails' : 'redis-fails';
  const ids = { full: 'store-full', slow: 'store-slow', failing: fails } as const;
  const isRecent = turnedAway !== null && now - turnedAway.at < QUARTER;
  const away = turnedAway === null ? '' : `; a delivery was last turned away ${ago(turnedAway.at, now)}`;
  if (state === 'unknown') return null;
  if (state !== 'works') return failing(ids[state], isRecent ? 'failed' : 'warning', away, deferred);
  const again = isRecent && sends && isLost(turnedAway.at, input) ? turnedAway : null;
  // One that comes and goes stays failed. What is over after one time is told by its losses, once it has lasted.
  const isFailed = again !== null && (now - again.at < MINUTE || again.at - again.before < QUARTER);
  const isFull = again?.kind === 'full';
  const full = `${nameOf(deferred)} is nearly full. What it has no room for may be lost.`;
  if (sends && (filling ?? 0) >= NEARLY_FULL && (isFull || !isFailed))
    return finding(isFull ? 'failed' : 'warning', 'store-full', full);
  if (again === null) return null;
  const message = `${nameOf(deferred)} works again${away}: ${again.why}. What the app did not take then may be lost.`;
  return { ...finding(isFailed ? 'failed' : 'note', ids[again.kind], message), remedy: 'Find what was lost.' };
}

function failing(id: Diagnosis, state: State, away: string, deferred: DeferredFacts): Finding {
  const how = { full: 'is full', slow: `is slow: ${deferred.problem}` }[deferred.state as string];
  const fails = `${nameOf(deferred)} ${how ?? `fails: ${deferred.problem}`}`;
  const unseen = deferred.waiting === null ? ' What is in it is not known, and not sent.' : '';
  return deferred.sends
    ? finding(state, id, `${fails}${away}. Until it works again, what the app does not take may be lost.${unseen}`)
    : finding('note', id, `${fails}. No route has redeliver, so no delivery needs it.${unseen}`);
}

/** True if a delivery whose last try ended when the store turned one away for the last time, or before, may still be lost. */
function isLost(away: number, { ledger, facts, now }: Input): boolean {
  const last = now - (facts.now - away) + LATEST;
  const untaken = facts.routes.flatMap(({ path, redeliver }) =>
    redeliver === null ? [] : [...ledger.of(path).untaken.values()],
  );
  return untaken.some(({ loss, at }) => loss !== null && at <= last && at > now - QUARTER);
}

const isNear = (end: { at: number; came: number }, now: number) => end.at - now <= nearly(end);

const endOf = (at: number, now: number) =>
  at <= now ? 'is over now' : `ends in ${spanText(at - now)}, at ${clock(at, now)}`;

/** Why a delivery could not be verified, as part of a sentence: what this process only looked up may be past by now. */
function whyUnverified({ why, secret, route }: DeferredFacts['whys'][number]): string {
  if (why === 'secret_gone') return `whose secret ${secret} is gone, has another value, or was not valid then`;
  if (why === 'secret_unlisted') return `whose secret ${secret} is not among the secrets of ${route}`;
  if (why === 'elsewhere') return `whose secret ${secret} was lacking, and is here now`;
  if (why === 'route_gone') return `whose route ${route} is gone, or took them no longer`;
  if (why === 'name') return 'of another redelivery.name';
  if (why === 'limits') return 'larger than maxBody, limits.maxHeader or limits.bufferedBytes allowed';
  return why === 'altered' ? 'altered in the store' : why === 'unreadable' ? why : `refused (${why})`;
}

function* ofKept(deferred: DeferredFacts, now: number): Iterable<Finding> {
  const { store, unverified, whys, stopped, expired, firstEnd, waiting, firstUnverified } = deferred;
  if (firstEnd !== null && waiting && isNear(firstEnd, now)) {
    const message = `${manyWait(waiting)}, and the time of the first ${endOf(firstEnd.at, now)}: then it is sent no more unless you ask.`;
    yield finding('failed', 'deferred-ending', message);
  }
  if (unverified) {
    const texts = [...Map.groupBy(whys, whyUnverified)].map(
      ([text, all]) => `${all.reduce((sum, one) => sum + one.deliveries, 0)} ${text}`,
    );
    const by = isDirectory(store) ? '' : ', perhaps by another proxy';
    const others = texts.length > MOST_WHYS ? ', and others' : '';
    const isEnding = firstUnverified !== null && isNear(firstUnverified, now);
    const ends = isEnding ? ` The time of the first ${endOf(firstUnverified.at, now)}.` : '';
    const message = `${many(unverified)} could not be verified at the last look${by}, so not sent: ${texts.slice(0, MOST_WHYS).join(', ')}${others}.${ends}`;
    yield finding(isEnding ? 'failed' : 'warning', 'deferred-unverified', message);
  }
  const late = `The app did not take ${many(expired ?? 0)} in time: sent no more by itself. Deliver or drop: ${lossOf('expired', deferred, now)}.`;
  if (expired) yield finding('failed', 'deferred-expired', late);
  const refused = `The app refused ${many(stopped ?? 0)} (4xx), so sent again only when you ask; ${lossOf('stopped', deferred, now)}.`;
  if (stopped) yield finding('warning', 'deferred-stopped', refused);
}

/** When the first of those that are kept is lost: far away if it is not among the next. */
function lossOf(kept: 'expired' | 'stopped', { deliveries }: DeferredFacts, now: number): string {
  const end = deliveries.find(({ state, keptUntil }) => state === kept && keptUntil !== null)?.keptUntil ?? null;
  if (end === null) return 'they are lost when redelivery.keep is over';
  return `the first is lost in ${spanText(end - now)}, at ${clock(end, now)}`;
}

function* ofWaiting(deferred: DeferredFacts, input: Input): Iterable<Finding> {
  const { deliveries, waiting, waits, oldest, sends, firstEnd } = deferred;
  const { now } = input.facts;
  // Events that the app fails to take again and again, while it takes others now.
  const isPoison = ({ state, passed, route }: (typeof deliveries)[number]) =>
    state === 'waiting' && passed >= POISON_ATTEMPTS && route !== null && input.ledger.of(route).takes(input.now);
  const poison = deliveries.filter(isPoison).slice(0, MOST_POISON);
  for (const { id, route, at, attempts, lastFailure } of poison) {
    const message = `The app takes other deliveries to ${named(route ?? '', input.facts)}, and not the event ${id}, which came ${ago(at ?? now, now)}: it was sent ${attempts} times, and the last answer was ${lastFailure}.`;
    yield finding('warning', 'poison', message, route);
  }
  if (!waiting || (sends && poison.length >= waiting)) return;
  const unsent = `${manyWait(waiting)}, and nothing is sent, since no route has redeliver.`;
  if (!sends) return yield finding('warning', 'deferred-unsent', unsent);
  const came = oldest ?? now;
  const end = firstEnd === null ? '' : ` The time of the first ends at ${clock(firstEnd.at, now)}.`;
  const where = waits.length > 1 ? ` on ${waits.length} routes` : '';
  const message = `${manyWait(waiting)} to be sent again${where}, the oldest since ${clock(came, now)}, for ${spanText(now - came)}.${end}${whatChanged(came, input.facts)}`;
  yield { ...finding('warning', 'deferred-waits', message), routes: waits.map(({ route }) => route) };
}
