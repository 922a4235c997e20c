// Watches the inputs and decides when they become a ruleset. All files are read if one changes, and every ten seconds.
// A change must read the same twice before it counts, so a half-written file never does. Checks never run in parallel.
import { unwatchFile, watch, watchFile } from 'node:fs';
import { dirname } from 'node:path';
import type { ReloadOutcome } from '../admin/status-snapshot.ts';
import { type Inputs, placesOf, sameInputs } from './inputs.ts';

/** Milliseconds between two checks of times and sizes. To read two files each second triples an idle proxy's CPU. */
const POLL_MS = 1000;
/** Milliseconds between two checks of the contents: NFS may show old times for a minute. */
const READ_MS = 10_000;
/** Milliseconds from a file event to the check: an editor or the kubelet causes several events at once. */
const AFTER_EVENT_MS = 100;
const SETTLE_MS = 250;
/** The most readings of files that keep changing; then they wait for the next check. */
const MAX_TRIES = 8;

export interface ReloaderOptions {
  readonly read: (before: Inputs) => Promise<Inputs>;
  /** Builds a ruleset from the inputs and swaps it in, or says why not. */
  readonly apply: (inputs: Inputs) => ReloadOutcome;
  /** Reports that nothing could be applied. */
  readonly fail: (problem: string) => ReloadOutcome;
}

export class Reloader {
  readonly #options: ReloaderOptions;
  #seen: Inputs;
  /** All calls of `force` before a check begins share it. */
  #asked: PromiseWithResolvers<ReloadOutcome> | null = null;
  #timer: NodeJS.Timeout | undefined;
  /** Milliseconds to the next check. The first is soon: a change between the first reading and `start` has no event. */
  #pause = POLL_MS;
  #checking = false;
  readonly #unwatch: (() => void)[] = [];
  #stopped = false;

  /** `first`: the inputs of the ruleset that runs now. */
  constructor(first: Inputs, options: ReloaderOptions) {
    this.#seen = first;
    this.#options = options;
  }

  start(): void {
    this.#watch();
    this.#checkIn(POLL_MS);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    for (const end of this.#unwatch) end();
  }

  /** Reads all files now, and applies them even if nothing changed; for SIGHUP and `/-/reload`. */
  force(): Promise<ReloadOutcome> {
    this.#asked ??= Promise.withResolvers();
    this.#checkIn(0);
    return this.#asked.promise;
  }

  /** Acts once per check: in a busy directory, such as /tmp, each event would delay the check again. */
  readonly #onFileEvent = (): void => {
    if (this.#pause > AFTER_EVENT_MS) this.#checkIn(AFTER_EVENT_MS);
  };

  /** Makes the next check earlier, never later. A check in progress starts the timer when it ends. */
  #checkIn(milliseconds: number): void {
    this.#pause = Math.min(this.#pause, milliseconds);
    if (this.#checking || this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#check(), this.#pause).unref();
  }

  async #check(): Promise<void> {
    const asked = this.#asked;
    const before = this.#seen;
    this.#asked = null;
    this.#pause = READ_MS;
    this.#checking = true;
    const outcome = await this.#readAndApply(asked === null ? 'if changed' : 'always');
    this.#checking = false;
    asked?.resolve(outcome);
    this.#checkIn(this.#seen === before ? READ_MS : POLL_MS);
  }

  async #readAndApply(when: 'always' | 'if changed'): Promise<ReloadOutcome> {
    try {
      let inputs = await this.#options.read(this.#seen);
      if (sameInputs(inputs, this.#seen)) return when === 'always' ? this.#apply(inputs) : { kind: 'applied' };
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
        const again = await this.#options.read(inputs);
        if (sameInputs(again, inputs)) return this.#apply(again);
        inputs = again;
      }
      return this.#options.fail('the files keep changing while they are being read');
    } catch (error) {
      return this.#options.fail(error instanceof Error ? error.message : String(error));
    }
  }

  #apply(inputs: Inputs): ReloadOutcome {
    this.#seen = inputs;
    const outcome = this.#options.apply(inputs);
    this.#watch();
    return outcome;
  }

  #watch(): void {
    for (const end of this.#unwatch.splice(0)) end();
    if (this.#stopped) return;
    const places = placesOf(this.#seen);
    for (const path of new Set(places)) {
      watchFile(path, { persistent: false, interval: POLL_MS }, this.#onFileEvent);
      this.#unwatch.push(() => unwatchFile(path, this.#onFileEvent));
    }
    // Directories alone are watched: a file's watcher would stay on the old inode when a rename replaces the file.
    for (const path of new Set(places.map((place) => dirname(place)))) {
      try {
        const watcher = watch(path, { persistent: false }, this.#onFileEvent);
        watcher.on('error', () => watcher.close());
        this.#unwatch.push(() => watcher.close());
      } catch {
        // The directory does not exist yet, or there are no more watches: the poll finds the change.
      }
    }
  }
}
