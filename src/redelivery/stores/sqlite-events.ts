// The events in a file of SQLite: its tables, and each call of a store as a few statements within the caller's
// transaction. Records have a table of their own, and are read only to be sent or for an operator's command.
import { randomUUID } from 'node:crypto';
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { bodyTag } from '../../core/request-record.ts';
import { type Note, noteText, readNote, readWords } from '../note.ts';
import * as contract from './store.ts';

/** The maximum number of notes on a page: a page must fit into the thread's heap, and not delay a writer for long. */
const PAGE = 500;

/** SQL that reads a field of the note. The note may be any text, even one that is not JSON. */
const said = (name: string) => `iif(json_valid(note), note, '{}') ->> '${name}'`;
const WORDS = ['failure', 'secret', 'key', 'route'].map(said).join(', ');

/** The CHECKs bind other programs that write to the file, too. A summary reads its sums from the index `event_sums`. */
export const SCHEMA: readonly string[] = [
  `CREATE TABLE event(
  place INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE CHECK (octet_length(id) = ${contract.ID_LENGTH}),
  due INTEGER NOT NULL CHECK (due BETWEEN 0 AND 9000000000000000),
  stored INTEGER NOT NULL CHECK (stored BETWEEN 0 AND 9000000000000000),
  state TEXT NOT NULL CHECK (state IN ('waiting', 'stopped', 'unverified')),
  bytes INTEGER NOT NULL CHECK (bytes BETWEEN 0 AND 2147483647),
  lease TEXT CHECK (octet_length(lease) <= 100),
  note TEXT NOT NULL CHECK (octet_length(note) <= 4096),
  counted INTEGER AS (max(bytes, ${contract.LEAST_BYTES})),
  came INTEGER AS (max(0, min(CAST(coalesce(${said('at')}, 0) AS INTEGER), 8640000000000000))),
  words TEXT AS (json_array(${WORDS}))
) STRICT`,
  'CREATE INDEX event_due ON event(due, state)',
  'CREATE INDEX event_sums ON event(state, words, came, counted)',
  'CREATE TABLE record(place INTEGER PRIMARY KEY, content BLOB NOT NULL) STRICT',
  'CREATE TABLE dropped(key INTEGER PRIMARY KEY, id TEXT NOT NULL, note TEXT NOT NULL) STRICT',
  'CREATE TABLE total(bytes INTEGER NOT NULL) STRICT',
  `CREATE TRIGGER event_added AFTER INSERT ON event BEGIN
  UPDATE total SET bytes = bytes + new.counted;
END`,
  `CREATE TRIGGER event_removed AFTER DELETE ON event BEGIN
  UPDATE total SET bytes = bytes - old.counted;
  DELETE FROM record WHERE place = old.place;
END`,
];

/** SQL with which an owner takes over a file: it ends the leases of former owners, and counts everything again. */
export const inheritance = (owner: string) => `UPDATE event SET due = min(due, unixepoch() * 1000), lease = NULL
WHERE substr(lease, ${contract.ID_LENGTH + 2}, ${owner.length}) <> '${owner}';
INSERT OR REPLACE INTO total(rowid, bytes) SELECT 1, coalesce(sum(counted), 0) FROM event`;

export type Events = ReturnType<typeof eventsIn>;

/**
 * The calls of a store on an open file. `owner` follows the event's id in each lease. `moved` receives the buffers of
 * the records that were read, which are then moved to another thread.
 */
