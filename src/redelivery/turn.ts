// One turn of a deferred delivery: claimed, read, checked by every rule, sent, and then removed, stopped or left waiting.
// schedule.ts says when it comes.
import { pathOf } from '../core/targets.ts';
import type { Deferred, Ending } from './deferred.ts';
import type { Level, Telling } from './grouped-log.ts';
import { type Pace, pauseAfter } from './pace.ts';
import type { RedeliveryParts } from './parts.ts';
import { openRecord, type Unverified, type Verified } from './record.ts';
import type { Schedule } from './schedule.ts';
import { send } from './sending.ts';
import type { Claimed, DeferredStore, Entry, Read } from './stores/store.ts';

/** After the end of its window a delivery is tried once more; not after this long. */
const GRACE_MS = 3_600_000;
/** Milliseconds until another process, a twin of `once`, or a store that fails is asked again. */
export const BUSY_PAUSE_MS = 5000;
const TOLD: Readonly<Record<Ending, readonly [Level, string]>> = {
  delivered: ['info', 'a deferred delivery was taken'],
  expired: ['error', 'a deferred delivery is lost: its window is over'],
  dropped: ['warn', 'a deferred delivery was dropped from the store'],
};
const NEVER = new AbortController().signal;

/** Why it is not sent. */
interface Problem {
  readonly why: string;
  /** When it says that it came. A time that is still to come would keep it for ever. */
  readonly claimedAt: number;
}

export class Turns {
  readonly #parts: RedeliveryParts;
  readonly #schedule: Schedule;
  readonly #pace: Pace;
  readonly #telling: Telling;

  constructor(parts: RedeliveryParts, state: { schedule: Schedule; pace: Pace; telling: Telling }) {
    this.#parts = parts;
    this.#schedule = state.schedule;
    this.#pace = state.pace;
    this.#telling = state.telling;
  }

  open(id: string, record: Read, progress: Entry['progress']): Verified | Unverified {
    if (record === 'unfit') return { kind: 'unverified', why: 'unreadable', detail: record, route: null, claims: null };
    const { policy, name, maxHeader } = this.#parts;
    return openRecord({ id, record, progress, policy: policy(), name, now: Date.now(), maxHeader: maxHeader() });
  }

  /** When its window ends. */
  endOf({ at, route }: Pick<Deferred, 'at' | 'route'>): number {
    const { policy, longestWindow } = this.#parts;
    const window = route === null ? null : policy().routes.find(route)?.redeliver;
    return at + (window ?? longestWindow() ?? Number.POSITIVE_INFINITY);
  }

  /**
   * When it is removed whether or not it could be sent. What rests has had its answer. What nothing verifies has the same
   * time as all others: another process may have the secret, or the limits, and be about to try it once more.
   */
  overAt(entry: Deferred): number {
    return this.endOf(entry) + (entry.state === 'stopped' && !entry.asked ? 0 : GRACE_MS);
  }

  /** Leaves the entry waiting, or deletes it. */
  async take(store: DeferredStore, entry: Deferred, may: 'send' | 'read'): Promise<void> {
    if (entry.ended !== null) return await this.#remove(store, entry);
    const claimed = await store.claim(entry.id);
    if (claimed.kind !== 'claimed') return this.#notClaimed(entry, claimed.kind);
    entry.claim = claimed.claim;
    const opened = this.#open(entry, claimed);
    if (opened.kind === 'unverified') {
      entry.route = opened.route ?? entry.route;
      return await this.#keep(store, entry, { why: opened.detail, claimedAt: opened.claims?.at ?? entry.at });
    }
    const now = Date.now();
    const { facts, route, progress } = opened;
    const { attempts = 0, failure = facts.failure, stopped = false } = progress ?? {};
    const state = stopped ? 'stopped' : 'waiting';
    Object.assign(entry, {
      at: facts.at,
      checked: true,
      state,
      attempts,
      failure,
      route: route.path,
      secret: facts.secret,
      key: this.#parts.policy().keyring.secrets.find(({ id }) => id === opened.permit.secret)?.key ?? null,
    });
    if (now >= this.overAt(entry)) return await this.#expire(store, entry);
    const soonest = entry.asked ? now : this.#soonest(entry, opened, now);
    const due = Math.min(this.endOf(entry), stopped && !entry.asked ? Number.POSITIVE_INFINITY : soonest);
    if (may === 'read' || due > now) {
      await release(store, entry);
      return this.#schedule.wait(entry, due);
    }
    await this.#send(store, entry, opened);
  }

