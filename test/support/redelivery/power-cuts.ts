// Cuts the power at random moments: what the proxy's file system had not written to its disk is gone. The disk is an ext4
// file system in a file; the proxy is stopped, the file is copied, and the next one starts on the copy. Needs root and a
// loop device, so it is a script and no test:
//
//   node test/support/redelivery/power-cuts.ts ROUNDS [SEED]
import { execFileSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunningProxy } from '../proxy/proxy.ts';
import { killAtRandom } from './kills.ts';

const SIZE = '64M';

/** A disk that loses what was not written when its power is cut. */
class Disk {
  readonly directory: string;
  readonly #image: string;

  private constructor(home: string) {
    this.directory = join(home, 'mounted');
    this.#image = join(home, 'image');
  }

  static async make(): Promise<Disk> {
    const home = await mkdtemp(join(tmpdir(), 'entrupy-power-'));
    const disk = new Disk(home);
    await mkdir(disk.directory);
    run('truncate', '--size', SIZE, disk.#image);
    run('mkfs.ext4', '-q', disk.#image);
    disk.#mount();
    return disk;
  }

  /** Ends the proxy, and leaves on the disk what was on it at one moment before. */
  async cut(proxy: RunningProxy): Promise<void> {
    proxy.signal('SIGSTOP');
    await this.#copy();
    proxy.signal('SIGKILL');
    await proxy.exited;
    run('umount', this.directory);
    await rename(`${this.#image}.cut`, this.#image);
    this.#mount();
  }

  async remove(): Promise<void> {
    run('umount', this.directory);
    await rm(join(this.directory, '..'), { recursive: true });
  }

  #mount(): void {
    run('mount', '-o', 'loop', this.#image, this.directory);
  }

  /** The kernel writes by itself now and then, so a copy is of one moment only if a second one equals it. */
  async #copy(): Promise<void> {
    const cut = `${this.#image}.cut`;
    for (let tries = 0; tries < 50; tries++) {
      await copyFile(this.#image, cut);
      if ((await readFile(cut)).equals(await readFile(this.#image))) return;
      await sleep(50);
    }
    throw new Error('the disk is never quiet');
  }
}

function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
}

const [rounds = '50', seed = `${Date.now() % 1e6}`] = process.argv.slice(2);
const disk = await Disk.make();
try {
  const redelivery = { store: disk.directory };
  const end = (proxy: RunningProxy) => disk.cut(proxy);
  console.log('seed', seed, await killAtRandom({ rounds: Number(rounds), seed: Number(seed), redelivery, end }));
} finally {
  await disk.remove();
}
