// The events in a file of SQLite: its tables, and each call of a store as a few statements within the caller's
// transaction. Records have a table of their own, and are read only to be sent or for an operator's command.
import { randomUUID } from 'node:crypto';
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { dropOldest } from '../../base/drop-oldest.ts';
import { bodyTag } from '../../core/request-record.ts';
import { type Note, noteText, readNote, readWords } from '../note.ts';
import * as store from './store.ts';

/** The maximum number of notes on a page: a page must fit into the thread's heap, and not delay a writer for long. */
const PAGE = 500;

/** SQL that reads a field of the note. The note may be any text, even one that is not JSON. */
const ofNote = (name: string) => `iif(json_valid(note), note, '{}') ->> '${name}'`;
const WORDS = ['failure', 'secret', 'key', 'route'].map(ofNote).join(', ');

/**
 * The CHECKs bind other programs that write to the file, too. A summary reads its sums from the index `event_sums`.
 * `asked`: 1 from when a person asks for a sending, 2 once the event is leased for that, 0 again once that has ended.
 */
export const SCHEMA: readonly string[] = [
  `CREATE TABLE event(
  place INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE CHECK (octet_length(id) = ${store.ID_LENGTH}),
  due INTEGER NOT NULL CHECK (due BETWEEN 0 AND 9000000000000000),
  stored INTEGER NOT NULL CHECK (stored BETWEEN 0 AND 9000000000000000),
  state TEXT NOT NULL CHECK (state IN ('waiting', 'stopped', 'expired', 'unverified')),
  asked INTEGER NOT NULL DEFAULT 0 CHECK (asked IN (0, 1, 2)),
  bytes INTEGER NOT NULL CHECK (bytes BETWEEN 0 AND 2147483647),
  lease TEXT CHECK (octet_length(lease) <= 100),
  note TEXT NOT NULL CHECK (octet_length(note) <= 4096),
  counted INTEGER AS (max(bytes, ${store.LEAST_BYTES})),
  came INTEGER AS (max(0, min(CAST(coalesce(${ofNote('came')}, 0) AS INTEGER), 8640000000000000))),
  words TEXT AS (json_array(${WORDS}))
) STRICT`,
  'CREATE INDEX event_due ON event(due, state)',
  'CREATE INDEX event_sums ON event(state, words, came, counted)',
  'CREATE INDEX event_came ON event(came)',
  "CREATE INDEX event_kept ON event(came, counted) WHERE state <> 'waiting'",
  'CREATE TABLE record(place INTEGER PRIMARY KEY, content BLOB NOT NULL) STRICT',
  'CREATE TABLE dropped(key INTEGER PRIMARY KEY, id TEXT NOT NULL, note TEXT NOT NULL) STRICT',
  `CREATE TABLE lost(
  key INTEGER PRIMARY KEY, at INTEGER NOT NULL, id TEXT NOT NULL, note TEXT NOT NULL, why TEXT NOT NULL, events INTEGER
) STRICT`,
  'CREATE TABLE total(bytes INTEGER NOT NULL, events INTEGER NOT NULL) STRICT',
  `CREATE TRIGGER event_added AFTER INSERT ON event BEGIN
  UPDATE total SET bytes = bytes + new.counted, events = events + 1;
END`,
  `CREATE TRIGGER event_removed AFTER DELETE ON event BEGIN
  UPDATE total SET bytes = bytes - old.counted, events = events - 1;
  DELETE FROM record WHERE place = old.place;
END`,
];

/** SQL with which an owner takes over a file: it ends the leases of former owners, and counts everything again. */
export const inheritance = (owner: string) => `UPDATE event SET due = min(due, unixepoch() * 1000), lease = NULL
WHERE substr(lease, ${store.ID_LENGTH + 2}, ${owner.length}) <> '${owner}';
INSERT OR REPLACE INTO total(rowid, bytes, events) SELECT 1, coalesce(sum(counted), 0), count(*) FROM event`;

export type Queries = ReturnType<typeof queriesOn>;

export interface Shared {
  /** The text that follows the event's id in each lease. */
  readonly owner: string;
  /** Receives the buffers of the records that were read, which are then moved to another thread. */
  readonly readRecords: ArrayBuffer[];
  /** The last thousand leases that a call has ended, for a caller that missed the answer. */
  readonly ended: Set<string>;
  readonly aside: () => readonly store.Aside[];
}

