// CPU time, where a test must know what something costs: unlike the time that passes, it grows little on a busy machine.

/**
 * Runs `run` until it takes at most `limit` µs, and 40 times at most; 12 times without a limit. Returns the least that it took.
 * It measures the whole process, since what the kernel knows of one thread is off by milliseconds.
 */
export function leastCpu(run: () => unknown, limit = 0): number {
  let least = Number.POSITIVE_INFINITY;
  const most = limit > 0 ? 40 : 12;
  for (let runs = 0; runs < most && least > limit; runs++) {
    const before = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, user + system);
  }
  return least;
}
