// When inputs become policy: contents are looked at each second, file events only hasten that, and what changed must read
// the same twice before it counts, so that a half-written file never does. One look at a time.
import { type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';
import { type Inputs, sameInputs, tlsPaths } from './inputs.ts';

const POLL_MS = 1000;
/** From a file event to the look: an editor or kubelet makes several of them. */
const HASTE_MS = 100;
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
  /** Nothing could be applied. */
  readonly fail: (error: string) => Outcome;
}

type When = 'always' | 'if changed';

export class Reloader {
  readonly #options: ReloaderOptions;
  #seen: Inputs;
  #looking: Promise<Outcome> | null = null;
  /** A look that was asked for and has not begun: whoever asks meanwhile gets the same. */
  #asked: Promise<Outcome> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #hastened = false;
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
    this.#unwatch();
  }

  /** Looks now, and applies what it finds even where nothing changed; for SIGHUP and `/-/reload`. */
  force(): Promise<Outcome> {
    this.#asked ??= this.#turn();
    return this.#asked;
  }

  async #turn(): Promise<Outcome> {
    do await this.#looking;
    while (this.#looking !== null);
    this.#asked = null;
    return this.#look('always');
  }

  #lookIn(milliseconds: number): void {
    if (this.#stopped) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(async () => {
      this.#hastened = false;
      await (this.#looking ?? this.#look('if changed'));
      this.#lookIn(this.#hastened ? HASTE_MS : POLL_MS);
    }, milliseconds);
    this.#timer.unref();
  }

  #look(when: When): Promise<Outcome> {
    this.#looking = this.#settled(when)
      .catch((error: unknown) => this.#options.fail(error instanceof Error ? error.message : String(error)))
      .finally(() => {
        this.#looking = null;
      });
    return this.#looking;
  }

  async #settled(when: When): Promise<Outcome> {
    let inputs = await this.#options.read(this.#seen);
    if (sameInputs(inputs, this.#seen)) return when === 'always' ? this.#apply(inputs) : { ok: true };
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      const again = await this.#options.read(inputs);
      if (sameInputs(again, inputs)) return this.#apply(again);
      inputs = again;
    }
    return this.#options.fail('the files keep changing while they are read');
  }

  #apply(inputs: Inputs): Outcome {
    this.#seen = inputs;
    const outcome = this.#options.apply(inputs);
    this.#watch();
    return outcome;
  }

  /** Directories, never files: a file that is replaced by a rename leaves its watcher on a dead inode. */
  #watch(): void {
    this.#unwatch();
    if (this.#stopped) return;
    const { loaded } = this.#seen;
    const paths = [...tlsPaths(loaded.config).map(dirname), ...(loaded.file === null ? [] : [dirname(loaded.file)])];
    for (const source of loaded.config.secrets) {
      if (source.kind === 'directory') paths.push(source.directory);
      if (source.kind === 'file') paths.push(dirname(source.file));
    }
    for (const path of new Set(paths)) this.#watchDirectory(path);
  }

  #unwatch(): void {
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers = [];
  }

  #watchDirectory(path: string): void {
    try {
      const watcher = watch(path, { persistent: false }, () => this.#hasten());
      watcher.on('error', () => watcher.close());
      this.#watchers.push(watcher);
    } catch {
      // no such directory yet, or no watches left: the poll finds out
    }
  }

  /** Once for each look: in a busy directory, such as /tmp, every event would put the look off again. */
  #hasten(): void {
    if (this.#hastened) return;
    this.#hastened = true;
    if (this.#looking === null) this.#lookIn(HASTE_MS);
  }
}
