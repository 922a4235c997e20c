// A disk that is slow, hangs or fails, and a clock that jumps, for programs that are started with `env`: their calls to it go through
// faulty-disk.c, which gcc builds.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun, ROOT } from './tools.ts';

type Fault = 'delay' | 'hang' | 'full' | 'broken' | 'unreadable' | 'torn' | 'sealed' | 'nfs' | 'ahead';

export async function faultyDisk(directory: string) {
  const [library, file] = [join(directory, 'faulty-disk.so'), join(directory, 'faults')];
  await mustRun('gcc', ['-shared', '-fPIC', '-o', library, `${ROOT}test/support/machine/faulty-disk.c`, '-ldl']);
  /** From now on; without one it works. */
  const fault = (...faults: readonly Fault[]) => writeFileSync(file, faults.join(' '));
  fault();
  return { env: { LD_PRELOAD: library, FAULTS: file }, fault };
}
