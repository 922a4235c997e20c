// Cuts the power at random moments: what the proxy's file system had not written to its disk is gone. The disk is an ext4
// file system in a file; the proxy is stopped, the file is copied, and the next one starts on the copy. Needs root and a
// loop device, so it is a script and no test:
//
//   node scripts/power-cuts.ts ROUNDS [SEED [tight]]
import { execFileSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunningProxy } from '../test/support/proxy/proxy.ts';
import { killAtRandom, TIGHT } from '../test/support/redelivery/kills.ts';

const home = await mkdtemp(join(tmpdir(), 'entrupy-power-'));
const [directory, image] = [join(home, 'mounted'), join(home, 'image')];
const run = (command: string, ...args: string[]) =>
  execFileSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
const mount = () => run('mount', '-o', 'loop', image, directory);

/** Ends the proxy, and leaves on the disk what was on it at one moment before. */
async function cut(proxy: RunningProxy): Promise<void> {
  proxy.signal('SIGSTOP');
  await copyTo(`${image}.cut`);
  proxy.signal('SIGKILL');
  await proxy.exited;
  run('umount', directory);
  await rename(`${image}.cut`, image);
  mount();
}

/** The kernel writes by itself now and then, so a copy is of one moment only if a second one equals it. */
async function copyTo(file: string): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    await copyFile(image, file);
    if ((await readFile(file)).equals(await readFile(image))) return;
    await sleep(50);
  }
  throw new Error('the disk is never quiet');
}

const [rounds = '50', seed = `${Date.now() % 1e6}`, kind] = process.argv.slice(2);
await mkdir(directory);
run('truncate', '--size', '64M', image);
run('mkfs.ext4', '-q', image);
mount();
try {
  const redelivery = { ...(kind === 'tight' && TIGHT), store: directory };
  const fates = await killAtRandom({ rounds: Number(rounds), seed: Number(seed), redelivery, end: cut });
  console.log('seed', seed, redelivery, fates);
  if (fates.lost.length + fates.changed + fates.amiss.length > 0) process.exitCode = 1;
} finally {
  run('umount', directory);
  await rm(home, { recursive: true });
}
