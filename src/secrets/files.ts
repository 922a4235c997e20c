// Reads secret files and directories from disk, bounded, as kubelet, Docker and people lay them out.
// It must never block on what is not a regular file, nor leave a value in a buffer of its own.
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open, readdir, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type KeyReading, keyFromFileContent, MAX_SECRET_BYTES, refused } from './material.ts';

export interface ValueRules {
  readonly allowShort: boolean;
}

/** A directory's secrets by file name; or why the directory as a whole gives nothing. */
export type DirectoryReading =
  | { readonly problem: null; readonly files: readonly (readonly [name: string, reading: KeyReading])[] }
  | { readonly problem: string };

/** More files than this in a directory mean that the path is wrong. */
const MAX_DIRECTORY_FILES = 256;
/** How often a directory is read anew when kubelet swaps it in the middle. */
const SWAP_ATTEMPTS = 3;

const OTHERS_MAY_WRITE =
  'any user of the machine may write its file, and so choose the secret; chmod o-w takes that away';

/** Reads one secret file, links followed. Never throws: trouble is the reading's problem. */
export async function readKeyFile(path: string, rules: ValueRules): Promise<KeyReading> {
  let handle: FileHandle | undefined;
  try {
    // O_NONBLOCK: opening a pipe that nobody writes to would hold a thread of the pool for ever.
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = await handle.stat();
    if (stats.isDirectory()) return refused('it is a directory, not a file');
    if (!stats.isFile()) return refused('it is not a regular file');
    const buffer = Buffer.alloc(MAX_SECRET_BYTES + 3);
    try {
      const reading = keyFromFileContent(buffer.subarray(0, await fill(handle, buffer)), rules);
      if (reading.key === null || (stats.mode & 0o002) === 0) return reading;
      return { ...reading, warnings: [...reading.warnings, OTHERS_MAY_WRITE] };
    } finally {
      buffer.fill(0);
    }
  } catch (error) {
    return refused(await trouble(path, error));
  } finally {
    await handle?.close();
  }
}

/**
 * Reads every regular file of a directory, links followed; names that begin with `.` are kubelet's and editors' own.
 * All files are of one `..data` generation: a swap in the middle starts the pass again. Never throws.
 */
export async function readKeyDirectory(path: string, rules: ValueRules): Promise<DirectoryReading> {
  for (let attempt = 0; attempt < SWAP_ATTEMPTS; attempt += 1) {
    const before = await generation(path);
    const reading = await readOnce(path, rules);
    if ((await generation(path)) === before) return reading;
  }
  return { problem: 'it keeps changing while it is read' };
}

async function readOnce(path: string, rules: ValueRules): Promise<DirectoryReading> {
  let names: string[];
  try {
    names = (await readdir(path)).filter((name) => !name.startsWith('.')).sort();
  } catch (error) {
    return { problem: await trouble(path, error) };
  }
  if (names.length > MAX_DIRECTORY_FILES) {
    return { problem: `it holds more than ${MAX_DIRECTORY_FILES} files: is this the right directory?` };
  }
  const files: (readonly [string, KeyReading])[] = [];
  for (const name of names) {
    const file = join(path, name);
    const stats = await stat(file).catch(() => null);
    // What stat cannot follow (a dangling link) is told by readKeyFile; what is no regular file is not meant as a secret.
    if (stats === null || stats.isFile()) files.push([name, await readKeyFile(file, rules)]);
  }
  return files.length === 0
    ? { problem: 'it holds no secret: there is no regular file in it' }
    : { problem: null, files };
}

/** Where `..data` leads, the link that kubelet replaces to change all files at once; null where there is none. */
async function generation(path: string): Promise<string | null> {
  return readlink(join(path, '..data')).catch(() => null);
}

async function fill(handle: FileHandle, buffer: Buffer): Promise<number> {
  let length = 0;
  while (length < buffer.length) {
    const { bytesRead } = await handle.read(buffer, length, buffer.length - length, null);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return length;
}

/** What is wrong with a path, in words, from a system error. */
async function trouble(path: string, error: unknown): Promise<string> {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
  switch (code) {
    case 'ENOENT':
      return 'it does not exist (yet)';
    case 'ENOTDIR':
      return 'a part of the path is not a directory';
    case 'ELOOP':
      return 'its links lead in a circle';
    case 'EACCES':
    case 'EPERM':
      return permissionTrouble(await stat(path).catch(() => null));
    default:
      return `it cannot be read (${code})`;
  }
}

function permissionTrouble(stats: Stats | null): string {
  const who = `this process runs as user ${process.geteuid?.() ?? '?'}, group ${process.getegid?.() ?? '?'}`;
  if (stats === null) return `permission denied on a directory of its path: ${who}`;
  const mode = (stats.mode & 0o777).toString(8).padStart(4, '0');
  return `permission denied: it belongs to user ${stats.uid}, group ${stats.gid}, with mode ${mode}, and ${who}`;
}
