// The directory of the embedded store: its user's alone, on a local file system, and in the hands of one process.
import { closeSync, fsyncSync, lstatSync, mkdirSync, openSync, type Stats, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { codeOf } from '../../base/errors.ts';

/** SQLite's code for a lock of somebody else (https://www.sqlite.org/rescode.html). */
export const BUSY = 5;

/** Linux' numbers of file systems that other machines use too: there SQLite's locks and shared memory prove nothing. */
const NETWORKS: Readonly<Record<number, string>> = {
  ...{ 26985: 'NFS', 4283649346: 'CIFS', 4266872130: 'SMB', 20859: 'SMB', 16914839: '9p', 12805120: 'CephFS' },
  ...{ 198183888: 'Lustre', 1196443219: 'GPFS', 1397113167: 'AFS', 1952539503: 'OCFS2', 18225520: 'GFS2' },
};

/** The primary code of SQLite's error; 0 if it is none. */
export function sqliteCode(error: unknown): number {
  return codeOf(error) === 'ERR_SQLITE_ERROR' ? Number((error as { readonly errcode?: number }).errcode) & 0xff : 0;
}

/** Makes it unless it is there; throws if others may use it, or other machines. */
export function makeDirectory(path: string): void {
  makeDurably(path);
  const stats = lstatSync(path);
  if (!stats.isDirectory()) throw new Error('it is a link or a file, not a directory');
  checkOwner(stats, 'it');
  if ((stats.mode & 0o077) !== 0) throw new Error('others may use it; allowed is mode 0700');
  const network = process.platform === 'linux' ? NETWORKS[statfsSync(path).type] : undefined;
  if (network !== undefined) throw new Error(`it is on a network file system (${network}); use a local one, or Redis`);
}

/** Node's recursive mkdir never ends where nothing can be made in a directory that is there, such as a bind mount of nothing. */
function makeDurably(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return;
  makeDurably(dirname(path));
  mkdirSync(path, { mode: 0o700 });
  syncDirectory(dirname(path));
}

export function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/** Throws if it is not a file of this user's alone. */
export function checkFile(path: string): 'absent' | 'present' {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return 'absent';
  if (!stats.isFile()) throw new Error(`${path} is a link or no regular file`);
  checkOwner(stats, path);
  if ((stats.mode & 0o022) !== 0) throw new Error(`others may write to ${path}`);
  return 'present';
}

function checkOwner({ uid }: Stats, name: string): void {
  if (uid !== process.geteuid?.()) throw new Error(`${name} belongs to another user`);
}

/** No handle of it may be open in this process: closing the one that makes it gives up the process's locks on it. */
export function makeFile(path: string): void {
  if (checkFile(path) === 'absent') closeSync(openSync(path, 'wx', 0o600));
}

/** Bytes; 0 where there is no file. */
export function sizeOf(path: string): number {
  return lstatSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** Tells a file at a path from every other one there, earlier or later. */
export function identityOf(path: string): string {
  const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? 'absent' : `${stats.dev}:${stats.ino}`;
}

/**
 * Locks the directory until the returned database is closed. The lock must die with its process, also by SIGKILL, and a pid
 * proves nothing, since a container's is always 1. Node has no `flock`; but SQLite locks its file by `fcntl`, which the
 * kernel releases. That holds between containers on one machine, not between machines. It is no lock on the store's own
 * file, which people's commands open beside.
 */
export function lockDirectory(directory: string): DatabaseSync {
  const path = join(directory, 'lock');
  makeFile(path);
  const lock = new DatabaseSync(path, { timeout: 0 });
  try {
    // In this mode a lock that was taken is kept; nothing is ever written.
    lock.exec('PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock.close();
    throw sqliteCode(error) === BUSY ? new Error('another process uses it') : error;
  }
}
