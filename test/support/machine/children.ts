// Processes and containers of tests. Each ends with the process that started it, however that ends: a run that is killed leaves
// none behind.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';

const tie = (signal: string) => ['setpriv', '--pdeathsig', signal, '--'];
/** Only Linux has this signal: elsewhere a killed run leaves its processes behind. */
const CAN_TIE = spawnSync(`${tie('SIGKILL').join(' ')} true`, { shell: true, stdio: 'ignore' }).status === 0;

/** The words that run these, with the same process id, as a process that the kernel kills with its parent. */
export const tied = (...words: readonly string[]): readonly string[] =>
  CAN_TIE ? [...tie('SIGKILL'), ...words] : words;

/** Node's own, tied: by `killSignal`, which is SIGTERM for what has children of its own to end. */
export const spawnTied = ((program: string, args: readonly string[], options: { readonly killSignal?: string }) => {
  const [first = '', ...rest] = [...(CAN_TIE ? tie(options.killSignal ?? 'SIGKILL') : []), program, ...args];
  return spawn(first, rest, options as object);
}) as typeof spawn;

/** SIGTERM, then SIGKILL after so many milliseconds; resolves once it has ended. */
export async function end(child: ChildProcess, patience = 30_000): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), patience);
  await ended;
  clearTimeout(timer);
}

/**
 * Runs these words once this process has ended, or when the returned function is called: for what is no child of ours, such as a
 * container. The function resolves with their exit code.
 */
export function atTheEnd(...words: readonly string[]): () => Promise<number | null> {
  const waiting = spawn('sh', ['-c', 'cat; "$@"', 'sh', ...words], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true, // Ctrl-C ends the run, but not this
  });
  const exited = new Promise<number | null>((resolve) => waiting.once('exit', resolve));
  return () => {
    waiting.stdin.end();
    return exited;
  };
}
