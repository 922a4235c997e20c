// A share of one core for a subject, as a container's CPU limit gives it: a cgroup's quota in each tenth of a second.
// It needs Linux and a user who may make a cgroup.
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface CpuLimit {
  /** A process that writes its id here has the limit from then on, with all that it starts. */
  readonly processes: string;
  /** All of its processes have ended. */
  remove(): void;
}

const PERIOD_MICROS = 100_000;
const [UNIFIED, LEGACY] = ['/sys/fs/cgroup', '/sys/fs/cgroup/cpu'];

/** `millicores`: 100 is a tenth of a core. Throws where none can be made. */
export function limitCpu(millicores: number): CpuLimit {
  const quota = (PERIOD_MICROS * millicores) / 1000;
  const unified = existsSync(join(UNIFIED, 'cgroup.controllers'));
  const directory = join(unified ? UNIFIED : LEGACY, `entrupy-proxy-bench-${process.pid}`);
  if (unified) writeFileSync(join(UNIFIED, 'cgroup.subtree_control'), '+cpu');
  mkdirSync(directory);
  try {
    if (unified) writeFileSync(join(directory, 'cpu.max'), `${quota} ${PERIOD_MICROS}`);
    else {
      writeFileSync(join(directory, 'cpu.cfs_period_us'), String(PERIOD_MICROS));
      writeFileSync(join(directory, 'cpu.cfs_quota_us'), String(quota));
    }
  } catch (error) {
    rmdirSync(directory);
    throw error;
  }
  return { processes: join(directory, 'cgroup.procs'), remove: () => rmdirSync(directory) };
}

/** Whether this machine lets us make one. */
export function canLimitCpu(): boolean {
  try {
    limitCpu(1000).remove();
    return true;
  } catch {
    return false;
  }
}
