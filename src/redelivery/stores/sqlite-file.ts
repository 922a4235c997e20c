// The file of the embedded store: opened, checked before each use, set aside once it is damaged, kept small. Only the
// process's user may use its directory, which is on a local file system, and only one proxy at a time. Every call here
// may hang if the disk does.
import * as fs from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { codeOf } from '../../base/errors.ts';
import { inheritance, type Queries, queriesOn, SCHEMA, type Shared } from './sqlite-queries.ts';
import { type Aside, IN_USE, MOST_LOSSES } from './store.ts';

/** SQLite's codes (https://www.sqlite.org/rescode.html). `BUSY`: another program has a lock. */
const [BUSY, CORRUPT, FULL, NO_DATABASE] = [5, 11, 13, 26];
/** Milliseconds to wait for a lock: so short that two calls in a row that both wait still end within a second. */
const BUSY_MS = 300;
/** Bytes that must be free before an event is added: a removal needs room too, in the log and then in the file. */
const LEAST_FREE = 8 * 1024 * 1024;
const MOST_ASIDE = 4;
const MOST_IDS = 20_000; // some 3 MB of the thread's heap
const GONE = 'was removed or replaced';
/** A header (see `headerOf`) that SQLite calls read-only, or of an unsupported format, and not damaged. */
const OTHER_FORMAT = /^SQLite format 3\0(?!..[\x01\x02]{2}.{8}\0{3}[\0-\x04])/s;
/** Milliseconds between two losses that are told, and between two files that are set aside: no loop makes more. */
const PACE_MS = 1000;
/** The name of a file that was set aside; it ends with the number of events that it had, where that is known. */
const ASIDE = /^aside-queue\.sqlite-(\d{4}-\d\d-\d\d)T(\d\d)(\d\d)([\d.]+)Z(?:-(\d+))?$/;

/** Linux's numbers (statfs) for network and cluster file systems, on which SQLite's locks and shared memory fail. */
const NETWORKS: Readonly<Record<number, string>> = {
  ...{ 26985: 'NFS', 4283649346: 'CIFS', 4266872130: 'SMB', 20859: 'SMB', 16914839: '9p', 12805120: 'CephFS' },
  ...{ 198183888: 'Lustre', 1196443219: 'GPFS', 1397113167: 'AFS', 1952539503: 'OCFS2', 18225520: 'GFS2' },
};

/** Settings only for a new file: in an existing one they would be a write, for which a visitor needs lock and space. */
const NEW_FILE = 'PRAGMA page_size=4096; PRAGMA auto_vacuum=FULL';

/**
 * The file is not mapped into memory: if it is truncated, that is an error and not a SIGBUS. Temporary data stays in
 * memory, since the root may be read-only. What was delivered is overwritten, and its space is freed.
 */
const SETTINGS = `PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY; PRAGMA secure_delete=ON; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;
PRAGMA cache_size=-1024; PRAGMA wal_autocheckpoint=1000; PRAGMA journal_size_limit=4194304`;

interface Opened {
  readonly database: DatabaseSync;
  readonly queries: Queries;
  /** The database and, for an owner, the lock. */
  readonly parts: DisposableStack;
  /** The identities of the `#watched` files when the database was opened, in the same order. */
  readonly identities: readonly string[];
  /** True once the file's header has changed: SQLite answers from its cache, whatever the file was overwritten with. */
  readonly isOverwritten: () => boolean;
}

/** What a transaction changes must outlive a power cut, or need not; or it changes nothing. */
type Kind = 'lasting' | 'lease' | 'read';

export interface FileOptions {
  readonly path: string;
  /** Eight hex digits that name the owner, so that it keeps its leases if it opens the file again. Null: a visitor. */
  readonly owner: string | null;
}

/** Damage of the store's file that SQLite itself does not call an error. */
class DamageError extends Error {}
export type FileLoss = readonly [problem: string, events: number | null];

