// The kernel's figures for a process and its children: CPU time and memory; and the core that each process runs on.
// Linux only.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** The core of the proxy, and the core of everything else: load, upstream and this program. */
export const PROXY_CORE = 0;
export const LOAD_CORE = 1;

let ticksPerSecond: number | null = null;

/** Moves this process, and every process that it starts later, to one core. */
export function moveToLoadCore(): void {
  execFileSync('taskset', ['-acp', String(LOAD_CORE), String(process.pid)], { stdio: 'ignore' });
}

/** A process and all of its descendants. */
function family(pid: number): number[] {
  const threads = readdirSync(`/proc/${pid}/task`);
  const children = threads.flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
  return [pid, ...children.flatMap(family)];
}

/** User and system time of a process and its children so far, in microseconds. */
export function cpuMicros(pid: number): number {
  const ticks = family(pid).map((member) => {
    // The second field, the program's name in brackets, may hold spaces: proc_pid_stat(5).
    const fields = readFileSync(`/proc/${member}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return Number(fields[11]) + Number(fields[12]);
  });
  // Asked for when measuring, not when loading: who only reads the plan needs no getconf.
  ticksPerSecond ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  return (sum(ticks) / ticksPerSecond) * 1e6;
}

/** Resident memory of a process and its children, in MiB. Shared pages are counted for each. */
export function residentMib(pid: number): number {
  const kib = family(pid).map((member) =>
    Number(/^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${member}/status`, 'utf8'))?.[1] ?? 0),
  );
  return sum(kib) / 1024;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
