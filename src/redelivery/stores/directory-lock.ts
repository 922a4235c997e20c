// The proof that one process alone uses a folder. It must die with its process, also by SIGKILL, and a pid proves
// nothing, since a container's is always 1. Node has no `flock`; but SQLite, which is within it, locks its file by
// `fcntl`, which the kernel releases. That holds between containers on one machine, not between machines.
import { lstat, open } from 'node:fs/promises';
import { codeOf } from '../../base/errors.ts';
import type { BoundedCalls } from '../bounded-calls.ts';
import { absent } from './durable-files.ts';

/** SQLite's code for a lock that another process holds (https://www.sqlite.org/rescode.html#busy). */
const SQLITE_BUSY = 5;

export interface Lock {
  release(): void;
}

/**
 * The lock of a folder: a file in it. The kernel releases such a lock when its process closes the file, by whatever
 * handle: nothing else may ever open it, and whoever makes it has closed it before it is locked.
 */
export class DirectoryLock {
  readonly #path: string;
  readonly #calls: BoundedCalls;
  readonly #prepare: (path: string) => Promise<void>;
  /** Also a preparation that takes too long: the next try waits for its end too, and begins none of its own. */
  #preparing: Promise<void> | null = null;

  /** `prepare`: makes the file unless it is there, and leaves no handle of it open. */
  constructor(path: string, calls: BoundedCalls, prepare = lookUp) {
    this.#path = path;
    this.#calls = calls;
    this.#prepare = prepare;
  }

  /** Throws if it can't be locked, or if another process holds it. */
  async take(): Promise<Lock> {
    const { DatabaseSync } = process.getBuiltinModule('node:sqlite') ?? {};
    if (DatabaseSync === undefined) throw new Error('this build of Node has no node:sqlite, which locks the directory');
    await this.#calls.run(() => this.#prepared());
    const database = new DatabaseSync(this.#path, { timeout: 0 });
    try {
      // In this mode a lock that was taken is kept; nothing is ever written.
      database.exec('PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE');
      return { release: () => database.close() };
    } catch (error) {
      database.close();
      throw isBusy(error) ? new Error('another process uses it') : error;
    }
  }

  #prepared(): Promise<void> {
    this.#preparing ??= this.#prepare(this.#path).finally(() => {
      this.#preparing = null;
    });
    return this.#preparing;
  }
}

/** Nothing bounds SQLite's calls. They look up these files, and read none: so a disk that hangs is met here. */
async function lookUp(path: string): Promise<void> {
  const stats = await lstat(path).catch(absent);
  if (stats === null) await (await open(path, 'wx', 0o600)).close();
  else if (!stats.isFile() || stats.size > 0) throw new Error(`${path} is not an empty regular file`);
  for (const ending of ['-journal', '-wal']) await lstat(path + ending).catch(absent);
}

function isBusy(error: unknown): boolean {
  return codeOf(error) === 'ERR_SQLITE_ERROR' && (error as { readonly errcode?: number }).errcode === SQLITE_BUSY;
}
