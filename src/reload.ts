// When inputs become policy: contents are looked at each second, file events only hasten that, and what changed must read
// the same twice before it counts, so that a half-written file never does. One look at a time.
import { type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';
import { type Inputs, sameInputs, tlsPaths } from './inputs.ts';

const POLL_MS = 1000;
const SETTLE_MS = 250;
/** A file that never holds still: look again later. */
const MOST_TRIES = 8;

export interface Outcome {
  readonly ok: boolean;
  readonly error?: string;
}

export interface ReloaderOptions {
  /** What runs now was made of these. */
  readonly first: Inputs;
  readonly read: (before: Inputs) => Promise<Inputs>;
  /** Makes a policy of them and swaps it in, or says why not. */
  readonly apply: (inputs: Inputs) => Outcome;
}

export class Reloader {
  readonly #options: ReloaderOptions;
  #seen: Inputs;
  #looking: Promise<Outcome> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #watchers: FSWatcher[] = [];
  #stopped = false;

  constructor(options: ReloaderOptions) {
    this.#options = options;
    this.#seen = options.first;
  }

  start(): void {
    this.#watch();
    this.#lookIn(POLL_MS);
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const watcher of this.#watchers) watcher.close();
  }

  /** Looks now, and applies what it finds even where nothing changed; for SIGHUP and `/-/reload`. */
  async force(): Promise<Outcome> {
    await this.#looking;
    return this.#look('always');
  }

  #lookIn(milliseconds: number): void {
    if (this.#stopped) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(async () => {
      await (this.#looking ?? this.#look('if changed'));
      this.#lookIn(POLL_MS);
    }, milliseconds);
    this.#timer.unref();
  }

  #look(when: 'always' | 'if changed'): Promise<Outcome> {
    this.#looking = this.#settled(when)
      .catch(
        (error: unknown): Outcome => ({ ok: false, error: error instanceof Error ? error.message : String(error) }),
      )
      .finally(() => {
        this.#looking = null;
      });
    return this.#looking;
  }

  async #settled(when: 'always' | 'if changed'): Promise<Outcome> {
    let inputs = await this.#options.read(this.#seen);
    if (sameInputs(inputs, this.#seen)) return when === 'always' ? this.#apply(inputs) : { ok: true };
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      const again = await this.#options.read(inputs);
      if (sameInputs(again, inputs)) return this.#apply(again);
      inputs = again;
    }
    return { ok: false, error: 'the files keep changing' };
  }

  #apply(inputs: Inputs): Outcome {
    this.#seen = inputs;
    const outcome = this.#options.apply(inputs);
    this.#watch();
    return outcome;
  }

  /** Directories, never files: a file that is replaced by a rename leaves its watcher on a dead inode. */
  #watch(): void {
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers = [];
    const { loaded, file } = this.#seen;
    const paths = [...tlsPaths(loaded.config).map(dirname), ...(file?.file == null ? [] : [dirname(file.file)])];
    for (const source of loaded.config.secrets) {
      if (source.kind === 'directory') paths.push(source.directory);
      if (source.kind === 'file') paths.push(dirname(source.file));
    }
    for (const path of new Set(paths)) this.#watchDirectory(path);
  }

  #watchDirectory(path: string): void {
    try {
      const watcher = watch(path, { persistent: false }, () => {
        if (this.#looking === null) this.#lookIn(50);
      });
      watcher.on('error', () => watcher.close());
      this.#watchers.push(watcher);
    } catch {
      // no such directory yet, or no watches left: the poll finds out
    }
  }
}
