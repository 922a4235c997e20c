// Calls its owner when watched files may have changed (times and sizes, each second), and when all are to be read again.
import { unwatchFile, watchFile } from 'node:fs';

/** Milliseconds between two checks of file times and sizes. Reading two files a second would triple idle CPU use. */
const POLL_MS = 1000;
/** Milliseconds between two checks of file contents, needed because NFS may show old times for a minute. */
const READ_MS = 10_000;

export class FileWatch {
  readonly #onChange: () => void;
  #files: readonly string[] = [];
  #nextRead: NodeJS.Timeout | undefined;
  stopped = false;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** Watches these files, and no others; none after `stop`. */
  only(files: readonly string[]): void {
    for (const file of this.#files) unwatchFile(file, this.#onChange);
    this.#files = this.stopped ? [] : files;
    for (const file of this.#files) watchFile(file, { persistent: false, interval: POLL_MS }, this.#onChange);
  }

  /** Has all files read again: `soon` after a change, since a second one may follow that has the same time. */
  readAgain(when: 'soon' | 'later'): void {
    clearTimeout(this.#nextRead);
    if (!this.stopped) this.#nextRead = setTimeout(this.#onChange, when === 'soon' ? POLL_MS : READ_MS).unref();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.#nextRead);
    this.only([]);
  }
}
