// One turn of a deferred delivery that was leased from the store: it is checked by every rule and sent, and the store
// is told the result in one change, which has no effect if another process has leased the delivery by then. A sending
// is a request without a client: it goes upstream the same way as any other, with a permit that the rules have just
// minted, but no metric of requests or of the upstream counts it.
import { setTimeout as sleep } from 'node:timers/promises';
import { ignore } from '../base/errors.ts';
import { type DeliveryLease, isNotTaken } from '../core/fate.ts';
import type { Policy } from '../core/policy.ts';
import type { RedeliveryResult } from '../core/redelivery-record.ts';
import type { ForwardFailure, Requester, ResponseSink } from '../upstream/requester.ts';
import { UpstreamExchange } from '../upstream/upstream-exchange.ts';
import type { Needs } from './needs.ts';
import type { Note } from './note.ts';
import { pauseAfter, type SendingPace, type Went } from './pace.ts';
import { type Outgoing, openRecord } from './record.ts';
import type { StoreState } from './store-state-and-log.ts';
import type { DeferredStore, Leased, Setting } from './stores/store.ts';

/** Milliseconds until the next try if no upstream slot was free, or a twin was being delivered (`once`). */
const BUSY_PAUSE_MS = 5000;
const UNVERIFIED_PAUSE_MS = 60_000;
/** Milliseconds between two attempts to report a delivery's result to a store that fails. */
const RETRY_MS = 1000;
/** Milliseconds, longer than any window. A delivery without a window is still looked at this often. */
const LONGEST_PAUSE_MS = 31 * 24 * 3_600_000;
/** Milliseconds for which a sending waits for an upstream slot, with its body in memory. */
const SLOT_WAIT_MS = 10_000;

interface Parts {
  readonly needs: Needs;
  readonly storeState: StoreState;
  readonly pace: SendingPace;
  /** Aborted when the process stops. */
  readonly stopped: AbortSignal;
}

interface Sent {
  readonly went: Went;
  /** The response's status, or a word such as `reset`. */
  readonly failure: string;
}

/**
 * The window of a delivery, in milliseconds: `redeliver` of its route, else the longest of all routes. Null if no route
 * has `redeliver`, so that nothing is sent, and nothing expires.
 */
export function windowOf({ routes }: Policy, route: string | null): number | null {
  const windows = routes.all.flatMap(({ redeliver }) => redeliver ?? []);
  if (windows.length === 0) return null;
  return routes.all.find(({ path }) => path === route)?.redeliver ?? Math.max(...windows);
}

/** Takes one turn. Resolves once the store knows what happened to the delivery, or the process stops. */
export async function takeTurn(leased: Leased, parts: Parts): Promise<void> {
  const { needs, storeState, pace, stopped } = parts;
  const { note: stored, request } = openRecord(leased, needs);
  const end = stored.at + (windowOf(needs.policy(), stored.route) ?? Number.POSITIVE_INFINITY);
  const isOver = Date.now() >= end;
  const becomes = async (note: Note, next: Omit<Setting, 'note'> | null, ...results: RedeliveryResult[]) => {
    const untilEnd = isOver ? LONGEST_PAUSE_MS : Math.min(LONGEST_PAUSE_MS, Math.max(0, end - Date.now()));
    const setting = next && { note, state: next.state, pause: Math.min(next.pause, untilEnd) };
    if (!(await isSet(leased, setting, parts))) return;
    for (const result of results) storeState.result(result, leased.id, note);
  };
  if (isOver && (request === null || leased.state === 'stopped')) return becomes(stored, null, 'expired');
  if (request === null) {
    const results = leased.state === 'unverified' ? [] : (['unverified'] as const);
    return becomes(stored, { state: 'unverified', pause: UNVERIFIED_PAUSE_MS }, ...results);
  }
  // A stopped delivery is due at the end of its window, which the store's clock has reached, but ours has not.
  if (leased.state === 'stopped') return becomes(stored, { state: 'stopped', pause: LONGEST_PAUSE_MS });

  const { went, failure } = await attempt(request, needs, stopped);
  // A last try that finds no connection sets no pause: many windows may end at once, and a refused connection is cheap.
  if (!isOver || went !== 'no connection') pace.note(went, performance.now());
  const note = { ...stored, attempts: stored.attempts + 1, tried: Date.now(), failure };
  if (went === 'duplicate') return becomes(stored, null, 'delivered');
  if (went === 'taken') return becomes(note, null, 'delivered');
  if (went === 'not sent') return becomes(stored, { state: 'waiting', pause: BUSY_PAUSE_MS });
  if (isOver && went === 'refused') return becomes(note, null, 'client_error', 'expired');
  if (isOver) return becomes(note, null, 'expired');
  if (went === 'refused') return becomes(note, { state: 'stopped', pause: LONGEST_PAUSE_MS }, 'client_error');
  if (went === 'no connection') return becomes({ ...stored, failure }, { state: 'waiting', pause: 0 });
  return becomes(note, { state: 'waiting', pause: pauseAfter(note.attempts, Math.random()) });
}

