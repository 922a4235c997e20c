// The store of deferred deliveries: a queue in which each event has one time, at which it is due. Whoever leases an
// event moves that time on, so this one number is claim, lease and schedule. A store holds opaque bytes under ids, and
// knows no rules: record.ts makes and checks the bytes, so whoever can write to a store can delete, delay and repeat
// events, never alter or forge them. A store never sends anything.
//
// Due times are by the store's clock, so all times here are spans from now. Those in notes are by the proxy's clock.
import type { Buffer } from 'node:buffer';
import { join } from 'node:path';
import type { DeferredState } from '../../core/request-record.ts';
import type { ConnectionOptions } from '../../redis/connection.ts';
import type { Note } from '../note.ts';
import { MAX_PAUSE_MS } from '../pace.ts';

export interface Event {
  /**
   * The body's tag (16 hex digits, the log's `body_sha256`), `-`, the event's hash (32 hex digits). Equal events have
   * equal ids, and events with ids that are equal up to the `-` have the same body.
   */
  readonly id: string;
  /** Opaque bytes. Only the store joins them: joined earlier, they would be a copy that no budget counts. */
  readonly record: readonly [head: Buffer, body: Buffer];
  readonly note: Note;
}

/**
 * `stored`: as durable as the store's own settings make it. `replaced`: stored in place of an equal event, whatever its
 * state; a lease of that one is lost. `full`, by `maxBytes`, or `crowded`, by `MAX_OF_ONE_BODY`: nothing has changed.
 */
export type Added = 'stored' | 'replaced' | 'full' | 'crowded';

/** An event as a list shows it. Nothing here is verified. */
export interface Entry {
  readonly id: string;
  /** The size of its record. */
  readonly bytes: number;
  readonly state: DeferredState;
  /** Milliseconds until it is due; 0 or less: now. */
  readonly wait: number;
  /** Null where it cannot be read. */
  readonly note: Note | null;
}

export type Dropped = 'dropped' | 'absent' | 'leased';

export interface Leased extends Omit<Entry, 'wait'> {
  /**
   * The right to the event until it is set or removed, or the lease has run out and somebody else has leased the event:
   * a text that no other lease ever has, in any process or store. It begins with the event's id.
   */
  readonly lease: string;
  /** Empty if there is none. Null: larger than `mostBytes`, so it was not read. */
  readonly record: Uint8Array<ArrayBuffer> | null;
}

export interface Asked {
  /** The maximum number of events. */
  readonly limit: number;
  /** Bytes of memory for records. One that is too large to be read needs none. */
  readonly room: number;
  /** The caller's leases in use: renewed, unless they were lost; their events are not leased again. */
  readonly held: readonly string[];
}

/** The stored events with equal state and words; the words are empty where the note cannot be read. */
export interface Group extends Readonly<Record<'failure' | 'secret' | 'key' | 'route', string>> {
  readonly state: DeferredState;
  readonly deliveries: number;
  /** As they count against `maxBytes`: each at least `LEAST_BYTES`. */
  readonly bytes: number;
  /** When the first one came, by the notes; epoch milliseconds. */
  readonly oldest: number;
}

export interface Summary {
  /** At most `MOST_GROUPS`, since whoever writes to the store chooses the words; without words where there are more. */
  readonly groups: readonly Group[];
  /** At most `SOONEST`, the first due first. */
  readonly soonest: readonly Entry[];
  /** Some events that `drop` removed. Each is reported once, to one owner. */
  readonly dropped: readonly Pick<Entry, 'id' | 'note'>[];
}

export interface Setting {
  /** Milliseconds from now until it is due. */
  readonly pause: number;
  readonly state: DeferredState;
  /** Null keeps the last one. */
  readonly note: Note | null;
}

/**
 * Every method rejects with an Error if the store can't do its work, and never hangs: it takes `CALL_LIMIT_MS` at most.
 * The message is for the operator: it has places and the system's words, never stored bytes, and never a password. A
 * method that has rejected may still take effect later. The calls of one process take effect in their order.
 */
export interface DeferredStore {
  /** Stores an event, due after `pause` milliseconds: after a crash at any moment it is there whole, or not at all. */
  add(event: Event, pause: number): Promise<Added>;

