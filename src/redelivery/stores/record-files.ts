// The files of deferred deliveries in one folder, and the order of the calls on them, which is what survives a crash. A
// record is written beside its place, synced and renamed; its progress is a second, small file.
//
//   STORE/deferred/lock            held while the process lives
//   STORE/deferred/ID              8 digits: the length of the head; LF; head; body
//   STORE/deferred/ID.progress     absent before the first failure
//   ….new                          being written; what a crash leaves of these is removed at the start
import { Buffer } from 'node:buffer';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import {
  isThere,
  NEW,
  PREAMBLE,
  PROGRESS,
  readMeasured,
  readSmall,
  unlinkIfThere,
  writeBeside,
} from './durable-files.ts';
import type { Read, StoredBytes } from './store.ts';

/** Names a file that is only ever half-written, so that a start removes what a crash leaves of it. */
export const NO_ID = `${'0'.repeat(16)}-${'0'.repeat(32)}`;

export class RecordFiles {
  readonly #folder: string;
  readonly #mostBytes: () => number;

  /** `mostBytes`: of one record that is read. */
  constructor(folder: string, mostBytes: () => number) {
    this.#folder = folder;
    this.#mostBytes = mostBytes;
  }

  isThere(id: string): Promise<boolean> {
    return isThere(this.#path(id));
  }

  async read(id: string): Promise<Read | 'absent'> {
    const bytes = await readMeasured(this.#path(id), PREAMBLE + this.#mostBytes());
    if (typeof bytes === 'string') return bytes;
    const preamble = bytes.toString('latin1', 0, PREAMBLE);
    const length = /^[0-9]{8}\n$/.test(preamble) ? Number.parseInt(preamble, 10) : Number.POSITIVE_INFINITY;
    const end = PREAMBLE + length;
    if (end > bytes.length) return 'unfit';
    return { head: bytes.subarray(PREAMBLE, end), body: bytes.subarray(end) };
  }

  /** Null if there is none. */
  readProgress(id: string): Promise<Buffer | null> {
    return readSmall(this.#path(id, PROGRESS));
  }

  /** Not durable before the folder is synced. */
  async write(id: string, { head, body }: StoredBytes): Promise<void> {
    const preamble = Buffer.from(`${`${head.length}`.padStart(PREAMBLE - 1, '0')}\n`, 'latin1');
    await writeBeside(this.#path(id), [preamble, head, body]);
    await unlinkIfThere(this.#path(id, PROGRESS)); // of what it replaces
    await rename(this.#path(id, NEW), this.#path(id));
  }

  async writeProgress(id: string, progress: Buffer): Promise<void> {
    await writeBeside(this.#path(id, PROGRESS), [progress]);
    await rename(this.#path(id, PROGRESS + NEW), this.#path(id, PROGRESS));
  }

  /** False if there was none. */
  async unlink(id: string): Promise<boolean> {
    const was = await unlinkIfThere(this.#path(id));
    await unlinkIfThere(this.#path(id, PROGRESS));
    return was;
  }

  /** Throws where nothing can be written: a disk that is full or read-only still lets everything be read. */
  async probe(): Promise<void> {
    await writeBeside(this.#path(NO_ID), [Buffer.from('probe')]);
    await unlinkIfThere(this.#path(NO_ID, NEW));
  }

  #path(id: string, ending = ''): string {
    return join(this.#folder, id + ending);
  }
}
