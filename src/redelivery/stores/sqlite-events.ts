// The events in a file of SQLite: its tables, and each call of a store as a few statements within a transaction of the
// caller's. Heads and bodies have a table of their own, so that nothing but a sending or a person reads any.
import { randomUUID } from 'node:crypto';
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { bodyTag } from '../../core/request-record.ts';
import { type Note, noteText, readNote, readWords, wordsText } from '../note.ts';
import * as contract from './store.ts';

/** Bytes that may go to another thread. */
export interface RawRecord {
  readonly head: Uint8Array<ArrayBuffer>;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** Notes are read in pages of at most so many: they must fit into the thread's heap, and hold up no writer. */
const PAGE = 500;

/** The bounds hold for whoever else writes to the file, too. A summary reads `event_sums` alone. */
export const SCHEMA: readonly string[] = [
  `CREATE TABLE event(
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE CHECK (octet_length(id) = 49),
  due INTEGER NOT NULL CHECK (due BETWEEN 0 AND 9000000000000000),
  stored INTEGER NOT NULL CHECK (stored BETWEEN 0 AND 9000000000000000),
  came INTEGER NOT NULL CHECK (came BETWEEN 0 AND 9000000000000000),
  state TEXT NOT NULL CHECK (state IN ('waiting', 'stopped', 'unverified')),
  bytes INTEGER NOT NULL CHECK (bytes BETWEEN 0 AND 2147483647),
  turn TEXT CHECK (octet_length(turn) <= 36),
  note TEXT NOT NULL CHECK (octet_length(note) <= 4096),
  words TEXT NOT NULL CHECK (octet_length(words) <= 4096)
) STRICT`,
  'CREATE INDEX event_due ON event(due, state)',
  'CREATE INDEX event_sums ON event(state, words, came, bytes)',
  'CREATE TABLE record(key INTEGER PRIMARY KEY, head BLOB NOT NULL, body BLOB NOT NULL) STRICT',
  'CREATE TABLE dropped(key INTEGER PRIMARY KEY, id TEXT NOT NULL, note TEXT NOT NULL) STRICT',
  'CREATE TABLE total(bytes INTEGER NOT NULL) STRICT',
  `CREATE TRIGGER event_added AFTER INSERT ON event BEGIN
  UPDATE total SET bytes = bytes + max(new.bytes, ${contract.LEAST_BYTES});
END`,
  `CREATE TRIGGER event_removed AFTER DELETE ON event BEGIN
  UPDATE total SET bytes = bytes - max(old.bytes, ${contract.LEAST_BYTES});
  DELETE FROM record WHERE key = old.key;
END`,
];

export type Events = ReturnType<typeof eventsIn>;

/** The calls of a store on an open file. `moved`: gets the buffers of what was read, which may go to another thread. */
export function eventsIn(database: DatabaseSync, moved: ArrayBuffer[]) {
  const { get, all, run } = statementsOf(database);

  /** A larger one is not read. */
  function read(id: string, largest: number): RawRecord | null {
    const found = get`SELECT head, body FROM event JOIN record USING (key)
      WHERE id = ${id} AND octet_length(head) + octet_length(body) <= ${largest}` as RawRecord | undefined;
    if (found === undefined) return null;
    moved.push(found.head.buffer, found.body.buffer);
    return found;
  }

  return {
    read,

    /** `most`: bytes of all that is stored. */
    add({ id, note, record }: { id: string; note: Note; record: RawRecord }, pause: number, most: number) {
      const bytes = record.head.length + record.body.length;
      const old = get`SELECT bytes FROM event WHERE id = ${id}`;
      const freed = old === undefined ? 0 : contract.countedBytes(Number(old.bytes));
      const total = Number(get`SELECT bytes FROM total`?.bytes) - freed;
      if (!(total + contract.countedBytes(bytes) <= most)) return 'full'; // also where the sum is no number
      const of = bodyTag(id);
      // All that begin with it and `-`, which `.` follows.
      const twins = get`SELECT count(*) AS count FROM event WHERE id > ${`${of}-`} AND id < ${`${of}.`}`;
      if (old === undefined && Number(twins?.count) >= contract.MAX_OF_ONE_BODY) return 'crowded';
      if (old !== undefined) run`DELETE FROM event WHERE id = ${id}`;
      const { lastInsertRowid: key } = run`INSERT INTO event(id, due, stored, came, state, bytes, note, words)
        VALUES (${id}, ${later(pause)}, ${Date.now()}, ${note.at}, 'waiting', ${bytes}, ${noteText(note)},
          ${wordsText(note)})`;
      run`INSERT INTO record(key, head, body) VALUES (${key}, ${record.head}, ${record.body})`;
      return old === undefined ? 'stored' : 'replaced';
    },

    /** `largest`: bytes of one record. */
    take({ limit, room, held }: contract.Asked, largest: number) {
      for (const { id, turn } of held) {
        run`UPDATE event SET due = ${later(contract.LEASE_MS)} WHERE id = ${id} AND turn = ${turn}`;
      }
      const except = JSON.stringify(held.map(({ id }) => id));
      const due = all`SELECT key, id, bytes, state, note, octet_length(head) + octet_length(body) AS size
        FROM event LEFT JOIN record USING (key) WHERE due <= ${Date.now()}
        AND id NOT IN (SELECT value FROM json_each(${except})) ORDER BY due LIMIT ${limit}`;
      const turn = randomUUID();
      const taken = [];
      let left = room;
      for (const { key, size, ...event } of rowsOf<contract.Taken & { size: number | null }>(due)) {
        const unread = size === null ? ('unreadable' as const) : ('limits' as const);
        const needs = size !== null && size <= largest ? size : 0;
        if (needs > left) break;
        left -= needs;
        run`UPDATE event SET due = ${later(contract.LEASE_MS)}, turn = ${turn} WHERE key = ${key}`;
        taken.push({ ...event, turn, record: read(event.id, largest) ?? unread });
      }
      const next = get`SELECT due FROM event ORDER BY due LIMIT 1`;
      return { taken, wait: next === undefined ? Infinity : Math.max(0, Number(next.due) - Date.now()) };
    },

    set({ id, turn }: contract.Turn, { pause, state, note }: contract.Setting): boolean {
      const [text, words] = note === null ? [null, null] : [noteText(note), wordsText(note)];
      const { changes } = run`UPDATE event SET due = ${later(pause)}, state = ${state}, turn = NULL,
        note = coalesce(${text}, note), words = coalesce(${words}, words) WHERE id = ${id} AND turn = ${turn}`;
      return changes > 0;
    },

    remove: ({ id, turn }: contract.Turn): boolean =>
      run`DELETE FROM event WHERE id = ${id} AND turn = ${turn}`.changes > 0,

    end: (id: string, age: number): boolean =>
      run`DELETE FROM event WHERE id = ${id} AND stored < ${Date.now() - age}`.changes > 0,

    /** The events after one of them, by their keys. */
    page: (after: number) =>
      rowsOf<contract.Entry>(all`SELECT key, id, bytes, state, due - ${Date.now()} AS wait, note FROM event
        WHERE key > ${after} ORDER BY key LIMIT ${PAGE}`),

    summary(): contract.Summary {
      const now = Date.now();
      run`UPDATE event SET due = ${now} WHERE due > ${now + contract.LONGEST_WAIT_MS} AND +state = 'waiting'`;
      let sums = all`SELECT state, words, count(*) AS deliveries, sum(max(bytes, ${contract.LEAST_BYTES})) AS bytes, min(came) AS oldest
        FROM event GROUP BY state, words LIMIT ${contract.MOST_GROUPS + 1}`;
      if (sums.length > contract.MOST_GROUPS) {
        sums = all`SELECT state, '' AS words, count(*) AS deliveries, sum(max(bytes, ${contract.LEAST_BYTES})) AS bytes,
          min(came) AS oldest FROM event GROUP BY state`;
      }
      const waiting = all`SELECT id, bytes, state, due - ${now} AS wait, note FROM event
        WHERE +state = 'waiting' ORDER BY due LIMIT ${contract.SOONEST}`;
      const others = all`SELECT id, bytes, state, due - ${now} AS wait, note FROM event
        WHERE +state <> 'waiting' ORDER BY due LIMIT ${contract.SOONEST - waiting.length}`;
      const dropped = all`DELETE FROM dropped WHERE key IN (SELECT key FROM dropped LIMIT ${PAGE}) RETURNING id, note`;
      return {
        groups: (sums as unknown as (contract.Group & { words: string })[]).map(({ words, ...sum }) => {
          return { ...sum, ...readWords(String(words)) };
        }),
        soonest: rowsOf<contract.Entry>([...waiting, ...others]),
        dropped: rowsOf<Pick<contract.Entry, 'id'>>(dropped),
      };
    },

    wake(ids: readonly string[]): number {
      const [given, now] = [JSON.stringify(ids), Date.now()];
      run`UPDATE event SET due = min(due, ${now}), state = iif(state = 'stopped', 'waiting', state)
        WHERE id IN (SELECT value FROM json_each(${given})) AND (turn IS NULL OR due <= ${now})`;
      return Number(
        get`SELECT count(*) AS count FROM event WHERE id IN (SELECT value FROM json_each(${given}))`?.count,
      );
    },

    drop(id: string): contract.Dropped {
      const event = get`SELECT turn IS NULL OR due <= ${Date.now()} AS isFree FROM event WHERE id = ${id}`;
      if (!event?.isFree) return event === undefined ? 'absent' : 'taken';
      run`INSERT INTO dropped(id, note) SELECT id, note FROM event WHERE id = ${id}`;
      run`DELETE FROM event WHERE id = ${id}`;
      return 'dropped';
    },

    /** Takes over from an owner that is gone: frees what it had taken, and counts everything anew. */
    inherit(): void {
      run`UPDATE event SET due = min(due, ${Date.now()}), turn = NULL WHERE turn IS NOT NULL`;
      run`DELETE FROM total`;
      run`INSERT INTO total(bytes) SELECT coalesce(sum(max(bytes, ${contract.LEAST_BYTES})), 0) FROM event`;
    },

    isEmpty: (): boolean => get`SELECT 1 FROM event LIMIT 1` === undefined,
  };
}

/**
 * Each template is prepared once, its values are bound. Node's own `createTagStore` keeps its statements when the database
 * is closed on Node 24: the file then stays open, and cannot be opened anew once its log was deleted.
 */
function statementsOf(database: DatabaseSync) {
  const prepared = new Map<TemplateStringsArray, StatementSync>();
  const of = (template: TemplateStringsArray): StatementSync => {
    const statement = prepared.get(template) ?? database.prepare(template.join('?'));
    prepared.set(template, statement);
    return statement;
  };
  return {
    get: (template: TemplateStringsArray, ...values: SQLInputValue[]) => of(template).get(...values),
    all: (template: TemplateStringsArray, ...values: SQLInputValue[]) => of(template).all(...values),
    run: (template: TemplateStringsArray, ...values: SQLInputValue[]) => of(template).run(...values),
  };
}

const later = (pause: number) => Math.min(Date.now() + Math.max(0, Math.ceil(pause)), 9e15);

/** Rows with what `T` names, and a key. */
function rowsOf<T>(rows: readonly unknown[]): (T & { key: number; note: Note | null })[] {
  return (rows as (T & { key: number; note: string })[]).map((row) => ({ ...row, note: readNote(String(row.note)) }));
}
