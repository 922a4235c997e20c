// Files that other programs write: config, secrets and TLS files are read here, and what is wrong with a file is said here.
import { Buffer } from 'node:buffer';
import { constants, createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { codeOf } from './errors.ts';

const PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'it does not exist',
  EEXIST: 'it exists, and is not a directory',
  ENOTDIR: 'a part of its path is not a directory',
  EISDIR: 'it is a directory, not a file',
  ELOOP: 'its links form a loop',
};

/** The content of a pipe, such as the shell's `<(…)` or /dev/stdin; null for any other file. Waits for its writer. */
export async function readPipe(path: string, most: number): Promise<Buffer | null> {
  if ((await stat(path).catch(() => null))?.isFIFO() !== true) return null;
  return buffer(createReadStream(path, { end: most }));
}

/** Something is wrong with a file that the system allows. */
class FileProblem extends Error {}

export function fileProblem(error: unknown): string {
  if (error instanceof FileProblem) return error.message;
  const code = codeOf(error);
  if (code === 'EACCES' || code === 'EPERM')
    return `permission denied: this process runs as user ${process.geteuid?.() ?? '?'}, group ${process.getegid?.() ?? '?'}`;
  return PROBLEMS[code] ?? `it cannot be read (${code || 'unknown error'})`;
}

/** Reads a regular file of at most `most` bytes; follows links. Rejects for anything else: waits for no pipe's writer. */
export async function readRegularFile(path: string, most: number): Promise<Buffer> {
  // O_NONBLOCK: opening a pipe without a writer would block a thread of the pool forever.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = await handle.stat();
    if (stats.isDirectory()) throw new FileProblem(PROBLEMS.EISDIR);
    if (!stats.isFile()) throw new FileProblem('it is not a regular file');
    if (stats.size > most) throw new FileProblem(`it is larger than ${most >> 10} KiB: is this the right file?`);
    // Some file systems tell no size. One byte more stays empty unless the file grows meanwhile.
    const size = stats.size || most;
    const content = Buffer.alloc(size + 1);
    try {
      let length = 0;
      for (let read = -1; read !== 0 && length < content.length; length += read) {
        read = (await handle.read(content, length, content.length - length)).bytesRead;
      }
      if (length > size) throw new FileProblem('it grows while it is being read');
      return content.subarray(0, length);
    } catch (error) {
      content.fill(0); // it may be a secret
      throw error;
    }
  } finally {
    await handle.close();
  }
}