  /** By the last progress, also where the store could not write it: else a full disk would end all pauses and stops. */
  #open(entry: Deferred, { record, progress }: Extract<Claimed, { kind: 'claimed' }>): Verified | Unverified {
    if (entry.unwritten !== null) {
      const opened = this.open(entry.id, record, entry.unwritten);
      if (opened.kind === 'verified') return opened;
      entry.unwritten = null; // of a record that another process has replaced
    }
    return this.open(entry.id, record, progress);
  }

  /** When it may be sent, after its last pause. Where the clock went back, the pause begins now, and not anew each turn. */
  #soonest(entry: Deferred, { facts, progress, sealProgress }: Verified, now: number): number {
    if (progress === null) return facts.at > now ? now : facts.at + pauseAfter(0, 1);
    if (progress.tried > now) entry.unwritten = sealProgress({ ...progress, tried: now });
    return Math.min(progress.tried, now) + pauseAfter(progress.attempts, 1);
  }

  async #send(store: DeferredStore, entry: Deferred, opened: Verified): Promise<void> {
    const { upstream, budget, policy } = this.#parts;
    const { route, head, body } = opened;
    let lease = null;
    if (route.once !== null) {
      const event = { path: pathOf(head.target), body, window: route.once, patience: 0, departed: NEVER };
      const claim = await this.#parts.deliveries().claim(event);
      if (claim.kind === 'duplicate') return await this.#delivered(store, entry);
      if (claim.kind !== 'deliver') {
        await release(store, entry);
        return this.#schedule.wait(entry, Date.now() + BUSY_PAUSE_MS);
      }
      lease = claim.lease;
    }
    const { responseTimeout, idleTimeout } = policy().settings;
    const wasAsked = entry.asked;
    entry.asked = false; // who asks from now on, asks for another
    const { went, failure } = await send(opened, { upstream, budget, lease, responseTimeout, idleTimeout });
    const now = Date.now();
    this.#pace.note(went, performance.now());
    if (went === 'taken') return await this.#delivered(store, entry);
    entry.failure = failure;
    if (went === 'no connection') {
      entry.asked ||= wasAsked;
      await release(store, entry);
      return this.#schedule.wait(entry, now);
    }
    const end = this.endOf(entry);
    if (went === 'failed' && now >= end) return await this.#expire(store, entry);
    entry.attempts++;
    const stopped = went === 'refused';
    entry.unwritten = opened.sealProgress({ attempts: entry.attempts, tried: now, failure, stopped });
    if (stopped) {
      this.#telling.tell('warn', 'the app refused a deferred delivery', { id: entry.id, status: failure });
      this.#parts.onResult(entry.route, 'client_error');
    }
    await release(store, entry);
    if (stopped) entry.state = 'stopped'; // not before the store says so: a command reads it there
    const pause = entry.asked ? 0 : pauseAfter(entry.attempts, Math.random());
    this.#schedule.wait(entry, stopped && !entry.asked ? end : Math.min(end, now + pause));
  }

  #notClaimed(entry: Deferred, kind: Exclude<Claimed['kind'], 'claimed'>): void {
    switch (kind) {
      case 'busy':
        return this.#schedule.wait(entry, Date.now() + BUSY_PAUSE_MS);
      case 'removed':
        return this.#schedule.delete(entry);
      case 'dropped':
        return this.dropped(entry);
      default:
        kind satisfies never;
    }
  }

  /** Nothing verifies it: it stays until its time is over. */
  async #keep(store: DeferredStore, entry: Deferred, problem: Problem): Promise<void> {
    this.#noteUnverified(entry, problem);
    const over = this.overAt(entry);
    if (Date.now() >= over) return await this.#expire(store, entry);
    await release(store, entry);
    this.#schedule.wait(entry, over);
  }

  #noteUnverified(entry: Deferred, { why, claimedAt }: Problem): void {
    entry.at = Math.min(entry.at, claimedAt);
    entry.asked = false;
    entry.checked = true;
    entry.failure = why;
    if (entry.state === 'unverified') return;
    entry.state = 'unverified';
    this.#telling.tell('error', 'a deferred delivery cannot be verified, and is not sent', { id: entry.id, why });
    this.#parts.onResult(entry.route, 'unverified');
  }

  async #delivered(store: DeferredStore, entry: Deferred): Promise<void> {
    this.#conclude(entry, 'delivered');
    await this.#remove(store, entry);
  }

  /** Lost only if this removes it: where the claim had ended, an equal event has replaced it, or another process has it. */
  async #expire(store: DeferredStore, entry: Deferred): Promise<void> {
    let isLost = true; // also if the removal fails: it is repeated then, and nothing is sent
    try {
      if (entry.claim !== null) isLost = await store.remove(entry.claim);
    } finally {
      if (isLost) this.#conclude(entry, 'expired');
    }
    this.#schedule.delete(entry);
  }

  /**
   * Where the store fails, it is left to the next turn, and not sent again. Where the claim had ended, it has been removed
   * already, or what is stored now is another's: the next look finds that.
   */
  async #remove(store: DeferredStore, entry: Deferred): Promise<void> {
    if (entry.claim !== null) await store.remove(entry.claim);
    this.#schedule.delete(entry);
  }

  /** It is gone from the store, although nobody here removed it. */
  dropped(entry: Deferred): void {
    this.#conclude(entry, 'dropped');
    this.#schedule.delete(entry);
  }

  /** By whoever knows it first: a removal that comes through late is seen by more than one. */
  #conclude(entry: Deferred, how: Ending): void {
    if (entry.ended !== null) return;
    entry.ended = how;
    const { id, attempts, route } = entry;
    this.#telling.tell(...TOLD[how], how === 'dropped' ? { id } : { id, attempts });
    this.#parts.onResult(route, how);
  }
}

async function release(store: DeferredStore, entry: Deferred): Promise<void> {
  if (entry.claim !== null) await store.release(entry.claim, entry.unwritten);
  entry.unwritten = null;
}
