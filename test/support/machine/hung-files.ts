// A file system that does not answer, for this process: as many calls as Node has threads for them wait for the other end
// of a pipe, and all later ones wait behind them.
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';

const THREADS = Number(process.env.UV_THREADPOOL_SIZE ?? 4);

/** Returns what ends it, and may be called again. Calls that were made before are answered. `directory`: for the pipe. */
export function hangFiles(directory: string): () => Promise<void> {
  const pipe = join(directory, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const hung = Array.from({ length: THREADS }, () => open(pipe, 'r'));
  let ended: Promise<void> | null = null;
  const end = async () => {
    const other = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK); // not by a thread
    for (const each of hung) await (await each).close();
    closeSync(other);
  };
  return () => {
    ended ??= end();
    return ended;
  };
}
