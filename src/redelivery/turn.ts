// One turn of a deferred delivery that was leased from the store: it is checked by every rule and sent, and the store
// is told the result in one change, which has no effect if another process has leased the delivery by then. A sending
// is a request without a client: it goes upstream the same way as any other, with a permit that the rules have just
// minted, but no metric of requests or of the upstream counts it.
import { ignore } from '../base/errors.ts';
import type { Policy } from '../core/admission.ts';
import { type DeliveryLease, mayBeTakenLater, type RedeliveryResult } from '../core/fate.ts';
import type { ForwardFailure, Requester, ResponseSink } from '../upstream/requester.ts';
import { UpstreamExchange } from '../upstream/upstream-exchange.ts';
import type { Needs } from './needs.ts';
import type { Note } from './note.ts';
import { pauseAfter, type SendingPace, type Went } from './pace.ts';
import { type Outgoing, openRecord } from './record.ts';
import type { StoreState } from './store-state-and-log.ts';
import type { Leased, Setting, WhyLost } from './stores/store.ts';

/** Milliseconds until the next try if no upstream slot was free, or a twin was being delivered (`once`). */
const BUSY_PAUSE_MS = 5000;
const UNVERIFIED_PAUSE_MS = 60_000;
/** Milliseconds until the next try to end a delivery whose line the log did not take. */
const UNTOLD_PAUSE_MS = 5000;
/** Milliseconds, longer than any window. A delivery without a window is still looked at this often. */
const LONGEST_PAUSE_MS = 31 * 24 * 3_600_000;
/** Milliseconds for which a sending waits for an upstream slot, with its body in memory. */
const SLOT_WAIT_MS = 10_000;

interface Parts {
  readonly needs: Needs;
  readonly storeState: StoreState;
  readonly pace: SendingPace;
}

/** Results that are counted once the store knows them; a loss is counted with its line. */
type Counted = Exclude<RedeliveryResult, 'lost'>;

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

/** A turn, as it begins. */
interface Turn {
  readonly leased: Leased;
  readonly note: Note;
  readonly windowEnd: number;
  readonly isOver: boolean;
  readonly parts: Parts;
}

/** Takes one turn. Resolves once the store knows what happened to the delivery, or the process stops. */
export async function takeTurn(leased: Leased, parts: Parts): Promise<void> {
  const { asked, state, record } = leased;
  const { note, request } = openRecord(leased, parts.needs);
  const { windowEnd, keptUntil } = timesOf(note, parts.needs);
  const now = Date.now();
  const turn = { leased, note, windowEnd, isOver: now >= windowEnd, parts };
  const isKept = state === 'stopped' || state === 'expired';
  if (record?.length === 0) return lose(turn, leased.note ?? note, 'record');
  if ((isKept || request === null) && !asked && now >= keptUntil) return lose(turn, note, 'keep');
  if (request === null) return rest(turn, now);
  // It is due at the end of the time for which it is kept, which the store's clock has reached, but ours has not.
  if (isKept && !asked) return stay(turn, note, state);
  if (state === 'unverified' && turn.isOver && !asked) return stay(turn, note, 'expired', 'expired');
  return send(turn, request);
}

/** An unverifiable delivery stays what it is, if a person or the app has to decide about it, else it is unverified. */
function rest(turn: Turn, now: number): Promise<void> {
  const { asked, state } = turn.leased;
  const note = { ...turn.note, tried: asked ? now : turn.note.tried };
  if (state === 'stopped' || state === 'expired') return stay(turn, note, state);
  const results = state === 'unverified' ? [] : (['unverified'] as const);
  return wait(turn, note, { state: 'unverified', pause: UNVERIFIED_PAUSE_MS, asked: false }, ...results);
}

async function send(turn: Turn, request: Outgoing): Promise<void> {
  const { leased, note: known, isOver, parts } = turn;
  const { needs, storeState, pace } = parts;
  const { asked, state } = leased;
  const { went, failure } = await attempt(request, needs, storeState.stopped.signal);
  // A last try that finds no connection sets no pause: many windows may end at once, and a refused connection is cheap.
  if (!isOver || went !== 'no connection') pace.note(went, performance.now());
  const isUntaken = went === 'failed' || went === 'no connection';
  const isPassed = isUntaken && storeState.isPassed(request.route.path, known);
  const passed = known.passed + Number(isPassed && went === 'failed');
  const tries = { attempts: known.attempts + 1, passed, tried: Date.now() };
  const note = { ...known, ...tries, failure };
  if (went === 'taken') storeState.took(request.route.path, known.at);
  if (went === 'taken' || went === 'duplicate') return become(turn, went === 'taken' ? note : known, null, 'delivered');
  if (went === 'not sent') return wait(turn, known, { state, pause: BUSY_PAUSE_MS, asked });
  if (went === 'refused') return stay(turn, note, state === 'expired' ? state : 'stopped', 'client_error');
  if (state === 'stopped' || state === 'expired') return stay(turn, note, state);
  if (isOver) return stay(turn, note, 'expired', 'expired');
  if (went === 'no connection') return wait(turn, { ...known, failure }, { state: 'waiting', pause: 0, asked: false });
  return wait(turn, note, { state: 'waiting', pause: pauseAfter(note.attempts, Math.random()), asked: false });
}

