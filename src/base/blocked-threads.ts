// Finds threads that hang in a system call, such as a read from a disk that does not answer. Such a thread keeps the
// process alive forever: its natural end waits for the thread, and so does `process.exit`
// (nodejs/node#17872). A thread that works, or that waits for a core on a busy machine, does not hang: it is waited for.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';

const LOOK_EACH_MS = 50;
/** Milliseconds for which threads are watched: on a starved machine even a healthy file may take this long to read. */
const LONGEST_LOOK_MS = 1500;

/** How many times as many looks there are at most if a thread runs at some of them. */
const MOST_LOOKS = 4;

/**
 * Milliseconds that each step after `shutdown.grace` may take, whatever hangs. `close`: deliveries that were cut off
 * are stored, their clients answered, the stores closed. `look`: hanging threads are looked for, before and after
 * `exit`, a wait until the last log lines are read. Total: 1100 + 2 * 250 + 350 = 1950 of the 2000 that docs promise.
 */
export const END_MS = { close: 1100, look: 250, exit: 350 } as const;

/** Node's names for requests to its thread pool, each with what the request works on. */
const POOL: readonly (readonly [RegExp, string])[] = [
  [/^FSReq|^FileHandleCloseReq/, 'files'],
  [/^GetAddrInfo/, 'host names'],
];

/** Our own running threads by what they do, each with a call that settles once the thread answers, whatever it says. */
export const threads = new Map<string, () => Promise<unknown>>();

/**
 * The work of the hanging threads, such as `files`. Resolves at once if no thread is busy, else within `most`
 * milliseconds in which no thread runs. Work counts only if it is found at every look: a file is read in several steps.
 */
export async function blockedThreads(most: number): Promise<string[]> {
  const looks = Math.min(most, LONGEST_LOOK_MS) / LOOK_EACH_MS;
  const unanswered = new Set(threads.keys());
  for (const [does, call] of threads) {
    const answered = () => void unanswered.delete(does);
    call().then(answered, answered);
  }
  let busy = busyPool();
  let idle = 0;
  for (let look = 0; idle < looks && look < MOST_LOOKS * looks && unanswered.size + busy.length > 0; look++) {
    await sleep(LOOK_EACH_MS);
    await nextTurn(); // timers run before the threads' results are read
    const still = busyPool();
    busy = busy.filter((does) => still.includes(does));
    if (!someThreadRuns()) idle++;
  }
  return [...unanswered, ...busy];
}

function busyPool(): string[] {
  const requests = process.getActiveResourcesInfo();
  return POOL.flatMap(([names, does]) => (requests.some((request) => names.test(request)) ? [does] : []));
}

/** True if a thread beside this one runs, or waits for a core. Always false where there is no `/proc`. */
function someThreadRuns(): boolean {
  try {
    const own = basename(readlinkSync('/proc/thread-self'));
    const others = readdirSync('/proc/self/task').filter((id) => id !== own);
    return others.some((id) => /\) R [^)]*$/.test(readFileSync(`/proc/self/task/${id}/stat`, 'latin1')));
  } catch {
    return false; // a thread has just ended
  }
}

/** Ends the process at once. A thread that works or hangs would hold up `process.exit` until it is done. */
export function exitNow(code: 130 | 143): void {
  if (threads.size > 0 || busyPool().length > 0) killSelf(code);
  process.exit(code);
}

/** Ends the process, whatever hangs. The single executable, which no program can replace, ends by a signal. */
export function killSelf(code: number | string = 137): void {
  // Not imported: an old Node, which lacks the module, must get as far as saying which version is needed.
  const isExecutable = process.getBuiltinModule('node:sea').isSea();
  // The kernel ignores signals from a container's PID 1 to itself, even SIGKILL; a new program replaces all threads.
  if (!isExecutable && (process.pid === 1 || code !== 137)) {
    process.execve?.(process.execPath, [process.execPath, '--eval', `process.exit(${code})`], {});
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeAllListeners(signal);
  process.kill(process.pid, code === 130 || code === 143 ? code - 128 : 'SIGKILL');
}
