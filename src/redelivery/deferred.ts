// A deferred delivery as it is known in memory: never its body or its lines.
import type { Buffer } from 'node:buffer';
import type { KeyObject } from 'node:crypto';
import type { DeferredState } from '../core/request-record.ts';
import { pauseAfter } from './pace.ts';
import { peekProgress } from './record.ts';
import type { Claim, Entry } from './stores/store.ts';

export type Ending = 'delivered' | 'expired' | 'dropped';

export interface Deferred {
  readonly id: string;
  bytes: number;
  /** When it came; from the store alone, and so not yet vouched for, until `checked`. */
  at: number;
  checked: boolean;
  state: DeferredState;
  /** When it is its turn. */
  due: number;
  /** True while it is at work. */
  busy: boolean;
  attempts: number;
  failure: string;
  /** As configured; null until the record was read, or if no route takes it. */
  route: string | null;
  secret: string | null;
  /** The secret that verified it when it was last read: an id names another value after a rotation. Null until then. */
  key: KeyObject | null;
  /** True if a person asked for it: what the app refused is then sent once more. */
  asked: boolean;
  /** The last claim on its record, which may have ended. */
  claim: Claim | null;
  /** How it ended, which is told once; then only its removal is left. Null until it has ended. */
  ended: Ending | null;
  /** Its last progress, sealed, while the store has not learnt that yet. */
  unwritten: Buffer | null;
}

/** What the store tells of it, which nobody vouches for. What the app refused is never due by itself. */
export function deferredFrom({ id, bytes, at, progress }: Entry): Deferred {
  const now = Date.now();
  const known = progress === null ? null : peekProgress(progress);
  const { attempts = 0, failure = '', stopped = false } = known ?? {};
  const due = known === null ? at : Math.min(known.tried, now) + pauseAfter(attempts, Math.random());
  return {
    id,
    bytes,
    at: Math.min(at, now),
    checked: false,
    state: stopped ? 'stopped' : 'waiting',
    due: stopped ? Number.POSITIVE_INFINITY : due,
    busy: false,
    attempts,
    failure,
    route: null,
    secret: null,
    key: null,
    asked: false,
    claim: null,
    ended: null,
    unwritten: null,
  };
}

/** One of which the id alone is known. */
export const unknownDeferred = (id: string) => deferredFrom({ id, bytes: 0, at: Date.now(), progress: null });
