// What becomes of a leased event that is due. A person who asks has it sent in any state, if the rules accept it; else:
//   waiting               sent, after its window for the last time; unverified if the rules do not accept it
//   unverified            sent once the rules accept it again, or expired if its window is over; else kept, then lost
//   stopped, expired      kept for a person, then lost
import type { Policy } from '../core/admission.ts';
import type { DeferredState, RedeliveryResult } from '../core/fate-by-status.ts';
import type { Note } from './note.ts';
import { pauseAfter, type SendingPace } from './pace.ts';
import type { Needs } from './process-parts.ts';
import { admitRecord, type Deferrable } from './record.ts';
import { send } from './sending.ts';
import { BUSY_PAUSE_MS, type StoreState } from './store-state.ts';
import type { Change, Leased } from './stores/store.ts';

const UNVERIFIED_PAUSE_MS = 60_000;
/** Milliseconds, longer than any window. An event without a window is still looked at this often. */
const LONGEST_PAUSE_MS = 31 * 24 * 3_600_000;

interface Parts {
  readonly needs: Needs;
  readonly storeState: StoreState;
  readonly pace: SendingPace;
  /** Called once the sending is over, whatever came of it, before the store is told. */
  readonly onSent: () => void;
}

type Counted = Exclude<RedeliveryResult, 'lost'>;

/**
 * The window of an event, in milliseconds: `redeliver` of its route, else the longest of all routes. Null if no route
 * has `redeliver`, so that nothing is sent, and nothing expires.
 */
export function windowOf({ routes }: Policy, route: string | null): number | null {
  const windows = routes.all.flatMap(({ redeliver }) => redeliver ?? []);
  if (windows.length === 0) return null;
  return routes.all.find(({ path }) => path === route)?.redeliver ?? Math.max(...windows);
}

export class LeasedEvent {
  readonly #leased: Leased;
  readonly #parts: Parts;
  readonly #began = Date.now();

  constructor(leased: Leased, parts: Parts) {
    this.#leased = leased;
    this.#parts = parts;
  }

  /** Resolves once the store knows what became of the event, or the process stops. */
  async handle(): Promise<unknown> {
    const { asked, state, record } = this.#leased;
    const { needs, storeState } = this.#parts;
    if (record?.length === 0) return storeState.lose(this.#leased, 'record'); // the store has lost its bytes
    const { note, request } = admitRecord(this.#leased, needs);
    const isKept = state === 'stopped' || state === 'expired';
    if (request !== null && (asked || !isKept)) {
      const isExpired = state === 'unverified' && this.#isOver(note) && !asked;
      return isExpired ? this.#become(note, 'expired', null, 'expired') : this.#send(request, note);
    }
    if (!asked && this.#began >= this.#keptUntil(note)) return storeState.lose({ ...this.#leased, note }, 'keep');
    const keptNote = asked ? { ...note, tried: this.#began } : note; // so it is kept anew
    if (isKept) return this.#become(keptNote, state); // not accepted, or due too early (clocks differ, given back)
    const results = state === 'unverified' ? [] : (['unverified'] as const);
    return this.#become(keptNote, 'unverified', UNVERIFIED_PAUSE_MS, ...results);
  }

  async #send(request: Deferrable, before: Note): Promise<unknown> {
    const { needs, storeState, pace } = this.#parts;
    const { state } = this.#leased;
    const isOver = this.#isOver(before);
    const { passed } = before;
    const { went, outcome: failure } = await send({ request, passed }, needs, storeState.shutdown.signal);
    // A last try that finds no connection sets no pause: many windows may end at once, and a refused connect is cheap.
    if (!isOver || went !== 'no connection') pace.adapt(went, performance.now());
    this.#parts.onSent();
    const { path: route } = request.route;
    const isPassed = went === 'failed' && storeState.lastTaken.hasPassed(route, before);
    const tries = { attempts: before.attempts + 1, passed: passed + Number(isPassed), tried: Date.now() };
    const note = { ...before, ...tries, failure };
    if (went === 'taken') storeState.lastTaken.took(route, before.came);
    if (went === 'taken' || went === 'duplicate') return this.#tell('taken', note, 'delivered');
    if (went === 'not sent') return storeState.endLease(this.#leased, { pause: BUSY_PAUSE_MS });
    if (went === 'refused') return this.#become(note, state === 'expired' ? state : 'stopped', null, 'client_error');
    if (state === 'stopped' || state === 'expired') return this.#become(note, state);
    if (isOver) return this.#become(note, 'expired', null, 'expired');
    // Without a connection the pause is that of the pace (SendingPace.adapt), and no attempt counts.
    if (went === 'no connection') return this.#become({ ...before, failure }, 'waiting', 0);
    return this.#become(note, 'waiting', pauseAfter(note.attempts, Math.random()));
  }

  #windowEnd({ came, route }: Note): number {
    return came + (windowOf(this.#parts.needs.policy(), route) ?? Number.POSITIVE_INFINITY);
  }

  #isOver(note: Note): boolean {
    return this.#began >= this.#windowEnd(note);
  }

  /** Until when the event is kept after its window, or after the last time that a person asked for it. */
  #keptUntil(note: Note): number {
    return Math.max(this.#windowEnd(note), Math.min(note.tried, Date.now())) + this.#parts.needs.storeSettings().keep;
  }

  /**
   * Without a pause the event is due when the time for which it is kept is over. What may be sent again waits no longer
   * than until the end of its window.
   */
  #become(note: Note, state: DeferredState, pause: number | null = null, ...results: Counted[]): Promise<void> {
    const now = Date.now();
    const inWindow = state !== 'stopped' && state !== 'expired' && !this.#isOver(note);
    const longest = inWindow ? Math.min(this.#windowEnd(note) - now, LONGEST_PAUSE_MS) : LONGEST_PAUSE_MS;
    const wait = Math.min(pause ?? this.#keptUntil(note) - now, longest);
    return this.#tell({ state, asked: false, pause: wait, note }, note, ...results);
  }

  /** Tells the store, and counts the results unless the lease was lost. */
  async #tell(to: Change['to'], note: Note, ...results: Counted[]): Promise<void> {
    const { storeState } = this.#parts;
    if ((await storeState.endLease(this.#leased, to)) !== true) return;
    for (const result of results) storeState.log.result(result, this.#leased.id, note);
  }
}