  /**
   * Leases events that are due, the first due first, and moves each on by `LEASE_MS`. It stops at the first one that
   * does not fit `room`. `wait`: milliseconds until the next one is due; 0 if one is now; infinite if there is none.
   */
  lease(asked: Asked): Promise<{ readonly leased: readonly Leased[]; readonly wait: number }>;

  /** Ends a lease, and sets when its event is due next; null removes it. False if the lease was lost: no change. */
  set(lease: string, setting: Setting | null): Promise<boolean>;

  /**
   * Removes an event, even a leased one, because the app took a fresh delivery of an equal one. False if there was none
   * or if it was stored less than `age` milliseconds ago: an event that came after that delivery stays.
   */
  end(id: string, age: number): Promise<boolean>;

  /** A part of what is stored, in any order, and the place of the next part; the first and the last place are `0`. */
  page(place: string): Promise<readonly [next: string, entries: readonly Entry[]]>;

  /** Makes events due now, unless they are leased; stopped ones wait again. Returns how many of the ids are stored. */
  wake(ids: readonly string[]): Promise<number>;

  /** For people: a record. Null if there is none, or it is larger than `mostBytes`. */
  read(id: string): Promise<Uint8Array<ArrayBuffer> | null>;

  /** For people: removes an event. One that somebody has leased stays: the app may be taking it just now. */
  drop(id: string): Promise<Dropped>;

  /** For an owner. Makes due what would wait longer than `LONGEST_WAIT_MS`. Reads no record, and lists few events. */
  summary(): Promise<Summary>;

  /** Nothing may be called after it. Leases last until their time ends, or the store has a new owner. */
  close(): Promise<void>;
}

/** Everything that is stored; what changes meanwhile may be missed, or come twice. No page holds up a writer. */
export async function* pagesOf(store: Pick<DeferredStore, 'page'>): AsyncGenerator<readonly Entry[]> {
  let place = '0';
  do {
    const [next, entries] = await store.page(place);
    yield entries;
    place = next;
  } while (place !== '0');
}

/** `store` may be a directory, too. */
export interface StoreOptions extends Pick<ConnectionOptions, 'store' | 'passwordFile' | 'readPassword'> {
  /** With Redis: part of every key, so proxies with one name share what is stored. May be empty for a directory. */
  readonly name: string;
  readonly maxBytes: number;
  /** The maximum number of bytes in one record, which a reload may change. What is larger is never read. */
  readonly mostBytes: () => number;
  /** `visitor`: a command beside the proxy, which only lists, reads and drops. A missing store looks empty to it. */
  readonly as: 'owner' | 'visitor';
  /** Called once for each remark that is no failure. */
  readonly onRemark: (message: string, fields: Readonly<Record<string, string | number>>) => void;
  /** Called once for each loss: stored events are gone or were set aside, all or the latest of them. */
  readonly onLoss: (problem: string) => void;
  /** Called at any time, even with no change, with the store's problem (never a password), or null when it works. */
  readonly onChange: (problem: string | null) => void;
}

/** Milliseconds. The longest that a client waits for the store. */
export const TIME_LIMIT_MS = 1000;
/** Milliseconds. It is long because bodies cross a network, or wait for a disk. */
export const CALL_LIMIT_MS = 10_000;
/** Milliseconds until a lease ends. Its holder renews it after each third of that. */
export const LEASE_MS = 30_000;
/** Milliseconds. A waiting event that is due later, because the clock was set back, is made due now. */
export const LONGEST_WAIT_MS = MAX_PAUSE_MS + LEASE_MS;
/** The least bytes that an event counts as: tiny ones must not make a store's list endless. */
export const LEAST_BYTES = 4096;
export const MOST_GROUPS = 1000;
export const SOONEST = 50;
/** How many events may have one body: queries are not signed, so one captured delivery can become many events. */
export const MAX_OF_ONE_BODY = 16;

export const ID_LENGTH = 49;
export const leasedId = (lease: string) => lease.slice(0, ID_LENGTH);

/** The file of a store that is a directory. Where it is absent, nothing is stored. */
export const fileIn = (directory: string) => join(directory, 'deferred', 'queue.sqlite');