export function queriesOn(database: DatabaseSync, { owner, readRecords, ended, aside }: Shared) {
  const sql = statementsOf(database);

  const queries = {
    /** How many events there are; null if that is not known. */
    count: (): number | null => sql<{ events: number }>`SELECT events FROM total`[0]?.events ?? null,

    /** `most`: the maximum number of bytes of all events together. */
    add(
      { id, note, record }: { id: string; note: Note; record: Uint8Array<ArrayBuffer> },
      pause: number,
      most: number,
    ) {
      const of = bodyTag(id);
      const counted = store.countedBytes(record.length);
      // Alike are the ids that begin with `${of}-`; `.` follows `-` in ASCII, so it bounds the range. If the row of
      // `total` is missing, `excess` is null, which counts as full.
      const [before] = sql<{ old: number | null; excess: number | null; alike: number }>`SELECT old,
        (SELECT bytes FROM total) - coalesce(old, 0) + ${counted - most} AS excess,
        (SELECT count(*) FROM event WHERE id > ${`${of}-`} AND id < ${`${of}.`}) AS alike
        FROM (SELECT (SELECT counted FROM event WHERE id = ${id}) AS old)`;
      const excess = before?.excess ?? Infinity;
      if (excess > 0) {
        // What a person asked for is due, or leased. To look at `asked` in all that is kept took a second.
        const [sum] = sql<{ kept: number }>`SELECT
          (SELECT coalesce(sum(counted), 0) FROM event WHERE state <> 'waiting')
          - (SELECT coalesce(sum(counted), 0) FROM event WHERE due <= ${later(store.LEASE_MS)} AND asked AND state <> 'waiting')
          - coalesce((SELECT counted FROM event WHERE id = ${id} AND state <> 'waiting' AND asked = 0), 0) AS kept`;
        return sum !== undefined && excess <= sum.kept ? { lacking: excess } : 'full';
      }
      if (before?.old === null && before.alike >= store.MAX_OF_ONE_BODY) return 'crowded';
      sql`DELETE FROM event WHERE id = ${id}`; // triggers remove its record, and keep `total`
      sql`INSERT INTO event(id, due, stored, state, bytes, note)
        VALUES (${id}, ${later(pause)}, ${Date.now()}, 'waiting', ${record.length}, ${noteText(note)})`;
      sql`INSERT INTO record(place, content) VALUES (last_insert_rowid(), ${record})`; // no trigger changes that
      return before?.old === null ? 'stored' : 'replaced';
    },

    /** `largest`: the maximum number of bytes in a record that is read. */
    lease({ limit, room, leases }: store.LeaseRequest, largest: number) {
      const own = new Set(leases.map(store.leasedId));
      const due = sql<Row & Sized>`SELECT place, id, bytes, state, asked, note,
        ifnull(octet_length(content), 0) AS size FROM event LEFT JOIN record USING (place) WHERE due <= ${Date.now()}
        ORDER BY due LIMIT ${limit && limit + leases.length}`;
      // Those of the caller are due only if it stood still: to renew them at each call took a tenth of a sending.
      if (limit === 0 || due.some(({ id }) => own.has(id))) leases.forEach(renew);
      const leased: store.Leased[] = [];
      let remaining = room;
      for (const { size, ...event } of due.filter(({ id }) => !own.has(id)).slice(0, limit)) {
        const isRead = size <= largest;
        remaining -= isRead ? size : 0;
        if (remaining < 0) break;
        leased.push(leasedOf(event, isRead ? recordAt(event.place) : null));
      }
      const [next] = sql<{ due: number }>`SELECT due FROM event ORDER BY due LIMIT 1`;
      return { leased, wait: next === undefined ? Infinity : Math.max(0, next.due - Date.now()) };
    },

    change: (changes: readonly store.Change[]): readonly store.Changed[] => changes.map(make),

    loseFile: (why: string, events: number | null): void => remember(why, events, null),
    leaseKept: (id: string, bytes: number): readonly store.Leased[] =>
      sql<Row>`SELECT place, id, bytes, state, asked, note FROM
        (SELECT *, sum(counted) OVER (ORDER BY came, place) - counted AS before FROM
          (SELECT * FROM event WHERE state <> 'waiting' AND asked = 0 AND id <> ${id}
          AND (lease IS NULL OR due <= ${Date.now()}) ORDER BY came, place LIMIT ${PAGE}))
        WHERE before < ${bytes}`.map((oldest) => leasedOf(oldest, null)),

    find(id: string, largest: number): store.Found | null {
      const [entry = null] = sql<store.Entry & Sized>`SELECT place, id, bytes, state, asked, note, due, lease,
        ifnull(octet_length(content), 0) AS size FROM event LEFT JOIN record USING (place) WHERE id = ${id}`;
      return entry && { ...entry, record: entry.size <= largest ? recordAt(entry.place) : null };
    },

    page(cursor: string): readonly [next: string, entries: readonly store.Entry[]] {
      const [came = -1, place = 0] = cursor === '' ? [] : cursor.split(' ').map(Number);
      const page = sql<store.Entry & { came: number; place: number }>`SELECT
        came, place, id, bytes, state, asked, note, due, lease FROM event
        WHERE (came, place) > (${came}, ${place}) ORDER BY came, place LIMIT ${PAGE}`;
      const last = page[PAGE - 1];
      return [last === undefined ? '' : `${last.came} ${last.place}`, page];
    },

    summary(): store.Summary {
      const now = Date.now();
      sql`UPDATE event SET due = ${now} WHERE due > ${now + store.LONGEST_WAIT_MS} AND +state = 'waiting'`;
      let sums = sql<store.Group & { words: string }>`SELECT state, words, count(*) AS deliveries,
        sum(counted) AS bytes, min(came) AS oldest FROM event GROUP BY state, words LIMIT ${store.MOST_GROUPS + 1}`;
      if (sums.length > store.MOST_GROUPS) {
        sums = sql`SELECT state, '' AS words, count(*) AS deliveries,
          sum(counted) AS bytes, min(came) AS oldest FROM event GROUP BY state`;
      }
      const groups = sums.map(({ words, ...group }) => ({ ...group, ...readWords(words) }));
      const soonest = sql<store.Entry>`SELECT id, bytes, state, asked, note, due, lease FROM event
        ORDER BY due LIMIT ${store.SOONEST}`;
      const dropped = sql<store.Entry>`DELETE FROM dropped
        WHERE key IN (SELECT key FROM dropped LIMIT ${store.MOST_DROPPED}) RETURNING id, note`;
      const [{ lostLately } = { lostLately: 0 }] = sql<{ lostLately: number }>`SELECT
        coalesce(sum(coalesce(events, 1)), 0) AS lostLately FROM lost WHERE at >= ${now - store.LATELY_MS}`;
      const losses = queries.losses(store.SHOWN_LOSSES);
      return { groups, soonest, dropped, losses, lostLately, aside: aside(), evicts: null };
    },

    losses: (most = store.MOST_LOSSES): readonly store.Loss[] =>
      sql<store.Loss>`SELECT at, id, note, why, events FROM lost
        WHERE at >= ${Date.now() - store.LOSSES_FOR_MS} ORDER BY key DESC LIMIT ${most}`,

    /** Everything it did is undone in the same transaction, which still syncs: no other call sees the event. */
    test(): void {
      const id = store.TEST_ID;
      queries.add({ id, note: store.TEST_NOTE, record: new Uint8Array(1) }, 0, Infinity);
      sql`UPDATE event SET due = 0 WHERE id = ${id}`;
      const [leased] = queries.lease({ limit: 1, room: 1, leases: [] }, 1).leased;
      const lease = leased?.lease ?? '';
      queries.lease({ limit: 0, room: 0, leases: [lease] }, 0);
      const isRenewed = queries.page('')[1][0]?.id === id && (queries.find(id, 1)?.wait ?? 0) > 0;
      const set = { pause: 0, state: 'stopped', note: store.TEST_NOTE } as const;
      const changed = queries.change([
        { id, lease, to: set },
        { id, to: 'taken' },
      ]);
      if (leased?.record?.length !== 1 || !isRenewed || changed.some((each) => each !== 'done'))
        throw new Error('its test event did not go all the way');
    },
  };

  function leasedOf({ place, ...event }: Row, record: store.Leased['record']): store.Leased {
    const lease = `${event.id} ${owner}${randomUUID()}`;
    // A person's ask during an earlier lease (1) is one from before this one (2).
    sql`UPDATE event SET lease = ${lease}, due = ${later(store.LEASE_MS)}, asked = min(2 * asked, 2)
      WHERE place = ${place}`;
    return { ...event, lease, record };
  }

  /** The record of the event at a place; empty if there is none. */
  function recordAt(place: number): Uint8Array<ArrayBuffer> {
    const [record] = sql<{ content: Uint8Array<ArrayBuffer> }>`SELECT content FROM record WHERE place = ${place}`;
    if (record !== undefined) readRecords.push(record.content.buffer);
    return record?.content ?? new Uint8Array();
  }

  function renew(lease: string): void {
    sql`UPDATE event SET due = ${later(store.LEASE_MS)} WHERE id = ${store.leasedId(lease)} AND lease = ${lease}`;
  }

  function make(change: store.Change): store.Changed {
    const { id, lease = null, age = null, to } = change;
    const now = Date.now();
    if (typeof to !== 'string' && to.asked) sql`UPDATE event SET asked = 1 WHERE id = ${id}`; // leased or not
    // Its own lease; or stored long enough ago; or, where neither is asked for, free.
    const [event] = sql<{ place: number }>`SELECT place FROM event WHERE id = ${id} AND (
      lease = ${lease} AND NOT (asked = 1 AND ${Number(store.isLoss(to))})
      OR stored < ${age === null ? null : now - age} OR ${lease ?? age} IS NULL AND (lease IS NULL OR due <= ${now}))`;
    if (event === undefined) {
      if (lease !== null && ended.has(lease)) return 'done';
      return sql`SELECT 1 FROM event WHERE id = ${id}`.length > 0 ? 'leased' : 'absent';
    }
    if (lease !== null) dropOldest(ended.add(lease), 1000);
    if (typeof to === 'string') remove(event.place, to);
    else update(event.place, to);
    return 'done';
  }

  function update(place: number, setting: store.Setting): void {
    const { pause, state = null, asked = null, note = null } = setting;
    sql`UPDATE event SET due = iif(asked = 1, ${Date.now()}, ${later(pause)}), lease = NULL,
      asked = iif(asked = 1, 1, coalesce(${asked === null ? null : Number(asked)}, asked)),
      state = coalesce(${state}, state), note = coalesce(${note && noteText(note)}, note)
      WHERE place = ${place}`;
  }

  /** Triggers remove its record, and keep `total`. */
  function remove(place: number, why: store.WhyRemoved): void {
    if (why === 'dropped') sql`INSERT INTO dropped(id, note) SELECT id, note FROM event WHERE place = ${place}`;
    else if (store.isLoss(why)) remember(why, 1, place);
    sql`DELETE FROM event WHERE place = ${place}`;
  }

  /** Remembers a loss: of the event at a place, or of a file's. */
  function remember(why: string, events: number | null, place: number | null): void {
    sql`INSERT INTO lost(at, id, note, why, events) SELECT ${Date.now()}, ifnull(id, ''), ifnull(note, ''), ${why}, ${events}
      FROM (SELECT ${place} AS place) LEFT JOIN event USING (place)`;
    sql`DELETE FROM lost WHERE key <= (SELECT max(key) FROM lost) - ${store.MOST_LOSSES}
      OR at < ${Date.now() - store.LOSSES_FOR_MS}`;
  }

  return queries;
}

type Row = Omit<store.Entry, 'wait' | 'leased'> & { readonly place: number };
/** `size`: bytes of the record; 0 if there is none. */
type Sized = { readonly place: number; readonly size: number };

/**
 * Prepares each template once, and returns its rows with notes and times read. Node's own `createTagStore` keeps its
 * statements when the database is closed, on Node 24: the file then stays open, and never opens without its log.
 */
function statementsOf(database: DatabaseSync) {
  const prepared = new Map<TemplateStringsArray, StatementSync>();
  return <Row>(template: TemplateStringsArray, ...values: SQLInputValue[]): Row[] => {
    const statement = prepared.get(template) ?? database.prepare(template.join('?'));
    prepared.set(template, statement);
    return statement.all(...values).map((row) => {
      if (!('note' in row)) return row;
      const { lease = null, due, ...others } = row;
      const noted = { ...others, note: readNote(String(row.note)) };
      const wait = Number(due) - Date.now();
      return 'asked' in row ? { ...noted, asked: row.asked !== 0, wait, leased: lease !== null && wait > 0 } : noted;
    }) as Row[];
  };
}

const later = (pause: number) => Math.min(Date.now() + Math.max(0, Math.ceil(pause)), 9e15);
