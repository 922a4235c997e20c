// Which secrets can't change while the process runs, however good the watching is: said once, in a warning.
import { readFile } from 'node:fs/promises';
import type { SecretSource } from '../config/config.ts';
import { sourceName } from './sources.ts';

/** A sentence for each source that a rotation can't reach without a restart. */
export async function fixedSources(sources: readonly SecretSource[]): Promise<readonly string[]> {
  const mounts = await mountPoints();
  const found: string[] = [];
  for (const source of sources) {
    if (source.kind === 'env') {
      found.push(
        `${sourceName(source)}: an environment variable can't change while this runs; a file or directory can`,
      );
    } else if (source.kind === 'file' && mounts.has(source.file)) {
      found.push(
        `${sourceName(source)} is mounted by itself (subPath, or docker -v of one file) and will never show a new value; mount its directory`,
      );
    }
  }
  return found;
}

/** Where something is mounted in this mount namespace; empty where there is no Linux /proc. */
async function mountPoints(): Promise<ReadonlySet<string>> {
  try {
    const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
    return new Set(lines.map((line) => plainPath(line.split(' ')[4] ?? '')));
  } catch {
    return new Set();
  }
}

/** The kernel writes space, tab, newline and backslash in octal (proc(5)). */
function plainPath(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
