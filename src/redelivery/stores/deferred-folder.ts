// The folder of deferred deliveries: made, checked, and held by one process.
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf, ignore } from '../../base/errors.ts';
import type { BoundedCalls } from '../bounded-calls.ts';
import type { DirectoryLock, Lock } from './directory-lock.ts';
import { absent, LOCK, syncFolder } from './durable-files.ts';
import type { StoreOptions } from './store.ts';

const { O_DIRECTORY, O_NOFOLLOW } = constants;

interface Held {
  readonly handle: FileHandle;
  /** Null for a visitor. */
  readonly lock: Lock | null;
  /** The inode of the lock file when it was locked. */
  readonly lockNumber: number | null;
}

export class DeferredFolder {
  readonly #path: string;
  readonly #held: Held;

  private constructor(path: string, held: Held) {
    this.#path = path;
    this.#held = held;
  }

  /**
   * Throws if the folder can't be made or must not be used, or if another process holds it. `own`: of the file in it; null
   * for a visitor.
   */
  static async open(path: string, own: DirectoryLock | null, calls: BoundedCalls): Promise<DeferredFolder> {
    await calls.run(() => makeFolder(path, own === null ? 'visitor' : 'owner'));
    const lock = own === null ? null : await own.take();
    try {
      const number = lock === null ? null : await calls.run(() => lockNumber(path));
      const handle = await calls.open(() => open(path, O_DIRECTORY | O_NOFOLLOW)); // last: nobody else would close it
      return new DeferredFolder(path, { handle, lock, lockNumber: number });
    } catch (error) {
      lock?.release();
      throw error;
    }
  }

  /** False once the folder at the path, or the lock in it, is gone or another one: then another process may hold it. */
  async isSame(): Promise<boolean> {
    const { handle, lock, lockNumber: number } = this.#held;
    const here = await lstat(this.#path).catch(absent);
    const ours = await handle.stat();
    if (here === null || here.ino !== ours.ino || here.dev !== ours.dev) return false;
    return lock === null || (await lockNumber(this.#path)) === number;
  }

  sync(): Promise<void> {
    return this.#held.handle.sync();
  }

  close(): void {
    this.#held.lock?.release();
    void this.#held.handle.close().catch(ignore); // it would wait for a call that hangs
  }
}

async function lockNumber(path: string): Promise<number | null> {
  return (await lstat(join(path, LOCK)).catch(absent))?.ino ?? null;
}

/**
 * Makes a folder and those above it. Returns the topmost that it made; null: it was there. Node's recursive mkdir never
 * ends, on a core of its own, where nothing can be made in a folder that is there: a bind mount whose source was removed.
 */
async function makeAll(path: string): Promise<string | null> {
  try {
    await mkdir(path, { mode: 0o700 });
    return path;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return null;
    if (codeOf(error) !== 'ENOENT') throw error;
  }
  const top = await makeAll(dirname(path));
  await mkdir(path, { mode: 0o700 });
  return top ?? path;
}

async function makeFolder(path: string, as: StoreOptions['as']): Promise<void> {
  if (as === 'owner') {
    const made = await makeAll(path);
    if (made !== null) await syncFolder(dirname(made));
  }
  const stats = await lstat(path);
  if (!stats.isDirectory()) throw new Error('it is a link or a file, not a directory');
  if (as === 'visitor') return;
  if (stats.uid !== process.geteuid?.()) throw new Error('it belongs to another user');
  if ((stats.mode & 0o077) !== 0) throw new Error('others may use it; allowed is mode 0700');
}
