// Calls on the files of the directory store. Nothing follows a link, and nothing is read before it is
// measured. Which files there are, and their names: directory.ts.
import { Buffer } from 'node:buffer';
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, unlink } from 'node:fs/promises';
import { codeOf } from '../../base/errors.ts';
import { MAX_PROGRESS } from './store.ts';

export const LOCK = 'lock';
export const PROGRESS = '.progress';
/** The ending of a file that is being written. */
export const NEW = '.new';
/** The length of a head in eight digits, and a line feed. */
export const PREAMBLE = 9;
const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = constants;

/** Writes a file beside its place, and syncs it: a rename then puts it there. */
export async function writeBeside(path: string, parts: readonly Buffer[]): Promise<void> {
  const beside = path + NEW;
  await unlinkIfThere(beside);
  const file = await open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    const whole = parts.reduce((sum, { length }) => sum + length, 0);
    const { bytesWritten } = await file.writev([...parts]);
    if (bytesWritten !== whole) throw new Error('a file could not be written whole');
    await file.datasync();
  } catch (error) {
    await unlinkIfThere(beside).catch(() => {});
    throw error;
  } finally {
    await file.close();
  }
}

/** What no later attempt will open either: a link, a socket, another user's file. */
const UNFIT: ReadonlySet<string> = new Set(['ELOOP', 'ENXIO', 'EACCES', 'EPERM']);

/** A regular file that is no link and not larger than `most` bytes. It is measured before it is read. */
export async function readMeasured(path: string, most: number): Promise<Buffer | 'absent' | 'unfit'> {
  let file: FileHandle;
  try {
    file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 'absent';
    if (UNFIT.has(codeOf(error))) return 'unfit';
    throw error;
  }
  try {
    const stats = await file.stat();
    if (!stats.isFile() || stats.nlink !== 1 || stats.size > most) return 'unfit';
    const bytes = Buffer.allocUnsafeSlow(stats.size);
    const { bytesRead } = await file.read(bytes, 0, stats.size, 0);
    return bytesRead === stats.size ? bytes : 'unfit';
  } finally {
    await file.close();
  }
}

/** Null if there is none. What is no progress of ours is empty, and then nothing verifies it. */
export async function readSmall(path: string): Promise<Buffer | null> {
  const bytes = await readMeasured(path, MAX_PROGRESS);
  if (bytes === 'absent') return null;
  return bytes === 'unfit' ? Buffer.alloc(0) : bytes;
}

export async function unlinkIfThere(path: string): Promise<boolean> {
  return unlink(path).then(
    () => true,
    (error: unknown) => {
      if (codeOf(error) === 'ENOENT') return false;
      throw error;
    },
  );
}

export async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(absent)) !== null;
}

export function absent(error: unknown): null {
  if (codeOf(error) === 'ENOENT') return null;
  throw error;
}

export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
