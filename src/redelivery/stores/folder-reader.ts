// What is in the folder of deferred deliveries: records, what a crash left, and what is none of ours.
import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { ignore } from '../../base/errors.ts';
import type { BoundedCalls } from '../bounded-calls.ts';
import { absent, LOCK, NEW, PREAMBLE, PROGRESS, readSmall, unlinkIfThere } from './durable-files.ts';
import { type Entry, ID, LEAST_BYTES, type StoreOptions } from './store.ts';

/** The most foreign files of which each is told. */
const MAX_TOLD = 100;
/** Names that one call reads. */
const AT_ONCE = 1024;

export class FolderReader {
  readonly #folder: string;
  readonly #calls: BoundedCalls;
  readonly #options: StoreOptions;
  readonly #told = new Set<string>();

  constructor(folder: string, calls: BoundedCalls, options: StoreOptions) {
    this.#folder = folder;
    this.#calls = calls;
    this.#options = options;
  }

  /** Not whole where there are more than `maxBytes` allows: then nothing is known of what is not among them. */
  async names(): Promise<{ readonly names: ReadonlySet<string>; readonly isWhole: boolean }> {
    const names = new Set<string>();
    const most = 4 * Math.ceil(this.#options.maxBytes / LEAST_BYTES) + 1000;
    const folder = await this.#calls.open(() => opendir(this.#folder, { bufferSize: AT_ONCE }));
    try {
      const read = async () => {
        const end = names.size + AT_ONCE;
        for (let next = await folder.read(); next !== null; next = await folder.read()) {
          names.add(next.name);
          if (names.size >= end) return 'more';
        }
        return 'all';
      };
      let left = 'more';
      while (names.size < most && left === 'more') left = await this.#calls.run(read);
      return { names, isWhole: left === 'all' };
    } finally {
      void folder.close().catch(ignore); // it would wait for a read that hangs
    }
  }

  async entry(id: string, names: ReadonlySet<string>): Promise<Entry | 'gone' | 'foreign'> {
    // Before the record, since a removal begins with the record: without its progress it would seem never tried.
    const hasProgress = names.has(id + PROGRESS);
    const progress = hasProgress ? await this.#calls.run(() => readSmall(join(this.#folder, id + PROGRESS))) : null;
    const stats = await this.#calls.run(() => lstat(join(this.#folder, id)).catch(absent));
    if (stats === null) return 'gone';
    if (!stats.isFile() || stats.nlink !== 1) {
      this.#tell('a file is not one of ours, and is left alone', id);
      return 'foreign';
    }
    const bytes = Math.max(LEAST_BYTES, stats.size - PREAMBLE);
    return { id, bytes, at: Math.round(stats.mtimeMs), progress };
  }

  async noteOther(name: string, names: ReadonlySet<string>, why: 'clean' | 'look'): Promise<void> {
    if (this.#options.as === 'visitor' || name === LOCK) return;
    const id = name.slice(0, 49);
    const ending = ID.test(id) ? name.slice(49) : '';
    const isHalf = ending === NEW || ending === PROGRESS + NEW;
    if (isHalf || (ending === PROGRESS && !names.has(id))) {
      if (why === 'look') return; // it is being written, or removed
      await this.#calls.run(() => unlinkIfThere(join(this.#folder, name)));
      this.#tell('a file that a crash left half-written was removed', name);
    } else if (ending !== PROGRESS) this.#tell('a file is not one of ours, and is left alone', name);
  }

  /** Once for each file. A name may be anything. */
  #tell(message: string, name: string): void {
    if (this.#told.has(name) || this.#told.size >= MAX_TOLD) return;
    this.#told.add(name);
    this.#options.onRemark(message, { folder: this.#folder, file: name.slice(0, 100) });
  }
}