export function eventsIn(database: DatabaseSync, owner: string, moved: ArrayBuffer[]) {
  const sql = statementsOf(database);

  /** The record of an event; null if it is over `largest` bytes, or absent. */
  function read(id: string, largest: number): Uint8Array<ArrayBuffer> | null {
    const [found] = sql<{ content: Uint8Array<ArrayBuffer> }>`SELECT content FROM event JOIN record USING (place)
      WHERE id = ${id} AND octet_length(content) <= ${largest}`;
    if (found !== undefined) moved.push(found.content.buffer);
    return found?.content ?? null;
  }

  return {
    read,

    /** `most`: the maximum number of bytes of all events together. */
    add(
      { id, note, record }: { id: string; note: Note; record: Uint8Array<ArrayBuffer> },
      pause: number,
      most: number,
    ) {
      const of = bodyTag(id);
      const counted = Math.max(record.length, contract.LEAST_BYTES);
      // Twins are the ids that begin with `${of}-`; `.` follows `-` in ASCII, so it bounds the range. If the row of
      // `total` is missing, `hasRoom` is null, which counts as full.
      const [known] = sql<{ old: number | null; hasRoom: number | null; twins: number }>`SELECT old,
        (SELECT bytes FROM total) - coalesce(old, 0) + ${counted} <= ${most} AS hasRoom,
        (SELECT count(*) FROM event WHERE id > ${`${of}-`} AND id < ${`${of}.`}) AS twins
        FROM (SELECT (SELECT counted FROM event WHERE id = ${id}) AS old)`;
      if (!known?.hasRoom) return 'full';
      if (known.old === null && known.twins >= contract.MAX_OF_ONE_BODY) return 'crowded';
      sql`DELETE FROM event WHERE id = ${id}`;
      sql`INSERT INTO event(id, due, stored, state, bytes, note)
        VALUES (${id}, ${later(pause)}, ${Date.now()}, 'waiting', ${record.length}, ${noteText(note)})`;
      sql`INSERT INTO record(place, content) SELECT place, ${record} FROM event WHERE id = ${id}`;
      return known.old === null ? 'stored' : 'replaced';
    },

    /** `largest`: the maximum number of bytes in a record that is read. */
    lease({ limit, room, held }: contract.Asked, largest: number) {
      const [leases, ids] = [JSON.stringify(held), JSON.stringify(held.map(contract.leasedId))];
      sql`UPDATE event SET due = ${later(contract.LEASE_MS)} WHERE id IN (SELECT value FROM json_each(${ids}))
        AND lease IN (SELECT value FROM json_each(${leases}))`;
      const due = sql<
        contract.Entry & { size: number }
      >`SELECT id, bytes, state, note, coalesce(octet_length(content), 0) AS size
        FROM event LEFT JOIN record USING (place) WHERE due <= ${Date.now()}
        AND id NOT IN (SELECT value FROM json_each(${ids})) ORDER BY due LIMIT ${limit}`;
      const leased: contract.Leased[] = [];
      let left = room;
      for (const { size, ...event } of noted(due)) {
        const isRead = size <= largest;
        if (isRead && size > left) break;
        if (isRead) left -= size;
        const lease = `${event.id} ${owner}${randomUUID()}`;
        sql`UPDATE event SET lease = ${lease}, due = ${later(contract.LEASE_MS)} WHERE id = ${event.id}`;
        leased.push({ ...event, lease, record: isRead ? (read(event.id, largest) ?? new Uint8Array()) : null });
      }
      const [next] = sql<{ due: number }>`SELECT due FROM event ORDER BY due LIMIT 1`;
      return { leased, wait: next === undefined ? Infinity : Math.max(0, next.due - Date.now()) };
    },

    set(lease: string, setting: contract.Setting | null): boolean {
      const id = contract.leasedId(lease);
      if (setting === null) return sql`DELETE FROM event WHERE id = ${id} AND lease = ${lease} RETURNING 1`.length > 0;
      const { pause, state, note } = setting;
      return (
        sql`UPDATE event SET due = ${later(pause)}, state = ${state}, lease = NULL,
        note = coalesce(${note && noteText(note)}, note) WHERE id = ${id} AND lease = ${lease} RETURNING 1`.length > 0
      );
    },

    end: (id: string, age: number): boolean =>
      sql`DELETE FROM event WHERE id = ${id} AND stored < ${Date.now() - age} RETURNING 1`.length > 0,

    page(place: string): readonly [next: string, entries: readonly contract.Entry[]] {
      const page = sql<
        contract.Entry & { place: number }
      >`SELECT place, id, bytes, state, due - ${Date.now()} AS wait, note
        FROM event WHERE place > ${Number(place)} ORDER BY place LIMIT ${PAGE}`;
      return [`${page[PAGE - 1]?.place ?? 0}`, noted(page)];
    },

    summary(): contract.Summary {
      const now = Date.now();
      sql`UPDATE event SET due = ${now} WHERE due > ${now + contract.LONGEST_WAIT_MS} AND +state = 'waiting'`;
      let sums = sql<contract.Group & { words: string }>`SELECT state, words, count(*) AS deliveries,
        sum(counted) AS bytes, min(came) AS oldest FROM event GROUP BY state, words LIMIT ${contract.MOST_GROUPS + 1}`;
      if (sums.length > contract.MOST_GROUPS) {
        sums = sql`SELECT state, '' AS words, count(*) AS deliveries,
          sum(counted) AS bytes, min(came) AS oldest FROM event GROUP BY state`;
      }
      const groups = sums.map(({ words, ...group }) => ({ ...group, ...readWords(words) }));
      const soonest = sql<contract.Entry>`SELECT id, bytes, state, due - ${now} AS wait, note FROM event
        ORDER BY due LIMIT ${contract.SOONEST}`;
      const dropped = sql<contract.Entry>`DELETE FROM dropped
        WHERE key IN (SELECT key FROM dropped LIMIT ${PAGE}) RETURNING id, note`;
      return { groups, soonest: noted(soonest), dropped: noted(dropped) };
    },

    wake(ids: readonly string[]): number {
      const [given, now] = [JSON.stringify(ids), Date.now()];
      sql`UPDATE event SET due = min(due, ${now}), state = iif(state = 'stopped', 'waiting', state)
        WHERE id IN (SELECT value FROM json_each(${given})) AND (lease IS NULL OR due <= ${now})`;
      return sql`SELECT 1 FROM event WHERE id IN (SELECT value FROM json_each(${given}))`.length;
    },

    drop(id: string): contract.Dropped {
      const [free] = sql<{ note: string }>`DELETE FROM event
        WHERE id = ${id} AND (lease IS NULL OR due <= ${Date.now()}) RETURNING note`;
      if (free === undefined) return sql`SELECT 1 FROM event WHERE id = ${id}`.length > 0 ? 'leased' : 'absent';
      sql`INSERT INTO dropped(id, note) VALUES (${id}, ${free.note})`;
      return 'dropped';
    },
  };
}

/**
 * Prepares each template once, and binds its values. Node's own `createTagStore` keeps its statements when the database
 * is closed, on Node 24: the file then stays open, and cannot be opened anew once its log was deleted.
 */
function statementsOf(database: DatabaseSync) {
  const prepared = new Map<TemplateStringsArray, StatementSync>();
  return <Row>(template: TemplateStringsArray, ...values: SQLInputValue[]): Row[] => {
    const statement = prepared.get(template) ?? database.prepare(template.join('?'));
    prepared.set(template, statement);
    return statement.all(...values) as Row[];
  };
}

const later = (pause: number) => Math.min(Date.now() + Math.max(0, Math.ceil(pause)), 9e15);

/** The rows, with their notes parsed. */
const noted = <Row>(rows: readonly (Row & { readonly note: unknown })[]) =>
  rows.map((row) => ({ ...row, note: readNote(String(row.note)) }));