/**
 * Reports the result to the store, again and again until it answers; meanwhile the lease is kept, so that nobody sends
 * the delivery again. False if an equal delivery has replaced this one, or another process has leased it.
 */
async function isSet({ lease }: Leased, setting: Setting | null, { storeState, stopped }: Parts): Promise<boolean> {
  const change = (store: DeferredStore) => store.set(lease, setting);
  let isChanged = await storeState.ask(change);
  let tries = 1;
  for (; isChanged === null && !stopped.aborted; tries++) {
    await sleep(RETRY_MS, undefined, { signal: stopped }).catch(ignore);
    isChanged = await storeState.ask(change);
  }
  storeState.changed();
  // A change whose answer was lost may have taken effect, and the next attempt then finds no such lease.
  return isChanged === true || (isChanged === false && tries > 1);
}

async function attempt(request: Outgoing, needs: Needs, stopped: AbortSignal): Promise<Sent> {
  const { route, head, body } = request;
  let lease: DeliveryLease | null = null;
  if (route.once !== null) {
    const event = { path: head.path, body, window: route.once, patience: 0 };
    const claim = await needs.claims().claim({ ...event, stop: stopped });
    if (claim.kind !== 'deliver') return { went: claim.kind === 'duplicate' ? claim.kind : 'not sent', failure: '' };
    lease = claim.lease;
  }
  const sent = await send(request, lease, needs);
  // An attempt cut off because the process stops does not count: it could have been the delivery's last.
  const isCut = stopped.aborted && sent.went !== 'taken' && sent.went !== 'refused';
  return isCut ? { went: 'not sent', failure: '' } : sent;
}

/** The sink for the response to a deferred delivery, which has no client: it discards everything. */
const TO_NOBODY: ResponseSink = {
  ...{ phase: 'begun', unsent: 0, flush: () => true, onSent: (listener) => listener() },
  ...{ continue: ignore, inform: ignore, begin: ignore, data: ignore, cut: ignore, end: ignore },
};

/** Sends the request, and resolves when the exchange is over; never rejects. `lease` is null without `once`. */
function send({ head, lines, permit }: Outgoing, lease: DeliveryLease | null, needs: Needs): Promise<Sent> {
  const { responseTimeout, idleTimeout } = needs.policy().settings;
  const { promise, resolve } = Promise.withResolvers<Sent>();
  let failure: ForwardFailure | null = null;
  const requester: Requester = {
    ...{ head, reply: TO_NOBODY, receiver: null, interims: 0 },
    ...{ upstreamMs: -1, upstreamStatus: 0, upstreamFailure: null, upstreamError: null },
    ...{ clientConnection: null, onDeparture: ignore },
  };
  new UpstreamExchange(permit, requester, needs.upstream, {
    ...{ lines, patience: SLOT_WAIT_MS, responseTimeout, idleTimeout, lease, budget: needs.budget },
    atHead: null,
    onFailure: (reported) => {
      failure = reported;
    },
    onEnd: () => resolve(sentBy(requester.upstreamStatus, failure)),
  }).start();
  return promise;
}

/** A response that breaks off is a failure. If we stopped reading one that took too long, its status decides. */
function sentBy(status: number, failure: ForwardFailure | null): Sent {
  const isGiven = failure === null || (failure.side === 'client' && failure.reason === 'client_closed');
  if (isGiven) {
    if (isNotTaken(status)) return { went: 'failed', failure: `${status}` };
    return { went: status >= 400 ? 'refused' : 'taken', failure: `${status}` };
  }
  if (failure.side !== 'upstream') return { went: 'not sent', failure: failure.reason };
  return { went: failure.cause === 'connect' ? 'no connection' : 'failed', failure: failure.cause };
}