export const isFull = (error: unknown) => sqliteCode(error) === FULL;
const isDamage = (error: unknown) => error instanceof DamageError || [CORRUPT, NO_DATABASE].includes(sqliteCode(error));

export class StoreFile {
  readonly #path: string;
  readonly #directory: string;
  readonly #owner: string | null;
  /** The paths that must stay the same while the file is open: directory, lock, file, its log and the log's index. */
  readonly #watched: readonly string[];
  #opened: Opened | null = null;
  /** True if the next file that is opened should be empty: that is then not reported as another loss. */
  #isNew = false;
  /** How many events the file had after the last change; null if that is not known. */
  #count: number | null = null;
  /** The losses that are not told yet: why stored events are gone, or were set aside. */
  readonly #untold: FileLoss[] = [];
  /** The ids in a file that was removed or replaced, until the next one is open. */
  #gone: readonly string[] | null = null;
  /** The losses that no open file remembers yet. */
  #unwritten: FileLoss[] = [];
  /** When a loss was last told, in milliseconds on the monotonic clock. */
  #toldAt = Number.NEGATIVE_INFINITY;
  readonly shared: Shared;

  constructor({ path, owner }: FileOptions) {
    this.#path = path;
    this.#directory = dirname(path);
    this.#owner = owner;
    const files = [join(this.#directory, 'lock'), path, `${path}-wal`, `${path}-shm`];
    this.#watched = owner === null ? [] : [this.#directory, ...files];
    const aside = () => this.#aside();
    this.shared = { owner: owner ?? '', readRecords: [], ended: new Set(), aside };
  }

  /**
   * Runs a job in one transaction, with one sync if it must outlive a power cut. If the file looks damaged, runs the job
   * again with the file reopened, and then with a new file. Throws if the job had no effect, as far as can be known.
   */
  transaction<T>(kind: Kind, job: (queries: Queries) => T): T {
    for (let tries = 1; ; tries++) {
      try {
        return this.#try(kind, job);
      } catch (error) {
        if (sqliteCode(error) === BUSY) throw new Error('another program keeps its file locked');
        if (isFull(error)) throw error;
        this.close();
        if (!isDamage(error) || this.#owner === null || tries === 4) throw error;
        // A page that the disk only failed to read is malformed to SQLite, too: it must be so after the file could be read.
        if (tries === 2) this.#readThrough();
        if (tries === 3) this.#setAside(error as Error);
      }
    }
  }

  #try<T>(kind: Kind, job: (queries: Queries) => T): T {
    const { database, queries } = this.#usable();
    try {
      if (kind !== 'read') database.exec(`PRAGMA synchronous=${kind === 'lasting' ? 'FULL' : 'NORMAL'}`);
      database.exec(kind === 'read' ? 'BEGIN' : 'BEGIN IMMEDIATE');
      const result = job(queries);
      const count = queries.count();
      database.exec('COMMIT');
      this.#count = count;
      if (kind !== 'read' && count === 0) emptyLog(database);
      return result;
    } finally {
      if (database.isTransaction) database.exec('ROLLBACK');
    }
  }

  nextLoss(): readonly FileLoss[] {
    if (performance.now() - this.#toldAt < PACE_MS) return [];
    if (this.#untold.length > 0) this.#toldAt = performance.now();
    return this.#untold.splice(0, 1);
  }

  /** Why nothing can be added now; null if it can. */
  noRoom(): string | null {
    const { bavail, bsize } = fs.statfsSync(this.#directory);
    return bavail * bsize < LEAST_FREE ? 'less than 8 MiB are free on its file system' : null;
  }

  close(): void {
    const opened = this.#opened;
    this.#opened = null;
    opened?.parts.dispose();
  }

  /** Reopens a file that was removed or replaced: SQLite would go on using the old one, and lose what it adds there. */
  #usable(): Opened {
    const identities = this.#opened?.identities ?? [];
    const changed = this.#watched.filter((path, at) => at in identities && identityOf(path) !== identities[at]);
    const isGone = changed.includes(this.#path);
    if (isGone) this.#gone = this.#ids();
    // Closing empties the log into the file, if it is still there. The log may hold all of an overwritten file.
    if (changed.length > 0 || this.#opened?.isOverwritten()) this.close();
    if (isGone) {
      // A log or index that has not changed belongs to the file that is gone.
      for (const own of this.#watched.slice(3)) if (!changed.includes(own)) fs.rmSync(own, { force: true });
      if (this.#gone === null) this.#lose(`${this.#path} ${GONE}`);
      [this.#isNew, this.#count] = [true, null];
    }
    try {
      this.#opened ??= this.#open();
      return this.#opened;
    } finally {
      // All are lost if it cannot be opened now: after a restart nothing would tell it.
      if (this.#opened === null && this.#gone !== null) this.#lose(`${this.#path} ${GONE}`, this.#gone.length);
      this.#gone = null;
    }
  }

  /** The ids in the open file; null if they are too many, or not as many as it had. */
  #ids(): readonly string[] | null {
    try {
      const ids = this.#opened?.database.prepare(`SELECT id FROM event LIMIT ${MOST_IDS}`).all();
      return ids?.length === this.#count ? ids.map(({ id }) => String(id)) : null;
    } catch {
      return null; // it is damaged, too
    }
  }

  /** The damaged files that lie in the directory. A name tells when it was set aside, and how many events it had. */
  #aside(): readonly Aside[] {
    return fs.readdirSync(this.#directory).flatMap((name) => {
      const [whole, day, hour, minute, seconds, events] = ASIDE.exec(name) ?? [];
      if (whole === undefined) return [];
      const bytes = sizeOf(join(this.#directory, name));
      const at = Date.parse(`${day}T${hour}:${minute}:${seconds}Z`);
      return { name, bytes, at, events: events === undefined ? null : Number(events) };
    });
  }

  /** Throws if the disk fails to read the files; returns the endings of those that are there. */
  #readThrough(): readonly string[] {
    const endings = ['-wal', ''].filter((ending) => checkFile(`${this.#path}${ending}`) === 'present');
    for (const ending of endings) readThrough(`${this.#path}${ending}`);
    return endings;
  }

  #setAside(damage: Error): void {
    if (performance.now() - this.#toldAt < PACE_MS) throw damage;
    if (this.#aside().length >= MOST_ASIDE) {
      throw new Error(`it is damaged, as ${MOST_ASIDE} were before: look at the disk, and move them away`);
    }
    const time = new Date().toISOString().replaceAll(':', '');
    const aside = `aside-${basename(this.#path)}-${time}${this.#count === null ? '' : `-${this.#count}`}`;
    const endings = this.#readThrough();
    for (const ending of endings) fs.renameSync(`${this.#path}${ending}`, join(this.#directory, `${aside}${ending}`));
    fs.rmSync(`${this.#path}-shm`, { force: true });
    const where =
      endings.length > 0 ? `what is left of it is ${aside}${endings.at(-1)} there` : 'nothing is left of it';
    this.#lose(`${this.#path}: ${damage.message}; ${where}`);
  }

  #lose(problem: string, events = this.#count): void {
    if (this.#untold.length < MOST_LOSSES) this.#untold.push([problem, events]);
    this.#unwritten.push([problem, events]);
    this.#count = null;
    this.#isNew = true;
  }

  #open(): Opened {
    using parts = new DisposableStack();
    if (this.#owner !== null) this.#lockAndCheck(parts);
    // A visitor (a command beside the proxy) creates no file: to it, a missing file is an empty store.
    const databasePath = this.#owner !== null || sizeOf(this.#path) > 0 ? this.#path : ':memory:';
    const header = this.#owner === null ? () => '' : headerOf(this.#path, parts);
    if (OTHER_FORMAT.test(header())) throw new DamageError('its header is of no format that SQLite writes');
    const database = parts.use(new DatabaseSync(databasePath, { timeout: BUSY_MS }));
    if (sizeOf(this.#path) === 0) database.exec(NEW_FILE);
    database.exec(SETTINGS);
    const schema = database.prepare('SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL').all();
    if (schema.length === 0) database.exec(`BEGIN IMMEDIATE; ${SCHEMA.join(';')}; COMMIT`);
    else if (schema.length !== SCHEMA.length || !schema.every(({ sql }) => SCHEMA.includes(String(sql)))) {
      throw new DamageError('it holds no events of this version');
    }
    const queries = queriesOn(database, this.shared);
    if (this.#owner !== null) {
      const check = database.prepare("PRAGMA integrity_check('event')").get()?.integrity_check;
      if (check !== 'ok') throw new DamageError(String(check));
      database.exec(inheritance(this.#owner));
      // Not before the schema was checked: a view might never end.
      const has = database.prepare('SELECT 1 FROM event WHERE id = ?');
      const { here = null, lost = [] } = Object.groupBy(this.#gone ?? [], (id) => (has.get(id) ? 'here' : 'lost'));
      if (lost.length > 0) this.#lose(`${this.#path} ${GONE}`, lost.length);
      this.#gone = here; // until nothing below can fail any more
      for (const loss of this.#unwritten) queries.loseFile(...loss);
      this.#unwritten = [];
      database.exec('PRAGMA wal_checkpoint(TRUNCATE)'); // from now on the file itself has a header
    }
    this.#isNew = false;
    const [identities, headerNow] = [this.#watched.map(identityOf), header()];
    return { database, queries, parts: parts.move(), identities, isOverwritten: () => header() !== headerNow };
  }

  /** Creates what an owner needs, locks the directory, and reports what was lost since the last owner. */
  #lockAndCheck(parts: DisposableStack): void {
    makeDirectory(this.#directory);
    const [lock, , log, index] = this.#watched.slice(1).map(checkFile);
    this.#isNew ||= lock === 'absent';
    const isEmpty = sizeOf(this.#path) === 0;
    const problem = this.#isNew && isEmpty ? this.noRoom() : null;
    if (problem !== null) throw new Error(problem); // before a lock file makes the next start report a loss
    lockDirectory(join(this.#directory, 'lock'), parts);
    if (!this.#isNew && isEmpty) throw new DamageError('it is empty, or was removed');
    // SQLite itself removes the index before the log, so somebody else has removed the log.
    if (log === 'absent' && index === 'present' && this.#unwritten.length === 0 && this.#gone === null)
      this.#lose(`${this.#path}-wal was removed, and what came last with it`, null);
    makeFile(this.#path);
  }
}

/** Empties the log, which holds old bodies. Waits for no reader. Where it fails, the next call tells the problem, if it lasts. */
function emptyLog(database: DatabaseSync): void {
  try {
    database.exec('PRAGMA busy_timeout=0; PRAGMA wal_checkpoint(TRUNCATE)');
  } catch {
    // The job itself is done.
  }
  database.exec(`PRAGMA busy_timeout=${BUSY_MS}`);
}

/** The primary code of an error of SQLite; 0 for any other error. */
function sqliteCode(error: unknown): number {
  return codeOf(error) === 'ERR_SQLITE_ERROR' ? Number((error as { readonly errcode?: number }).errcode) & 0xff : 0;
}

/** Creates a directory if it is missing; throws if other users or other machines may use it. */
function makeDirectory(path: string): void {
  makeDurably(path);
  const stats = fs.lstatSync(path);
  if (!stats.isDirectory()) throw new Error('it is a link or a file, not a directory');
  checkOwner(stats, 'it');
  if ((stats.mode & 0o077) !== 0) throw new Error('others may use it; allowed is mode 0700');
  const network = process.platform === 'linux' ? NETWORKS[fs.statfsSync(path).type] : undefined;
  if (network !== undefined) throw new Error(`it is on a network file system (${network}); use a local one, or Redis`);
}

/** Replaces Node's recursive mkdir, which never ends where nothing can be created in a directory that exists. */
function makeDurably(path: string): void {
  if (fs.lstatSync(path, { throwIfNoEntry: false }) !== undefined) return;
  makeDurably(dirname(path));
  fs.mkdirSync(path, { mode: 0o700 });
  const parent = fs.openSync(dirname(path), 'r');
  fs.fsyncSync(parent);
  fs.closeSync(parent);
}

/** Throws if the path is neither absent nor a regular file of this user that nobody else may write to. */
function checkFile(path: string): 'absent' | 'present' {
  const stats = fs.lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return 'absent';
  if (!stats.isFile()) throw new Error(`${path} is a link or no regular file`);
  checkOwner(stats, path);
  if ((stats.mode & 0o022) !== 0) throw new Error(`others may write to ${path}`);
  return 'present';
}

function checkOwner({ uid }: fs.Stats, name: string): void {
  if (uid !== process.geteuid?.()) throw new Error(`${name} belongs to another user`);
}

/** Creates a missing file. This process must not have it open: closing any handle of a file ends its locks on that. */
function makeFile(path: string): void {
  if (checkFile(path) === 'absent') fs.closeSync(fs.openSync(path, 'wx', 0o600));
}

/** Throws if the disk fails to read a file: SQLite calls it malformed then (SQLITE_IOERR_CORRUPTFS), intact as it may be. */
function readThrough(path: string): void {
  const bytes = new Uint8Array(1024 * 1024);
  const file = fs.openSync(path, 'r');
  try {
    for (let at = 0, read = 1; read > 0; at += read) read = fs.readSync(file, bytes, 0, bytes.length, at);
  } finally {
    fs.closeSync(file);
  }
}

/** Reads a file's header, but for its counters. The file stays open until the database is closed, as closing ends locks. */
function headerOf(path: string, parts: DisposableStack): () => string {
  const file = fs.openSync(path, 'r');
  parts.defer(() => fs.closeSync(file));
  const bytes = Buffer.alloc(92);
  return () => {
    const read = fs.readSync(file, bytes, 0, bytes.length, 0);
    return bytes.toString('latin1', 0, Math.min(read, 24)) + bytes.toString('latin1', 40, Math.max(read, 40));
  };
}

/** Bytes; 0 where there is no file. */
function sizeOf(path: string): number {
  return fs.lstatSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function identityOf(path: string): string {
  const stats = fs.lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? 'absent' : `${stats.dev}:${stats.ino}`;
}

/**
 * Locks the directory until `parts` are disposed of. The lock must die with its process, even by SIGKILL, and a pid
 * proves nothing, since a container's is always 1. Node has no `flock`, but SQLite locks a file by `fcntl`: one of its own,
 * since operators' commands open the store's. It holds nothing, so a damaged one, which SQLite reads only if nobody holds
 * it, is emptied. It stays the same file: two processes that replaced it could each hold a lock.
 */
function lockDirectory(path: string, parts: DisposableStack): void {
  makeFile(path);
  try {
    const lock = parts.use(new DatabaseSync(path, { timeout: 0 }));
    // This mode keeps the lock until the file is closed; nothing is ever written.
    lock.exec('PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    if (sqliteCode(error) === BUSY) throw new Error(IN_USE);
    const problem = `its lock ${path}: ${(error as Error).message}`;
    if (!isDamage(error)) throw new Error(problem);
    try {
      fs.truncateSync(path);
    } catch (failure) {
      throw new Error(`${problem}: nothing is lost, but it cannot be emptied (${codeOf(failure)})`);
    }
    throw new Error(`${problem}: nothing is lost, and it is emptied`);
  }
}