/** When the window of a delivery ends, and until when it is kept after that, in epoch milliseconds. */
function timesOf({ at, route, tried }: Note, { policy, store }: Needs) {
  const windowEnd = at + (windowOf(policy(), route) ?? Number.POSITIVE_INFINITY);
  return { windowEnd, keptUntil: Math.max(windowEnd, Math.min(tried, Date.now())) + store().keep };
}

/** Sends the delivery no more by itself, until the time for which it is kept is over. */
function stay(turn: Turn, note: Note, state: 'stopped' | 'expired', ...results: Counted[]): Promise<void> {
  const pause = Math.min(timesOf(note, turn.parts.needs).keptUntil - Date.now(), LONGEST_PAUSE_MS);
  return become(turn, note, { state, pause, asked: false }, ...results);
}

/** Waits, but not beyond the end of the window. */
function wait(turn: Turn, note: Note, next: Omit<Setting, 'note'>, ...results: Counted[]): Promise<void> {
  const pause = Math.min(next.pause, turn.isOver ? LONGEST_PAUSE_MS : turn.windowEnd - Date.now());
  return become(turn, note, { ...next, pause }, ...results);
}

/** Reports to the store what the delivery becomes, null for its end, and then counts the results. */
async function become(
  turn: Turn,
  note: Note,
  next: Omit<Setting, 'note'> | null,
  ...results: Counted[]
): Promise<void> {
  const { leased, parts } = turn;
  const setting = next && { ...next, note };
  if ((await parts.storeState.insist((store) => store.set(leased.lease, setting))) !== true) return;
  for (const result of results) parts.storeState.result(result, leased.id, note);
}

/** Removes a delivery that ended without a decision, once the log has taken its line. */
async function lose(turn: Turn, note: Note, why: WhyLost): Promise<void> {
  const { leased, parts } = turn;
  if (await parts.storeState.lose(leased, note, why)) return;
  return become(turn, note, { state: leased.state, pause: UNTOLD_PAUSE_MS, asked: leased.asked });
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
  const sent = await exchange(request, lease, needs);
  // An attempt cut off because the process stops does not count: it could have been the delivery's last.
  const isCut = stopped.aborted && sent.went !== 'taken' && sent.went !== 'refused';
  return isCut ? { went: 'not sent', failure: '' } : sent;
}

/** The sink for the response to a deferred delivery, which has no client: it discards everything. */
const TO_NOBODY: ResponseSink = {
  phase: 'begun',
  unsent: 0,
  flush: () => true,
  onSent: (listener) => listener(),
  continue: ignore,
  inform: ignore,
  begin: ignore,
  data: ignore,
  cut: ignore,
  end: ignore,
};

/** Sends the request, and resolves when the exchange is over; never rejects. `lease` is null without `once`. */
async function exchange({ head, lines, permit }: Outgoing, lease: DeliveryLease | null, needs: Needs): Promise<Sent> {
  const { responseTimeout, idleTimeout } = needs.policy().settings;
  const requester: Requester = {
    from: 'store',
    head,
    reply: TO_NOBODY,
    receiver: null,
    clientConnection: null,
    onDeparture: ignore,
    interims: 0,
    upstreamMs: -1,
    upstreamStatus: 0,
    upstreamFailure: null,
    upstreamError: null,
  };
  const times = { patience: SLOT_WAIT_MS, responseTimeout, idleTimeout };
  const options = { lines, ...times, lease, storable: false, budget: needs.budget };
  const sent = await new UpstreamExchange(permit, requester, needs.upstream, options).send();
  return sentBy(requester.upstreamStatus, sent.at === 'end' ? sent.failure : null);
}

/** A response that breaks off is a failure. If we stopped reading one that took too long, its status decides. */
function sentBy(status: number, failure: ForwardFailure | null): Sent {
  const isGiven = failure === null || (failure.side === 'client' && failure.reason === 'client_closed');
  if (isGiven) {
    if (mayBeTakenLater(status)) return { went: 'failed', failure: `${status}` };
    return { went: status >= 400 ? 'refused' : 'taken', failure: `${status}` };
  }
  if (failure.side !== 'upstream') return { went: 'not sent', failure: failure.reason };
  return { went: failure.cause === 'connect' ? 'no connection' : 'failed', failure: failure.cause };
}
