// The folder of deferred deliveries: made, checked, and held by one process.
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ignore } from '../base/errors.ts';
import type { BoundedCalls } from './bounded-calls.ts';
import type { DirectoryLock, Lock } from './directory-lock.ts';
import { absent, LOCK, syncFolder } from './files.ts';
import type { StoreOptions } from './store.ts';

const { O_DIRECTORY, O_NOFOLLOW } = constants;

export class DeferredFolder {
  readonly #path: string;
  readonly #handle: FileHandle;
  /** Null for a visitor. */
  readonly #lock: Lock | null;
  /** The inode of the lock file when it was locked. */
  #lockNumber: number | null = null;

  private constructor(path: string, handle: FileHandle, lock: Lock | null) {
    this.#path = path;
    this.#handle = handle;
    this.#lock = lock;
  }

  /**
   * Throws if the folder can't be made or must not be used, or if another process holds it. `own`: of the file in it; null
   * for a visitor.
   */
  static async open(path: string, own: DirectoryLock | null, calls: BoundedCalls): Promise<DeferredFolder> {
    await calls.run(() => makeFolder(path, own === null ? 'visitor' : 'owner'));
    const lock = own === null ? null : await own.take();
    try {
      const folder = new DeferredFolder(path, await calls.run(() => open(path, O_DIRECTORY | O_NOFOLLOW)), lock);
      if (lock !== null) folder.#lockNumber = await calls.run(() => lockNumber(path));
      return folder;
    } catch (error) {
      lock?.release();
      throw error;
    }
  }

  /** False once the folder at the path, or the lock in it, is gone or another one: then another process may hold it. */
  async isSame(): Promise<boolean> {
    const here = await lstat(this.#path).catch(absent);
    const ours = await this.#handle.stat();
    if (here === null || here.ino !== ours.ino || here.dev !== ours.dev) return false;
    return this.#lock === null || (await lockNumber(this.#path)) === this.#lockNumber;
  }

  sync(): Promise<void> {
    return this.#handle.sync();
  }

  close(): void {
    this.#lock?.release();
    void this.#handle.close().catch(ignore); // it would wait for a call that hangs
  }
}

async function lockNumber(path: string): Promise<number | null> {
  return (await lstat(join(path, LOCK)).catch(absent))?.ino ?? null;
}

async function makeFolder(path: string, as: StoreOptions['as']): Promise<void> {
  if (as === 'owner') {
    const made = await mkdir(path, { recursive: true, mode: 0o700 });
    if (made !== undefined) await syncFolder(dirname(made));
  }
  const stats = await lstat(path);
  if (!stats.isDirectory()) throw new Error('it is a link or a file, not a directory');
  if (as === 'visitor') return;
  if (stats.uid !== process.geteuid?.()) throw new Error('it belongs to another user');
  if ((stats.mode & 0o077) !== 0) throw new Error('others may use it; allowed is mode 0700');
}
