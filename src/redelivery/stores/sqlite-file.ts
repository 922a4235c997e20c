// The file of the embedded store: opened, looked at before each use, set aside once it is damaged, kept small. Every call
// here may hang with its disk.
import { readdirSync, renameSync, rmSync, statfsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import {
  BUSY,
  checkFile,
  identityOf,
  lockDirectory,
  makeDirectory,
  makeFile,
  sizeOf,
  sqliteCode,
  syncDirectory,
} from './sqlite-directory.ts';
import { type Events, eventsIn, SCHEMA } from './sqlite-events.ts';

/** SQLite's codes (https://www.sqlite.org/rescode.html). */
const [CORRUPT, FULL, NO_DATABASE] = [11, 13, 26];
/** A call that meets a lock is answered within a second. */
const BUSY_MS = 500;
/** Bytes. A removal needs room too, in the log and in the file that takes it over. */
const LEAST_FREE = 8 * 1024 * 1024;
/** The log is emptied at 4 MiB, unless another program reads on and on. */
const MOST_LOG = 64 * 1024 * 1024;
/** Pages that are free before some are given back to the file system, and how many at a time. */
const [MOST_FREE, PIECE] = [1024, 256];
const MOST_ASIDE = 4;

/**
 * `page_size` and `auto_vacuum` come first: they are of a new file alone. Nothing is mapped, so a truncated file is an
 * error and no SIGBUS; the root may be read-only; what was delivered is overwritten.
 */
const SETTINGS = `PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA mmap_size=0;
PRAGMA temp_store=MEMORY; PRAGMA secure_delete=ON; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;
PRAGMA cache_size=-1024; PRAGMA wal_autocheckpoint=1000; PRAGMA journal_size_limit=4194304`;

/** `NORMAL`: a loss of power may undo what is written. `none`: nothing is written. */
export type Sync = 'none' | 'NORMAL' | 'FULL';

interface Opened {
  readonly database: DatabaseSync;
  readonly events: Events;
  /** The database and, of an owner, the lock. */
  readonly parts: DisposableStack;
  /** By path, of what must stay the same while it is open. */
  readonly identities: ReadonlyMap<string, string>;
}

/** Damage that SQLite itself does not call an error. */
class DamageError extends Error {}

export const isFull = (error: unknown) => sqliteCode(error) === FULL;

export class StoreFile {
  readonly #path: string;
  readonly #directory: string;
  readonly #logs: readonly string[];
  readonly #isOwner: boolean;
  #opened: Opened | null = null;
  /** The file that comes next holds nothing yet, and nothing is known to be lost with it. */
  #isNew = false;
  /** Not fetched yet: why what was stored is gone, or was set aside. */
  readonly losses: string[] = [];
  /** Not fetched yet: the buffers of what was read. */
  readonly moved: ArrayBuffer[] = [];

  constructor(path: string, as: 'owner' | 'visitor') {
    this.#path = path;
    this.#directory = dirname(path);
    this.#logs = [`${path}-wal`, `${path}-shm`];
    this.#isOwner = as === 'owner';
  }

  /** Runs a job in one transaction, with one sync. Throws if it has not taken effect, as far as anybody can know. */
  transaction<T>(sync: Sync, job: (events: Events) => T): T {
    try {
      return this.#use(({ database, events }) => {
        database.exec(sync === 'none' ? 'BEGIN' : `PRAGMA synchronous=${sync}; BEGIN IMMEDIATE`);
        try {
          const result = job(events);
          database.exec('COMMIT');
          return result;
        } catch (error) {
          if (database.isTransaction) database.exec('ROLLBACK');
          throw error;
        }
      });
    } catch (error) {
      if (sqliteCode(error) === BUSY) throw new Error('another program keeps its file locked');
      if (!isFull(error)) this.close();
      throw error;
    }
  }

  /** Why nothing can be added now; null: it can. */
  roomProblem(): string | null {
    const { bavail, bsize } = statfsSync(this.#directory);
    if (bavail * bsize < LEAST_FREE) return 'less than 8 MiB are free on its file system';
    return this.#isLogLong() ? 'another program reads its file on and on, so its log grows' : null;
  }

  #isLogLong(): boolean {
    return sizeOf(`${this.#path}-wal`) > MOST_LOG;
  }

  /** Gives back what is free: all, and the log, once nothing is stored; else a piece of what is much. Waits for nobody. */
  tidy(): void {
    this.#use(({ database, events }) => {
      const isEmpty = events.isEmpty();
      const free = Number(database.prepare('PRAGMA freelist_count').get()?.freelist_count);
      if (isEmpty || free > MOST_FREE) database.exec(`PRAGMA incremental_vacuum(${isEmpty ? free : PIECE})`);
      if (!isEmpty && !this.#isLogLong()) return;
      database.exec(`PRAGMA busy_timeout=0; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA busy_timeout=${BUSY_MS}`);
    });
  }

  close(): void {
    const opened = this.#opened;
    this.#opened = null;
    opened?.parts.dispose();
  }

  /** Runs a job with the file; once more with a new one if this one is damaged. */
  #use<T>(job: (opened: Opened) => T): T {
    try {
      return job(this.#usable());
    } catch (error) {
      const isDamage = error instanceof DamageError || [CORRUPT, NO_DATABASE].includes(sqliteCode(error));
      if (!isDamage || !this.#isOwner) throw error;
      this.#setAside(error);
      return job(this.#usable());
    }
  }

  /** SQLite would go on with a file that nobody finds any more, so what it promised then would be lost. */
  #usable(): Opened {
    const identities = [...(this.#opened?.identities ?? [])];
    const changed = identities.filter(([path, identity]) => identityOf(path) !== identity).map(([path]) => path);
    if (changed.length > 0) this.close(); // this empties the log into the file, if that is still there
    if (changed.includes(this.#path)) {
      // Those that are as they were belong to the file that is gone.
      for (const own of this.#logs) if (!changed.includes(own)) rmSync(own, { force: true });
      this.#lose(`${this.#path} was removed or replaced`);
    }
    this.#opened ??= this.#open();
    return this.#opened;
  }

  #setAside(damage: unknown): void {
    this.close();
    const prefix = `aside-${basename(this.#path)}-`;
    const there = readdirSync(this.#directory).filter((name) => name.startsWith(prefix) && name.endsWith('Z'));
    if (there.length >= MOST_ASIDE) {
      throw new Error(`it is damaged, as ${MOST_ASIDE} were before: look at the disk, and move them away`);
    }
    const aside = `${prefix}${new Date().toISOString().replaceAll(':', '')}`;
    for (const ending of ['-wal', '']) {
      const file = `${this.#path}${ending}`;
      if (checkFile(file) === 'present') renameSync(file, join(this.#directory, `${aside}${ending}`));
    }
    rmSync(`${this.#path}-shm`, { force: true });
    syncDirectory(this.#directory);
    const problem = damage instanceof Error ? damage.message : String(damage);
    this.#lose(`${this.#path}: ${problem}; what is left of it is ${aside} there`);
  }

  #lose(problem: string): void {
    this.losses.push(problem);
    this.#isNew = true;
  }

  #open(): Opened {
    const [path, directory] = [this.#path, this.#directory];
    using parts = new DisposableStack();
    const watched = this.#isOwner ? [directory, join(directory, 'lock'), path, ...this.#logs] : [];
    if (this.#isOwner) this.#claim(watched, parts);
    // People's commands make nothing: to them a file that is not there is an empty one.
    const place = this.#isOwner || sizeOf(path) > 0 ? path : ':memory:';
    const database = parts.use(new DatabaseSync(place, { timeout: BUSY_MS }));
    database.exec(SETTINGS);
    const schema = database.prepare('SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL').all();
    if (schema.length === 0) database.exec(`BEGIN IMMEDIATE; ${SCHEMA.join(';')}; COMMIT`);
    else if (schema.length !== SCHEMA.length || !schema.every(({ sql }) => SCHEMA.includes(String(sql)))) {
      throw new DamageError('it holds no events of this version');
    }
    const events = eventsIn(database, this.moved);
    if (this.#isOwner) {
      const [found] = database.prepare("PRAGMA integrity_check('event')").all();
      if (found?.integrity_check !== 'ok') throw new DamageError(String(found?.integrity_check));
      events.inherit();
      syncDirectory(directory);
    }
    this.#isNew = false;
    const identities = new Map(watched.map((file) => [file, identityOf(file)]));
    return { database, events, parts: parts.move(), identities };
  }

  /** Makes what an owner needs, locks it, and tells what is gone since the last owner. */
  #claim([directory = '', ...files]: readonly string[], parts: DisposableStack): void {
    makeDirectory(directory);
    const [lock, , log, index] = files.map(checkFile);
    this.#isNew ||= lock === 'absent';
    const isEmpty = sizeOf(this.#path) === 0;
    const problem = this.#isNew && isEmpty ? this.roomProblem() : null;
    if (problem !== null) throw new Error(problem); // with a lock, the next start would take this for a loss
    parts.use(lockDirectory(directory));
    if (!this.#isNew && isEmpty) throw new DamageError('it is empty, or was removed');
    // SQLite itself removes the index first.
    if (log === 'absent' && index === 'present')
      this.#lose(`${this.#path}-wal was removed, and what came last with it`);
    makeFile(this.#path);
  }
}
