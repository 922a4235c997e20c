// One turn of a deferred delivery that was taken from the store: checked by every rule, sent, and what follows from that.
// It comes to one change of the store, which does nothing if somebody else has the delivery by then.
import type { DeliveryLease } from '../core/fate.ts';
import type { RedeliveryResult } from '../core/request-record.ts';
import type { Needs } from './needs.ts';
import type { Note } from './note.ts';
import { pauseAfter, type SendingPace } from './pace.ts';
import { describedAs, openRecord, type Unverified, type Verified } from './record.ts';
import { type Sent, send } from './sending.ts';
import type { Setting, Taken } from './stores/store.ts';

/** Milliseconds until a twin of `once`, or a slot, is asked for again. */
const BUSY_PAUSE_MS = 5000;
const UNVERIFIED_PAUSE_MS = 60_000;
/** Milliseconds: longer than any window. Where none ends, something is looked at now and then. */
const LONGEST_PAUSE_MS = 31 * 24 * 3_600_000;

export interface Outcome {
  /** Null: it is removed. */
  readonly setting: Setting | null;
  /** Counted once the store is changed, with what is known of it then. */
  readonly results: readonly RedeliveryResult[];
  readonly note: Note;
}

interface Parts {
  readonly needs: Needs;
  readonly pace: SendingPace;
  /** Aborted when the process stops. */
  readonly stopped: AbortSignal;
}

/** Never rejects. */
export async function turnOf(taken: Taken, parts: Parts): Promise<Outcome> {
  const opened = openRecord(taken.id, taken.record, parts.needs);
  const note = noteOf(taken, opened);
  const end = note.at + (parts.needs.windowOf(note.route) ?? Number.POSITIVE_INFINITY);
  const isOver = Date.now() >= end;
  if (opened.kind === 'verified' && taken.state !== 'stopped') {
    return outcomeOf(note, await attempt(opened, isOver, parts), isOver ? null : end);
  }
  if (isOver) return { setting: null, results: ['expired'], note };
  const pause = untilEnd(end);
  // Its time has come by the store's clock, but not by this one.
  if (opened.kind === 'verified') return { setting: { pause, state: 'stopped', note: null }, results: [], note };
  const isNews = taken.state !== 'unverified';
  const isKnown = !isNews && taken.note?.failure === note.failure;
  const looked = { pause: Math.min(pause, UNVERIFIED_PAUSE_MS), state: 'unverified' } as const;
  return { setting: { ...looked, note: isKnown ? null : note }, results: isNews ? ['unverified'] : [], note };
}

/** `isLast`: after the end of its window. */
async function attempt(delivery: Verified, isLast: boolean, { needs, pace, stopped }: Parts): Promise<Sent> {
  const { route, head, body } = delivery;
  let lease: DeliveryLease | null = null;
  if (route.once !== null) {
    const event = {
      path: head.path,
      body,
      window: route.once,
      patience: 0,
      departed: () => new AbortController().signal,
    };
    const claim = await needs.claims().claim(event);
    if (claim.kind !== 'deliver') return { went: claim.kind === 'duplicate' ? claim.kind : 'not sent', failure: '' };
    lease = claim.lease;
  }
  const sent = await send(delivery, lease, needs);
  const { went } = sent;
  if (went === 'not sent' || went === 'duplicate') return sent;
  // A sending that the end of the process cuts is no attempt, least of all the last one.
  if (stopped.aborted && went !== 'taken' && went !== 'refused') return { ...sent, went: 'not sent' };
  // Many may be over at once, and each gets its sending: a refused connection costs nothing.
  if (!isLast || went !== 'no connection') pace.note(went, performance.now());
  return sent;
}

/** `end`: of its window; null if it is over, so that this was the last sending. */
function outcomeOf(note: Note, { went, failure }: Sent, end: number | null): Outcome {
  const removed = (last: Note, ...results: RedeliveryResult[]): Outcome => ({ setting: null, results, note: last });
  const waits = (pause: number, known: Note | null): Outcome => {
    return { setting: { pause, state: 'waiting', note: known }, results: [], note };
  };
  if (went === 'duplicate') return removed(note, 'delivered');
  if (went === 'not sent') return waits(BUSY_PAUSE_MS, null);
  if (went === 'no connection' && end !== null) return waits(0, failure === note.failure ? null : { ...note, failure });
  const after = { ...note, attempts: note.attempts + 1, tried: Date.now(), failure };
  if (went === 'taken') return removed(after, 'delivered');
  if (went !== 'refused') {
    if (end === null) return removed(after, 'expired');
    return waits(Math.min(untilEnd(end), pauseAfter(after.attempts, Math.random())), after);
  }
  if (end === null) return removed(after, 'client_error', 'expired');
  const setting = { pause: untilEnd(end), state: 'stopped', note: after } as const;
  return { setting, results: ['client_error'], note: after };
}

function noteOf({ note }: Taken, opened: Verified | Unverified): Note {
  if (opened.kind === 'verified') {
    return { attempts: 0, tried: 0, failure: opened.facts.failure, ...note, ...describedAs(opened) };
  }
  const { why, route, facts } = opened;
  const now = Date.now();
  const { at, secret, key } = facts ?? { at: now, secret: '', key: '' };
  const known = note ?? { method: '', path: '', secret, key, at, attempts: 0, tried: 0 };
  // A time that is still to come would keep it for ever.
  return { ...known, at: Math.min(known.at, now), route: route ?? note?.route ?? null, failure: why };
}

const untilEnd = (end: number) => Math.max(0, Math.min(end - Date.now(), LONGEST_PAUSE_MS));
