// The store of deferred deliveries: its interface. open-store.ts chooses one. A store holds opaque bytes under ids, and no
// rule: record.ts makes and checks the bytes, so whoever can write to a store can delete, delay and repeat, never alter
// or make. A store never sends anything.
import type { Buffer } from 'node:buffer';

/**
 * The bytes of one deferred delivery. They never change once stored, and no store looks into them. Two buffers, since
 * a joined copy of a large body would be memory that no budget counts.
 */
export interface StoredBytes {
  /** What record.ts writes before the body. Binary. */
  readonly head: Buffer;
  /** May be empty. Binary. */
  readonly body: Buffer;
}

/** What a store tells without a delivery's body. Nobody vouches for it: only `claim` gives what can be checked. */
export interface Entry {
  readonly id: string;
  /** Bytes that it counts against `maxBytes`: `countedBytes`. */
  readonly bytes: number;
  /** About when it was stored, epoch milliseconds; of what this process stored or listed before, any time up to now. */
  readonly at: number;
  /** The last progress, at most `MAX_PROGRESS` bytes; null if there is none, or this process stored or listed it before. */
  readonly progress: Buffer | null;
}

export interface Listing {
  /** At most `maxBytes` / 4 KiB of them, in any order. Those that another process has claimed are among them. */
  readonly entries: readonly Entry[];
  /**
   * Ids that were stored and are gone although nobody called `remove`: a person or the store's own settings dropped
   * them. Each drop is told once, whether here or by `claim`, to one of all processes that share the store.
   */
  readonly dropped: readonly string[];
}

/**
 * `stored`: durable as far as the store's own settings make it; the id is in later listings. `known`: something was
 * stored under the id already, and was left as it is. `full`: it would exceed `maxBytes`. `crowded`: `MAX_OF_ONE_BODY`
 * others with this body are stored. In the last three cases nothing has changed.
 */
export type Added = 'stored' | 'known' | 'full' | 'crowded';

/** One claim on one record: what replaces the record under the same id is not claimed by it. */
export interface Claim {
  readonly id: string;
  /** Of this claim alone. */
  readonly token: string;
}

/**
 * What a claim gives. `unfit`: it is no regular file, is larger than `mostBytes`, or can't be told apart into head and
 * body; it is claimed all the same, since another process may have other limits.
 */
export type Read = StoredBytes | 'unfit';

/**
 * `claimed`: nobody else gets it until `release` or `remove`, or until the lease of this process has ended. `busy`:
 * another process has claimed it. `removed`: an owner has removed it. `dropped`: as in `Listing`.
 */
export type Claimed =
  | { readonly kind: 'claimed'; readonly claim: Claim; readonly record: Read; readonly progress: Buffer | null }
  | { readonly kind: 'busy' | 'removed' | 'dropped' };

/**
 * Every method rejects with an Error if the store can't do its work, within `TIME_LIMIT_MS` (a directory) or ten times
 * that (Redis, where bodies cross a network), and never hangs. The message is for the operator: it names places and the
 * system's words, never bytes that were stored, and never a password. A method that has rejected may still take effect
 * later. Calls for one id are made one after another by one process, but for `add`, which may come at any time.
 */
export interface DeferredStore {
  /**
   * Stores a delivery, atomically: after a crash at any moment it is there whole, or not at all. `over: 'existing'`
   * replaces what is stored under the id, and forgets its progress; a claim on that has ended then, so a later
   * `release` or `remove` of it does nothing. What waits to be stored is synced together.
   */
  add(id: string, record: StoredBytes, over: 'nothing' | 'existing'): Promise<Added>;

  /** Everything that is stored. */
  list(): Promise<Listing>;

  /**
   * Claims a delivery and reads it, atomically: of several claims of one id, by whatever process, one is `claimed`.
   * One that this process has claimed already is claimed anew, and its former claim has ended.
   * A claim ends with its process: with Redis it is a lease of 30 s at most, which the store renews by itself until
   * `release` or `remove`. A process that stood still for longer loses it to whoever claims next, and its `release` and
   * `remove` of that claim then do nothing.
   */
  claim(id: string): Promise<Claimed>;

  /** Ends a claim. `progress` (null: as it was) replaces the last one. Does nothing if the claim has ended. */
  release(claim: Claim, progress: Buffer | null): Promise<void>;

  /**
   * Removes what was claimed, and ends the claim. False if the claim had ended: nothing was removed. The one way in which
   * a process that sends removes anything, so nobody removes what another one has claimed.
   */
  remove(claim: Claim): Promise<boolean>;

  /** Reads without a claim: for people. Null if there is nothing to read. */
  read(id: string): Promise<StoredBytes | null>;

  /** Drops it without a claim: for people. The process that sends finds it `dropped`. False if there was none. */
  drop(id: string): Promise<boolean>;

  /** Ends all claims of this process, and gives the store to the next one. Nothing may be called after it. */
  close(): Promise<void>;
}

export interface StoreOptions {
  /** A directory, or redis:// or rediss:// with a user and a database number at most. */
  readonly store: string;
  /** With Redis: which proxies share what is stored, and part of every key. Empty for a directory that has no name. */
  readonly name: string;
  readonly passwordFile: string | null;
  /** Called at each connect, so that the password may change. Rejects with the file's problem. */
  readonly readPassword: (file: string) => Promise<string>;
  readonly maxBytes: number;
  /** The most bytes of one delivery, which a reload may change. What is larger is never read. */
  readonly mostBytes: () => number;
  /**
   * `owner`: the proxy. `visitor`: a command beside it, which only lists, reads and drops, changes nothing else, and
   * needs no claim on the store as a whole.
   */
  readonly as: 'owner' | 'visitor';
  /** A remark that is no failure, such as a file that a crash left: once for each. */
  readonly onRemark: (message: string, fields: Readonly<Record<string, string | number>>) => void;
}

/** Reports a problem with the store (never a password), and null once it works again. */
export type OnStoreChange = (failure: string | null) => void;

/** Milliseconds. The longest that a client waits for the store. */
export const TIME_LIMIT_MS = 1000;
/** An event counts as many bytes at least: a store of tiny ones must not list without end. */
export const LEAST_BYTES = 4096;
/** Queries are not signed, so anyone with one captured delivery can make many events of it. */
export const MAX_OF_ONE_BODY = 16;
export const MAX_PROGRESS = 1024;

/**
 * An id: which body (16 hex digits, the log's `body_sha256`), `-`, which event (32 hex digits). Equal events have equal
 * ids, and ids that are equal up to the `-` have one body.
 */
export const ID = /^[0-9a-f]{16}-[0-9a-f]{32}$/;

/** The part of an id that names the body. */
export const bodyOf = (id: string) => id.slice(0, 16);

/** How many events a store of `maxBytes` lists. */
export const mostEntries = (maxBytes: number) => Math.max(1, Math.floor(maxBytes / LEAST_BYTES));

export function countedBytes({ head, body }: StoredBytes): number {
  return Math.max(LEAST_BYTES, head.length + body.length);
}
