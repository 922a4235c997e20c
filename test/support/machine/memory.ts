// Samples the memory of a process during a test. Linux only.
import { readFileSync } from 'node:fs';

const EVERY_MS = 50;
const PAGE = 4096;

export type MemoryPeak = ReturnType<ReturnType<typeof watchMemory>['stop']>;

/**
 * Samples every 50 ms until it is stopped; returns the peak. A process that has ended adds nothing. Bytes: `anonymous` is the
 * process's own memory, without the program's files; `socketBuffers` are the kernel's for TCP in this network namespace,
 * including those of the clients.
 */
export function watchMemory(pid: number) {
  const peak = { anonymous: 0, socketBuffers: 0 };
  const look = () => {
    peak.anonymous = Math.max(peak.anonymous, anonymousMemory(pid));
    peak.socketBuffers = Math.max(peak.socketBuffers, socketBuffers());
  };
  look();
  const timer = setInterval(look, EVERY_MS);
  return {
    stop: () => {
      look();
      clearInterval(timer);
      return peak;
    },
  };
}

/**
 * Bytes that the kernel holds for the sockets that `ss -m` shows, of skmem:(r…,rb…,t…,tb…,f…,w…): allocated for receiving,
 * forward-allocated and queued for writing.
 */
export function heldBySockets(shown: string): number {
  const held = shown.matchAll(/skmem:\(r(\d+),rb\d+,t\d+,tb\d+,f(\d+),w(\d+)/g);
  return [...held].reduce((sum, [, ...parts]) => parts.reduce((all, part) => all + Number(part), sum), 0);
}

function anonymousMemory(pid: number): number {
  try {
    return Number(/^RssAnon:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

function socketBuffers(): number {
  return Number(/^TCP: .* mem (\d+)/m.exec(readFileSync('/proc/net/sockstat', 'utf8'))?.[1] ?? 0) * PAGE;
}
