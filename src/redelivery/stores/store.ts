// The store of deferred deliveries: a queue in which each event has one time, at which it is due. Whoever leases an
// event moves that time on, so it is both the schedule and the lease's end. A store holds opaque bytes under ids, which
// record.ts makes and checks: so whoever can write to it can delete, delay and repeat events, never alter or forge them.
// Due times are by the store's clock, thus spans from now; times in a `Note` by the proxy's.
import type { Buffer } from 'node:buffer';
import { join } from 'node:path';
import type { DeferredState } from '../../core/fate-by-status.ts';
import type { ConnectionOptions } from '../../redis/connection.ts';
import { NO_NOTE, type Note } from '../note.ts';
import { MAX_PAUSE_MS } from '../pace.ts';

export interface StoredEvent {
  /**
   * The body's tag (16 hex digits, the log's `body_sha256`), `-`, the event's hash (32 hex digits). Equal events have
   * equal ids, and events with ids that are equal up to the `-` have the same body.
   */
  readonly id: string;
  /** Opaque bytes. Only the store joins the two parts: joined earlier, they would be a copy that no budget counts. */
  readonly record: readonly [preamble: Buffer, body: Buffer];
  readonly note: Note;
}

/**
 * `stored`: as durable as the store's own settings make it. `replaced`: stored in place of an equal event, whatever its
 * state; a lease of the old event is lost. Else nothing has changed: `full` (`maxBytes`), `crowded` (`MAX_OF_ONE_BODY`),
 * or `lacking`: bytes that kept events must give up first.
 */
export type Added = 'stored' | 'replaced' | 'full' | 'crowded' | { readonly lacking: number };

/** An event as a list shows it. Nothing here is verified. */
export interface Entry {
  readonly id: string;
  /** The size of the event's record. */
  readonly bytes: number;
  readonly state: DeferredState;
  /** Milliseconds until the event is due; 0 or less if it is due now. */
  readonly wait: number;
  /** True if a person asked for it to be sent, and no sending has ended since. */
  readonly asked: boolean;
  readonly leased: boolean;
  /** Null if the note cannot be read. */
  readonly note: Note | null;
}

export interface Found extends Entry {
  /** Empty if the store has lost it. Null if it is larger than `largestRecord`, and so was not read. */
  readonly record: Uint8Array<ArrayBuffer> | null;
}

export interface Leased extends Omit<Found, 'wait' | 'leased'> {
  /**
   * The right to the event: a text that begins with the event's id and that no other lease ever has, in any process or
   * store. It ends when the event is set, replaced or removed, or is leased again after the lease has run out.
   */
  readonly lease: string;
}

export interface LeaseRequest {
  readonly limit: number;
  /** Bytes of memory for records. A record larger than `largestRecord` is not read, and needs none. */
  readonly room: number;
  /** The caller's leases in use. They are renewed, unless they were lost, and their events are not leased again. */
  readonly leases: readonly string[];
}

/** Events that share these; the four texts are empty where the note cannot be read. */
export interface Group extends Readonly<Record<'failure' | 'secret' | 'key' | 'route', string>> {
  readonly state: DeferredState;
  readonly deliveries: number;
  /** As they count against `maxBytes`. */
  readonly bytes: number;
  /** When the first event came, in epoch milliseconds, according to the notes. */
  readonly oldest: number;
}

export interface Summary {
  /** At most about `MOST_GROUPS`, since whoever writes to the store chooses the texts: if more, texts are empty. */
  readonly groups: readonly Group[];
  /** At most `SOONEST`, the first due first. */
  readonly soonest: readonly Entry[];
  /** Events that `drop` has removed, at most `MOST_DROPPED` at a time. Each is reported once, to one owner. */
  readonly dropped: readonly Pick<Entry, 'id' | 'note'>[];
  /** The latest losses, at most `SHOWN_LOSSES`. */
  readonly losses: readonly Loss[];
  /** How many losses the last day had, as far as the store remembers. */
  readonly lostLately: number;
  /** Damaged files that lie beside the store's own. */
  readonly aside: readonly Aside[];
  /** The policy by which the server evicts keys that have no time to live; null if it evicts none. */
  readonly evicts: string | null;
}

/** `keep`: nobody decided in time. `room`: a newer event needed its bytes. `record`: the store lost its bytes. */
export type WhyLost = 'keep' | 'room' | 'record';

/** An event that ended without a decision; or, with an empty `id`, all that a store held, and `why` is a sentence. */
export interface Loss {
  /** Epoch milliseconds. */
  readonly at: number;
  readonly id: string;
  readonly note: Note | null;
  readonly why: string;
  /** How many events were lost; null if that is not known. */
  readonly events: number | null;
}

export interface Aside {
  readonly name: string;
  readonly bytes: number;
  /** When it was set aside, in epoch milliseconds. */
  readonly at: number;
  /** How many events may be in it; null if that is not known. */
  readonly events: number | null;
}

/** A change of an event, which ends its lease. */
export interface Change {
  readonly id: string;
  /** If given, the event is changed only while it has this lease. */
  readonly lease?: string;
  /** If given, the event is changed whoever has leased it, if it was stored at least so many milliseconds ago. */
  readonly age?: number;
  readonly to: Setting | WhyRemoved;
}

/** What an event becomes. What is not given stays. */
export interface Setting {
  /** Milliseconds until it is due. */
  readonly pause: number;
  readonly state?: DeferredState;
  readonly note?: Note;
  /** True: a person asks for it; if it is leased, it is due as soon as that lease ends. False: a sending has ended that. */
  readonly asked?: boolean;
}

