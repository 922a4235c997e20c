// The store of deferred deliveries: a queue in which each event has one time, at which it is due. Whoever leases an event
// moves that time on, so that the one number is claim, lease and schedule. A store holds opaque bytes under ids, and no
// rule: record.ts makes and checks the bytes, so whoever can write to a store can delete, delay and repeat, never alter or
// make. A store never sends anything.
//
// `due` goes by the store's clock, and all times here are spans from now. Notes and arrivals go by the proxy's.
import type { Buffer } from 'node:buffer';
import { join } from 'node:path';
import type { DeferredState } from '../../core/request-record.ts';
import type { ConnectionOptions } from '../../redis/connection.ts';
import type { Note } from '../note.ts';
import { MAX_PAUSE_MS } from '../pace.ts';

export interface Event {
  /**
   * Which body (16 hex digits, the log's `body_sha256`), `-`, which event (32 hex digits). Equal events have equal ids,
   * and ids that are equal up to the `-` have one body.
   */
  readonly id: string;
  /** Opaque bytes, which the store joins: a joined copy of large ones would be memory that no budget counts. */
  readonly record: readonly [head: Buffer, body: Buffer];
  readonly note: Note;
}

/**
 * `stored`: as durable as the store's own settings make it. `replaced`: so is an equal event, whatever its state; who had
 * leased that one has lost it. `full`, by `maxBytes`, or `crowded`, by `MAX_OF_ONE_BODY`: nothing has changed.
 */
export type Added = 'stored' | 'replaced' | 'full' | 'crowded';

/** An event as a list shows it. Nothing vouches for it. */
export interface Entry {
  readonly id: string;
  /** Of its record. */
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
   * The right to the event until it is set or removed, or the time has ended and somebody else has leased it: a text that
   * no other lease of any process or store has, earlier or later. It begins with the event's id.
   */
  readonly lease: string;
  /** Empty if there is none. Null: larger than `mostBytes`, so it was not read. */
  readonly record: Uint8Array<ArrayBuffer> | null;
}

export interface Asked {
  /** The most events. */
  readonly limit: number;
  /** Bytes of records that fit into memory. One that is not read needs none. */
  readonly room: number;
  /** Leases of what the caller has at work: moved on, unless they were lost; and these events are not leased again. */
  readonly held: readonly string[];
}

/** A part of what is stored: equal in state and words, which are empty where the note cannot be read. */
export interface Group extends Readonly<Record<'failure' | 'secret' | 'key' | 'route', string>> {
  readonly state: DeferredState;
  readonly deliveries: number;
  /** As they count against `maxBytes`, `LEAST_BYTES` each at least. */
  readonly bytes: number;
  /** When the first one came, by the notes; epoch milliseconds. */
  readonly oldest: number;
}

export interface Summary {
  /** At most `MOST_GROUPS`, since whoever writes to the store chooses the words: where there are more, without words. */
  readonly groups: readonly Group[];
  /** At most `SOONEST`, the first due first. */
  readonly soonest: readonly Entry[];
  /** Some of what `drop` removed. Each is told once, to one owner. */
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
 * The message is for the operator: it names places and the system's words, never bytes that were stored, and never a
 * password. A method that has rejected may still take effect later. The calls of one process take effect in their order.
 */
export interface DeferredStore {
  /** Stores an event, due after `pause` milliseconds: after a crash at any moment it is there whole, or not at all. */
  add(event: Event, pause: number): Promise<Added>;

  /**
   * Leases events that are due, the first due first, and moves each on by `LEASE_MS`. It ends before the first one that
   * `room` is too small for. `wait`: milliseconds until the next one is due; 0 if one is now; infinite if there is none.
   */
  lease(asked: Asked): Promise<{ readonly leased: readonly Leased[]; readonly wait: number }>;

  /** Ends a lease, and says when its event is due next; null removes it. False if the lease was lost: nothing has changed. */
  set(lease: string, setting: Setting | null): Promise<boolean>;

  /**
   * Removes what a fresh delivery of an equal event has ended, whoever has leased it. False if there was none, or if it was
   * stored less than `age` milliseconds ago: what came after that delivery stays.
   */
  end(id: string, age: number): Promise<boolean>;

  /** A part of what is stored, in any order, and the place of the next part; the first and the last place are `0`. */
  page(place: string): Promise<readonly [next: string, entries: readonly Entry[]]>;

  /** Makes events due now, unless somebody has leased them; what is stopped waits again. Returns how many are stored. */
  wake(ids: readonly string[]): Promise<number>;

  /** For people: a record. Null if there is none, or none that may be read. */
  read(id: string): Promise<Uint8Array<ArrayBuffer> | null>;

  /** For people: removes an event. One that somebody has leased stays: the app may be taking it just now. */
  drop(id: string): Promise<Dropped>;

  /** For an owner. Makes due what waits longer than anything may (`LONGEST_WAIT_MS`). Reads no record, and lists nothing. */
  summary(): Promise<Summary>;

  /** Nothing may be called after it. What is still leased stays so until its time ends, or the store has a new owner. */
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
  /** With Redis: which proxies share what is stored, and part of every key. Empty for a directory that has no name. */
  readonly name: string;
  readonly maxBytes: number;
  /** The most bytes of one record, which a reload may change. What is larger is never read. */
  readonly mostBytes: () => number;
  /** `visitor`: a command beside the proxy, which only lists, reads and drops. To it a store that does not exist is empty. */
  readonly as: 'owner' | 'visitor';
  /** A remark that is no failure: once for each. */
  readonly onRemark: (message: string, fields: Readonly<Record<string, string | number>>) => void;
  /** Told once for each time that events which were stored are gone or were set aside, all or the last of them. */
  readonly onLoss: (problem: string) => void;
  /** Told of a problem with the store (never a password), and null when it works; at any time, the same again and again. */
  readonly onChange: (problem: string | null) => void;
}

/** Milliseconds. The longest that a client waits for the store. */
export const TIME_LIMIT_MS = 1000;
/** Milliseconds. Bodies cross a network, or wait for a disk. */
export const CALL_LIMIT_MS = 10_000;
/** Milliseconds. Whoever is at work renews it three times before it ends. */
export const LEASE_MS = 30_000;
/** Milliseconds. What waits and is due later than that, as after a clock that was set back, is due now. */
export const LONGEST_WAIT_MS = MAX_PAUSE_MS + LEASE_MS;
/** An event counts as many bytes at least: a store of tiny ones must not list without end. */
export const LEAST_BYTES = 4096;
export const MOST_GROUPS = 1000;
export const SOONEST = 50;
/** Queries are not signed, so anyone with one captured delivery can make many events of it. */
export const MAX_OF_ONE_BODY = 16;

export const ID_LENGTH = 49;
export const leasedId = (lease: string) => lease.slice(0, ID_LENGTH);

/** The file of a store that is a directory. Where it is absent, nothing is stored. */
export const fileIn = (directory: string) => join(directory, 'deferred', 'queue.sqlite');
