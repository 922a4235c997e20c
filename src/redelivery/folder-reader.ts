// What is in the folder of deferred deliveries: records, what a crash left, and what is none of ours.
import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileCalls } from './file-calls.ts';
import { absent, LOCK, NEW, PREAMBLE, PROGRESS, readSmall, unlinkIfThere } from './files.ts';
import { type Entry, ID, LEAST_BYTES, type StoreOptions } from './store.ts';

/** The most foreign files of which each is told. */
const MAX_TOLD = 100;

export class FolderReader {
  readonly #folder: string;
  readonly #calls: FileCalls;
  readonly #options: StoreOptions;
  readonly #told = new Set<string>();

  constructor(folder: string, calls: FileCalls, options: StoreOptions) {
    this.#folder = folder;
    this.#calls = calls;
    this.#options = options;
  }

  async names(): Promise<ReadonlySet<string>> {
    const names = new Set<string>();
    const most = 4 * Math.ceil(this.#options.maxBytes / LEAST_BYTES) + 1000;
    const folder = await this.#calls.run(() => opendir(this.#folder, { bufferSize: 1024 }));
    try {
      for (let next = await this.#calls.run(() => folder.read()); next !== null && names.size < most; ) {
        names.add(next.name);
        next = await this.#calls.run(() => folder.read());
      }
    } finally {
      await folder.close();
    }
    return names;
  }

  /** Null for what is no regular file. */
  async entry(id: string, names: ReadonlySet<string>): Promise<Entry | null> {
    const stats = await this.#calls.run(() => lstat(join(this.#folder, id)).catch(absent));
    if (stats === null) return null; // removed meanwhile
    if (!stats.isFile() || stats.nlink !== 1) {
      this.#tell('a file is not one of ours, and is left alone', id);
      return null;
    }
    const bytes = Math.max(LEAST_BYTES, stats.size - PREAMBLE);
    const hasProgress = names.has(id + PROGRESS);
    const progress = hasProgress ? await this.#calls.run(() => readSmall(join(this.#folder, id + PROGRESS))) : null;
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
