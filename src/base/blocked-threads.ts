// Threads that hang in a system call, such as one on a disk that does not answer. Neither the natural end nor
// `process.exit` gets past one: both wait for it forever.
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { ignore } from './errors.ts';

const LOOK_EACH_MS = 50;
/** On a starved machine a file that does not hang may take this long to read. */
const LONGEST_LOOK_MS = 1500;

/**
 * Milliseconds from the end of `grace` to the end of the process, whatever hangs: deliveries that were cut are stored
 * within a second and their clients answered, stores close, a look at threads, the last lines are read, another look:
 * 1100 + 250 + 350 + 250 = 1950 of the 2000 that are promised. Time that the close leaves goes to the first look.
 */
export const END_MS = { close: 1100, look: 250, exit: 350 } as const;

/** Node's names of requests to its thread pool, with what they work on. */
const POOL: readonly (readonly [RegExp, string])[] = [
  [/^FSReq|^FileHandleCloseReq/, 'files'],
  [/^GetAddrInfo/, 'host names'],
];

/** Our own running threads, by what they do, each with a call that it answers at once unless it hangs. */
export const threads = new Map<string, () => Promise<unknown>>();

/**
 * The jobs of the threads that hang; resolves within `most` milliseconds of the process's own time, at once if none is
 * busy. Only what is busy at every look counts: a file is read in several steps.
 */
export async function blockedThreads(most = LONGEST_LOOK_MS): Promise<string[]> {
  const looks = Math.min(most, LONGEST_LOOK_MS) / LOOK_EACH_MS;
  const unanswered = new Set(threads.keys());
  for (const [does, call] of threads) call().then(() => unanswered.delete(does), ignore);
  let busy = busyPool();
  for (let look = 0; look < looks && unanswered.size + busy.length > 0; look++) {
    await sleep(LOOK_EACH_MS);
    await nextTurn(); // timers run before the threads' results are read
    const still = busyPool();
    busy = busy.filter((does) => still.includes(does));
  }
  return [...unanswered, ...busy];
}

function busyPool(): string[] {
  const requests = process.getActiveResourcesInfo();
  return POOL.flatMap(([names, does]) => (requests.some((request) => names.test(request)) ? [does] : []));
}

/** Ends the process, whatever hangs. The single executable can end with 137 alone. */
export function killSelf(code: number | string = 137): void {
  // Not imported: an old Node, which lacks the module, must get as far as saying which version is needed.
  const isExecutable = process.getBuiltinModule('node:sea').isSea();
  // The kernel ignores signals from a container's PID 1 to itself, even SIGKILL; a new program replaces all threads.
  if (!isExecutable && (process.pid === 1 || code !== 137)) {
    process.execve?.(process.execPath, [process.execPath, '--eval', `process.exit(${code})`], {});
  }
  process.kill(process.pid, 'SIGKILL');
}