/** Why an event is removed. An owner is told of those that were dropped, and a store remembers those that were lost. */
export type WhyRemoved = 'taken' | 'dropped' | WhyLost;
export const isLoss = (to: Change['to']) => typeof to === 'string' && to !== 'taken' && to !== 'dropped';

/**
 * `done` again, for a while, for a change that has ended this lease: its answer may have been lost. `leased`: another
 * has it, it was stored less than `age` ago, or, for a loss, a person asked for it meanwhile. Except for `done` nothing
 * has changed, but that it is asked for.
 */
export type Changed = 'done' | 'leased' | 'absent';

/**
 * Every method rejects with an Error if the store can't do its work, and never hangs: it takes `CALL_LIMIT_MS` at most.
 * The message is for the operator: it names paths and quotes the system, and holds no stored bytes and no password. A
 * method that has rejected may still take effect later. The calls of one process take effect in their order.
 */
export interface DeferredStore {
  /** Stores an event, due after `pause` milliseconds: after a crash at any moment it is there whole, or not at all. */
  add(event: StoredEvent, pause: number): Promise<Added>;

  /**
   * Leases events that are due, the first due first, up to the first that does not fit into `room`; each is due again
   * after `LEASE_MS`. `wait`: milliseconds until the next is due; 0 if one is now; infinite if there is none.
   */
  lease(request: LeaseRequest): Promise<{ readonly leased: readonly Leased[]; readonly wait: number }>;

  /** Changes events, unless somebody has leased them or a `Change` says otherwise. Returns what became of each. */
  change(changes: readonly Change[]): Promise<readonly Changed[]>;

  /**
   * Leases the oldest kept events without their records, never `id` nor what a person asked for, until they add up to
   * `bytes`; a page at most.
   */
  leaseKept(id: string, bytes: number): Promise<readonly Leased[]>;

  /** A page of what is stored, the oldest first, and the cursor of the next: empty for the first, and after the last. */
  page(cursor: string): Promise<readonly [next: string, entries: readonly Entry[]]>;

  find(id: string): Promise<Found | null>;
  /** For an owner. Makes events due that would wait over `LONGEST_WAIT_MS`. Reads no record, and lists few events. */
  summary(): Promise<Summary>;
  /** The losses of the last `LOSSES_FOR_MS`, at most `MOST_LOSSES`, the latest first. */
  losses(): Promise<readonly Loss[]>;

  /** For an owner. Resolves once a test event, which nobody else ever sees, went through every step of a real one. */
  test(): Promise<void>;

  /** After it nothing may be called. Leases last until their time runs out, or until a directory has a new owner. */
  close(): Promise<void>;
}

/** All that is wanted, page by page. What changes meanwhile may be missed, or be returned twice. */
export async function* pagesOf({ page }: Pick<DeferredStore, 'page'>, isWanted = (_: Entry) => true) {
  let cursor = '';
  do {
    const [next, entries] = await page(cursor);
    const wanted = entries.filter(isWanted);
    if (wanted.length > 0) yield wanted;
    cursor = next;
  } while (cursor !== '');
}

/** `store` may be a directory, too. */
export interface StoreOptions extends Pick<ConnectionOptions, 'store' | 'passwordFile' | 'readPassword'> {
  /** With Redis: part of every key, so proxies with equal names share what is stored. May be empty for a directory. */
  readonly name: string;
  readonly maxBytes: number;
  /** Returns the maximum number of bytes in a record, which a reload may change. A larger record is never read. */
  readonly largestRecord: () => number;
  /** `visitor`: a command beside the proxy, which only lists, reads and drops. A missing store looks empty to it. */
  readonly as: 'owner' | 'visitor';
  /** Called once for each time that all stored events are gone or were set aside; null for a number that is not known. */
  readonly onLoss: (problem: string, events: number | null) => void;
  /** Called at any time, even with no change, with the store's problem (never a password), or null when it works. */
  readonly onProblem: (problem: string | null) => void;
}

// Milliseconds: the longest that a client waits for the store; the longest time of a call, as bodies cross a network or
// wait for a disk; until a lease runs out, which its holder renews after each third of that time.
export const TIME_LIMIT_MS = 1000;
export const CALL_LIMIT_MS = 10_000;
export const LEASE_MS = 30_000;
/** A waiting event that is due later than that, because the clock was set back, is made due now. */
export const LONGEST_WAIT_MS = MAX_PAUSE_MS + LEASE_MS;
/** The minimum number of bytes that an event counts as: tiny ones must not make a store's list endless. */
export const LEAST_BYTES = 4096;
export const countedBytes = (bytes: number) => Math.max(LEAST_BYTES, bytes);
export const MOST_GROUPS = 1000;
export const SOONEST = 50;
export const MOST_DROPPED = 250;
export const SHOWN_LOSSES = 20;
export const MOST_LOSSES = 1000;
export const LOSSES_FOR_MS = 7 * 24 * 3_600_000;
export const LATELY_MS = 24 * 3_600_000;
/** The id of the test event, which no real event can have. */
export const TEST_ID = `${'test'.padStart(16, '0')}-${'0'.repeat(32)}`;
export const TEST_NOTE: Note = { ...NO_NOTE, came: 0, failure: 'test' };
/** The maximum number of events with one body: queries are not signed, so one captured delivery can become many. */
export const MAX_OF_ONE_BODY = 16;

export const ID_LENGTH = 49;
export const leasedId = (lease: string) => lease.slice(0, ID_LENGTH);

/** Why a file cannot be opened that another process has. */
export const IN_USE = 'another process uses it';

/** The file of a store that is a directory. Where it is absent, nothing is stored. */
export const fileIn = (directory: string) => join(directory, 'deferred', 'queue.sqlite');
