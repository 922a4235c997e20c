// Sources that can't change while the process runs, however good the watching is: a warning for each.
import { readFile, realpath } from 'node:fs/promises';
import type { SecretSource } from '../config/config.ts';

/** A sentence for each variable: a rotation can't reach it without a restart. */
export function fixedVariables(sources: readonly SecretSource[]): readonly string[] {
  return sources.flatMap((source) =>
    source.kind === 'env'
      ? [`secret ${source.id}: a variable (${source.env}) can't change while this runs; a file or a directory can`]
      : [],
  );
}

/** A sentence for each file that is a mount of its own. */
export async function fixedFiles(files: readonly string[], mounts: ReadonlySet<string>): Promise<readonly string[]> {
  // /var/run is a link to /run on most systems; the kernel lists where a mount really is.
  const real = await Promise.all(files.map((file) => realpath(file).catch(() => file)));
  const mounted = files.filter((_, index) => mounts.has(real[index] ?? ''));
  const means = 'mounted by itself (subPath, or one file by docker -v)';
  return mounted.map((file) => `${file} is ${means}: a file that replaces it is never seen; mount its directory`);
}

/** Where something is mounted for this process; empty where there is no Linux /proc. */
export async function mountPoints(): Promise<ReadonlySet<string>> {
  return parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8').catch(() => ''));
}

/** The mount points in a /proc/PID/mountinfo: its fifth field; space, tab, newline and backslash in octal (proc(5)). */
export function parseMountInfo(text: string): ReadonlySet<string> {
  const points = text.split('\n').flatMap((line) => line.split(' ')[4] ?? []);
  const fromOctal = (_: string, digits: string) => String.fromCharCode(Number.parseInt(digits, 8));
  return new Set(points.map((point) => point.replace(/\\([0-7]{3})/g, fromOctal)));
}
